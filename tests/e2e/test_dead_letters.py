"""Dead letters as an operator meets them: they hold an order back from the archive until each is replayed or given up.

Time is that of the records' timestamps, so a record sent as of three days ago is in the future now and good tomorrow.
"""

from __future__ import annotations

import time
from typing import Any

import pytest

from schemas.topics import Topic
from tests.e2e.messages import command, order, rewritten
from tests.e2e.system import Message, Place, Record, System
from tests.e2e.worker_process import StartWorker
from worker.demo.schedule import HOUR_MS

# On the embedded broker the command's own tests have all of these steps.
pytestmark = pytest.mark.apache

ACCOUNT = "shop 1"
LINES = [{"sku": "A", "quantity": 5}]


def cancelled_order(order_id: str) -> list[Message]:
    return [
        order("created", ACCOUNT, "e1", order_id, lines=LINES),
        order("cancelled", ACCOUNT, "e2", order_id),
    ]


def too_early(order_id: str) -> Message:
    """Refused as of the future; sent again now, it is applied."""
    sent_ms = int(time.time() * 1000) - 72 * HOUR_MS
    amended = order("amended", ACCOUNT, "e3", order_id, revision=1, lines=LINES)
    return amended._replace(timestamp_ms=sent_ms, headers=(("trace", b"1"),))


def for_ever_invalid(order_id: str) -> Message:
    return rewritten(
        order("amended", ACCOUNT, "e4", order_id, revision=1, lines=LINES), '"quantity": 5', '"quantity": -5'
    )


async def dead_letters(system: System, *options: str) -> dict[str, dict[str, Any]]:
    """The rows of `dead-letters list`, by id."""
    result = await system.stockfreeze("dead-letters", "list", "--json", *options)
    assert result.code == 0, result
    rows = result.json()
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


async def answer_to_request(system: System, order_id: str, number: int) -> str:
    """Ask to archive an order; gives `eligible`, or the code of the refusal."""
    event_id = f"request {order_id} {number}"
    await system.send([command("archive.requested", ACCOUNT, event_id, order_id)])
    await system.settled()
    [answer] = [event for event in await system.values(Topic.ELIGIBILITY) if event.get("cause") == event_id]
    assert answer["order_id"] == order_id
    return "eligible" if answer["type"] == "archive.eligible" else str(answer["code"])


ELIGIBILITY_OF_BROKEN = [
    "archive.eligible",
    "archive.revoked",  # a record of it is dead-lettered
    "archive.rejected",
    "archive.rejected",  # the replay was refused, too
    "archive.eligible",  # it is discarded
    "archive.eligible",
    "archive.revoked",  # it is replayed again
    "archive.rejected",
]


async def test_dead_letters_block_an_order_until_they_are_replayed_or_given_up(
    system: System, start_worker: StartWorker
) -> None:
    await start_worker().ready()
    places = await system.send(
        [
            *cancelled_order("early"),
            *cancelled_order("broken"),
            *cancelled_order("fine"),
            too_early("early"),
            for_ever_invalid("broken"),
            Message(Topic.ORDERS, ACCOUNT.encode(), b"of no order"),
        ]
    )
    early, broken, of_no_order = (place.id for place in places[-3:])
    await system.settled()

    listed = await dead_letters(system)
    assert {id_: (row["code"], row["order_id"], row["pending"]) for id_, row in listed.items()} == {
        early: ("future", "early", True),
        broken: ("invalid", "broken", True),
        of_no_order: ("undecodable", None, None),
    }
    assert set(await dead_letters(system, "--pending")) == {early, broken}
    answers = [await answer_to_request(system, order_id, 1) for order_id in ("early", "broken", "fine")]
    assert answers == ["DEAD_LETTERED", "DEAD_LETTERED", "eligible"]

    shown = await system.stockfreeze("dead-letters", "show", broken, "--json")
    assert shown.code == 0
    assert "lines[0].quantity" in shown.json()["error"]
    assert '"quantity": -5' in shown.json()["value"]

    replayed = await system.stockfreeze("dead-letters", "replay", early, broken, "--yes", "--json", "--wait", "60")
    assert replayed.code == 0, replayed
    assert replayed.json()["outcomes"] == {
        early: {"outcome": "accepted", "code": None},
        broken: {"outcome": "refused", "code": "invalid"},
    }
    await system.settled()
    assert set(await dead_letters(system, "--pending")) == {broken}
    assert await answer_to_request(system, "early", 2) == "eligible"
    assert await answer_to_request(system, "broken", 2) == "DEAD_LETTERED"
    await assert_same_place_again(system, broken)

    given_up = await system.stockfreeze("dead-letters", "discard", "--yes", broken)
    assert given_up.code == 0, given_up
    await system.settled()
    assert await dead_letters(system, "--pending") == {}
    assert await answer_to_request(system, "broken", 3) == "eligible"

    # Refused once more, it is pending again although it had been given up.
    assert (await system.stockfreeze("dead-letters", "replay", broken, "--yes")).code == 0
    await system.settled()
    assert set(await dead_letters(system, "--pending")) == {broken}
    assert await answer_to_request(system, "broken", 4) == "DEAD_LETTERED"
    types = [event["type"] for event in await system.values(Topic.ELIGIBILITY) if event["order_id"] == "broken"]
    assert types == ELIGIBILITY_OF_BROKEN
    await system.assert_sound()


async def assert_same_place_again(system: System, id_: str) -> None:
    """The replay of a record that is refused again is a second dead letter with the first one's id, nothing lost."""
    records = [record for record in await system.read(Topic.DEAD_LETTERS) if _place_of(record).id == id_]
    assert len(records) == 2
    first, again = records
    assert (first.key, first.value, first.partition) == (again.key, again.value, again.partition)
    assert dict(again.headers)["replay-of"] == id_.encode()
    assert "replay-of" not in dict(first.headers)


def _place_of(record: Record) -> Place:
    headers = {name: value or b"" for name, value in record.headers}
    return Place(headers["source-topic"].decode(), int(headers["source-partition"]), int(headers["source-offset"]))
