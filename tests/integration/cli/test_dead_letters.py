"""`stockfreeze dead-letters` on a broker, with a worker that takes what is sent again."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from itertools import repeat

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.times import timestamp_text
from schemas.topics import Topic
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import Input, Transaction, account_in, event

ACCOUNT = account_in(0, PARTITIONS)
AT_ONCE = ("--yes", "--wait", "0")
DAY_MS = 86_400_000


async def test_dead_letters_are_listed_shown_and_filtered(stockfreeze: Command, system: System) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)

    listed = await stockfreeze("dead-letters", "list", "--json")
    pending = await stockfreeze("dead-letters", "list", "--json", "--pending", "--account", ACCOUNT)
    undecodable = await stockfreeze("dead-letters", "list", "--json", "--code", "undecodable", "--topic", Topic.ORDERS)
    shown = await stockfreeze("dead-letters", "show", f"{orders}/0/3")
    unknown = await stockfreeze("dead-letters", "show", f"{orders}/0/999")

    assert len(listed.json()) == 4
    assert [(row["id"], row["order_id"], row["pending"]) for row in pending.json()] == [(f"{orders}/0/6", "o2", True)]
    assert [(row["source_partition"], row["source_offset"]) for row in pending.json()] == [(0, 6)]
    assert [(row["code"], row["pending"]) for row in undecodable.json()] == [("undecodable", None)] * 2
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "not JSON")
    assert (unknown.code, unknown.err) == (1, f"stockfreeze: there is no dead letter {orders}/0/999.\n")


async def test_a_replay_sends_the_original_and_keeps_its_id_if_refused(stockfreeze: Command, system: System) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)

    result = await stockfreeze("dead-letters", "replay", f"{orders}/0/3", "--json", *AT_ONCE)
    [again] = await system.process_what_came(Topic.ORDERS, 0)
    listed = await stockfreeze("dead-letters", "list", "--json", "--account", ACCOUNT)
    judged = await stockfreeze("verify", "--json")

    assert result.json() == {
        "sent": [f"{orders}/0/3"],
        "marked": [],
        "too_large": [],
        "unknown": [],
        "left_out": 0,
        "outcomes": {f"{orders}/0/3": {"outcome": "not_read", "code": None}},
    }
    assert (again.key, again.value) == (ACCOUNT.encode(), b"not JSON")
    assert list(again.headers) == [("replay-of", f"{orders}/0/3".encode())]
    assert [row["id"] for row in listed.json()].count(f"{orders}/0/3") == 1
    assert (judged.code, judged.json()["dead_letters"], judged.json()["findings"]) == (0, 5, [])


async def test_a_discarded_dead_letter_no_longer_holds_its_order_back(stockfreeze: Command, system: System) -> None:
    await system.process_story()
    pending = f"{system.topic(Topic.ORDERS)}/0/6"

    unsure = await stockfreeze("dead-letters", "discard", pending)
    result = await stockfreeze("dead-letters", "discard", pending, *AT_ONCE)
    await system.process_what_came(Topic.COMMANDS, 0)
    still = await stockfreeze("dead-letters", "list", "--pending", "--account", ACCOUNT, "--json")
    order = await stockfreeze("order", ACCOUNT, "o2", "--json")

    assert (unsure.code, unsure.out, unsure.err.count("\n")) == (2, "", 1)
    assert (result.code, "1 not yet read by a worker" in result.out) == (0, True)
    assert still.json() == []
    assert order.json()["dead_letters"] == []


async def _processed(system: System, topic: Topic) -> None:
    """Process what a command is about to send."""
    async with asyncio.timeout(60):
        for pause in repeat(0.1):
            if await system.process_what_came(topic, 0):
                return
            await asyncio.sleep(pause)


async def _state_of(stockfreeze: Command, dead_letter_id: str) -> str:
    shown = await stockfreeze("dead-letters", "show", dead_letter_id, "--json")
    return str(shown.json()["state"])


async def test_what_holds_nothing_back_is_marked_until_it_is_refused_again(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()
    of_no_order = f"{system.topic(Topic.ORDERS)}/0/3"

    result = await stockfreeze("dead-letters", "discard", of_no_order, *AT_ONCE)
    again = await stockfreeze("dead-letters", "replay", "--all", "--account", ACCOUNT, "--json", *AT_ONCE)
    judged = await stockfreeze("verify", "--json")
    assert (result.code, "0 given up, 1 marked" in result.out) == (0, True)
    assert await _state_of(stockfreeze, of_no_order) == "discarded"
    assert again.json()["sent"] == [f"{system.topic(Topic.ORDERS)}/0/6"], "what is settled is left alone"
    assert (judged.code, judged.json()["dead_letters"]) == (0, 4)

    await stockfreeze("dead-letters", "replay", of_no_order, *AT_ONCE)
    await system.process_what_came(Topic.ORDERS, 0)
    assert await _state_of(stockfreeze, of_no_order) == "open"


async def test_a_replay_refused_as_too_late_is_listed_and_can_be_discarded(
    stockfreeze: Command, system: System
) -> None:
    now = int(time.time() * 1000)
    ahead = event(Topic.ORDERS, "order.cancelled", ACCOUNT, "ahead", order_id="late")
    answer = ahead.value.replace(b"2026-01-01T00:00:00Z", timestamp_text(now - 100 * DAY_MS).encode())
    id_ = f"{system.topic(Topic.ORDERS)}/0/0"
    await system.process(0, [replace(ahead, value=answer)], timestamp_ms=now - 110 * DAY_MS)

    assert await _state_of(stockfreeze, id_) == "pending"
    waiting = asyncio.ensure_future(stockfreeze("dead-letters", "replay", id_, "--yes", "--json", "--wait", "60"))
    await _processed(system, Topic.ORDERS)
    result = await waiting
    pending = await stockfreeze("dead-letters", "list", "--pending", "--json")
    discarding = asyncio.ensure_future(stockfreeze("dead-letters", "discard", id_, "--yes", "--wait", "60"))
    await _processed(system, Topic.COMMANDS)
    discarded = await discarding

    assert result.json()["outcomes"] == {id_: {"outcome": "refused", "code": "too_late"}}
    assert [(row["id"], row["code"], row["state"]) for row in pending.json()] == [(id_, "too_late", "pending")]
    assert (discarded.code, "1 read by the worker" in discarded.out) == (0, True)
    assert await _state_of(stockfreeze, id_) == "open"


async def test_a_replay_that_is_accepted_is_not_sent_again_with_all_others(
    stockfreeze: Command, system: System
) -> None:
    now = int(time.time() * 1000)
    adjusted = event(Topic.STOCK, "stock.adjusted", ACCOUNT, "ahead", warehouse_id="w", sku="k", delta=3)
    answer = adjusted.value.replace(b"2026-01-01T00:00:00Z", timestamp_text(now - 10 * DAY_MS).encode())
    id_ = f"{system.topic(Topic.STOCK)}/0/0"
    await system.process(0, [replace(adjusted, value=answer)], timestamp_ms=now - 20 * DAY_MS)

    waiting = asyncio.ensure_future(stockfreeze("dead-letters", "replay", id_, "--yes", "--wait", "60"))
    await _processed(system, Topic.STOCK)
    result = await waiting
    again = await stockfreeze("dead-letters", "replay", "--all", "--json", *AT_ONCE)

    assert "1 accepted" in result.out
    assert await _state_of(stockfreeze, id_) == "accepted"
    assert again.json()["sent"] == []


async def test_filters_choose_and_what_can_only_be_refused_again_is_left_out(
    stockfreeze: Command, system: System
) -> None:
    stranger = replace(event(Topic.ORDERS, "order.cancelled", "elsewhere", "e", order_id="o"), account_id=ACCOUNT)
    await system.process(0, [stranger, Input(Topic.ORDERS, ACCOUNT, b"{"), Input(Topic.STOCK, ACCOUNT, b"{")])
    orders, stock = system.topic(Topic.ORDERS), system.topic(Topic.STOCK)

    async def sent(*options: str) -> tuple[list[str], int]:
        result = (await stockfreeze("dead-letters", "replay", *options, "--json", *AT_ONCE)).json()
        return result["sent"], result["left_out"]

    assert await sent("--all") == ([f"{orders}/0/1", f"{stock}/0/0"], 1)
    assert await sent("--topic", Topic.STOCK) == ([f"{stock}/0/0"], 0)
    assert await sent("--account", "nobody") == ([], 0)
    assert await sent("--code", "key_mismatch") == ([f"{orders}/0/0"], 0)
    assert await sent(f"{orders}/0/0") == ([f"{orders}/0/0"], 0)
    assert await sent("--since", "2999-01-01T00:00:00Z") == ([], 0)
    assert len((await sent("--all", "--limit", "1"))[0]) == 1
    listed = await stockfreeze("dead-letters", "list")
    assert "3 of 3 shown; 3 open; by code: 2 undecodable, 1 key_mismatch" in listed.out


async def test_all_of_a_code_are_sent_again_but_not_what_is_settled(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    result = await stockfreeze("dead-letters", "replay", "--code", "invalid", *AT_ONCE)

    assert result.code == 0
    assert f"2 sent again: 2 to {system.topic(Topic.ORDERS)}" in result.out


@pytest.mark.apache
async def test_a_replay_that_is_too_large_is_named_and_the_others_are_sent(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap_servers)
    await admin.start()
    try:
        # Between what `not JSON` takes as a record and what the other one does.
        resource = ConfigResource(ConfigResourceType.TOPIC, orders, configs={"max.message.bytes": "200"})
        await admin.alter_configs([resource])
    finally:
        await admin.close()

    result = await stockfreeze("dead-letters", "replay", "--all", "--json", *AT_ONCE)
    answer = await stockfreeze("dead-letters", "replay", f"{orders}/0/6", *AT_ONCE)

    assert (result.code, result.json()["too_large"]) == (
        1,
        [f"{orders}/{partition}/6" for partition in range(PARTITIONS)],
    )
    assert result.json()["sent"] == [f"{orders}/{partition}/3" for partition in range(PARTITIONS)]
    assert (answer.code, f"{orders}/0/6 is larger than its topic takes" in answer.err) == (1, True)


def _from_elsewhere(records: Transaction) -> Transaction:
    """Dead letters of partition 0 whose headers name a source that is no input."""
    source = [("source-topic", b"elsewhere"), ("source-partition", b"0")]
    return [
        record._replace(headers=[*source, *(header for header in record.headers if header[0] != "source-topic")])
        if ("source-partition", b"0") in record.headers
        else record
        for record in records
    ]


async def test_a_letter_from_no_input_does_not_stop_the_replay_of_others(stockfreeze: Command, system: System) -> None:
    await system.process_story(_from_elsewhere)

    all_of_them = await stockfreeze("dead-letters", "replay", "--all", "--json", *AT_ONCE)
    itself = await stockfreeze("dead-letters", "replay", "elsewhere/0/3", *AT_ONCE)

    assert all_of_them.code == 0
    assert all_of_them.json()["sent"] == [f"{system.topic(Topic.ORDERS)}/1/{offset}" for offset in (3, 6)]
    assert (itself.code, "did not come from an input of this system" in itself.err) == (2, True)


async def test_what_is_no_id_is_refused(stockfreeze: Command, system: System) -> None:
    del system

    assert (await stockfreeze("dead-letters", "show", "nonsense")).code == 2
    assert (await stockfreeze("dead-letters", "replay")).code == 2
