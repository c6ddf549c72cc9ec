"""Whose bad records these are, and what a flood of one account raises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.topics import Topic
from tests.named import named
from tests.unit.domain.shop import DAY, Fields, iso, ms, ordered
from tests.unit.processors.partition import (
    BROKEN,
    CREATED,
    ELSEWHERE,
    HOME,
    NEIGHBOUR,
    NOW,
    PREFIX,
    Partition,
    restored,
)
from worker.stream.processor import Outcome


@pytest.fixture
def partition() -> Partition:
    return Partition()


def blamed(partition: Partition) -> str | None:
    blame = partition.processor.parties.blame()
    assert blame is not None
    return blame.party


@pytest.mark.parametrize(
    ("value", "key", "party"),
    [
        (BROKEN, b"a", "a"),
        ({**BROKEN, "account_id": "z"}, b"a", "z"),
        ({**CREATED, "account_id": "z"}, b"a", "z"),
        ({**CREATED, "account_id": ""}, b"a", "a"),
        (b"{", b"a", "a"),
        (b"{", None, None),
        (b"{", b"\xff", None),
        (b"{", b"", None),
        (None, b"a", "a"),
    ],
)
def test_a_bad_record_counts_for_the_account_it_names_or_else_for_its_key(
    partition: Partition, value: Fields | bytes | None, key: bytes | None, party: str | None
) -> None:
    assert partition.process(value, key=key) is Outcome.DEAD_LETTERED
    assert blamed(partition) == party


def test_a_replay_that_is_refused_again_counts_for_nobody(partition: Partition) -> None:
    partition.process(BROKEN)
    partition.process(BROKEN, headers=[("replay-of", f"shop.orders.events.v1/{HOME}/7".encode())])
    assert partition.processor.parties.blame() is None


def test_a_partition_serves_others_once_anything_is_known_of_them(partition: Partition) -> None:
    parties = partition.processor.parties
    partition.process(CREATED)
    partition.process({**CREATED, "account_id": NEIGHBOUR, "occurred_at": iso(-91 * DAY)}, key=NEIGHBOUR.encode())
    assert not parties.serves_others("a"), "a record that was refused leaves nothing"
    assert parties.serves_others("z")
    partition.process({**CREATED, "account_id": NEIGHBOUR}, key=NEIGHBOUR.encode())
    assert parties.serves_others("a")


def alerts_of(partition: Partition) -> list[dict[str, Any]]:
    records = named(partition.processor.flush())
    return [json.loads(record.value or b"") for record in records if record.topic == PREFIX + Topic.ALERTS]


def test_the_id_of_a_floods_alert_follows_those_of_the_same_record(partition: Partition) -> None:
    partition.process(CREATED)
    partition.process({**CREATED, "lines": ordered(2)})
    partition.processor.parties.flood_began("a")
    conflict, refused, flooding = alerts_of(partition)
    assert (flooding["alert"], flooding["severity"], flooding["account_id"]) == ("flooding", "critical", "a")
    assert flooding["cause"] == conflict["cause"] == CREATED["event_id"]
    assert [alert["event_id"].rsplit("/", 1)[1] for alert in (conflict, refused, flooding)] == ["0", "1", "2"]
    assert not {"order_id", "sub_order_id", "warehouse_id", "sku"} & flooding.keys()


def test_a_flood_of_records_that_cannot_be_read_has_the_time_of_the_last(partition: Partition) -> None:
    partition.process(b"{")
    partition.processor.parties.flood_began("a")
    (flooding,) = alerts_of(partition)
    assert (flooding["occurred_at"], flooding["event_id"]) == (iso(NOW), f"shop.orders.events.v1/{HOME}/7/0")
    assert "cause" not in flooding


def test_a_flood_of_an_account_that_lives_elsewhere_has_no_alert_here(partition: Partition) -> None:
    assert partition.process({**CREATED, "account_id": ELSEWHERE}, key=ELSEWHERE.encode()) is Outcome.DEAD_LETTERED
    partition.processor.parties.flood_began(ELSEWHERE)
    assert alerts_of(partition) == []
    assert partition.processor.parties.flooding() == []


def test_a_flood_is_known_after_a_restart_until_it_ceased(partition: Partition) -> None:
    partition.process(b"{")
    partition.processor.parties.flood_began("a")
    again = restored(partition)
    assert again.processor.parties.flooding() == ["a"]
    assert again.processor.alerts_open() == {"flooding": 1}
    partition.processor.parties.flood_ceased("a")
    assert restored(partition).processor.parties.flooding() == []


def test_a_flood_that_ceased_is_cleared_without_a_cause(partition: Partition) -> None:
    partition.process(b"{")
    partition.processor.parties.flood_began("a")
    (raised,) = alerts_of(partition)
    partition.process(b"{", timestamp=ms(NOW + 5))
    partition.processor.parties.flood_ceased("a")
    (cleared,) = alerts_of(partition)
    assert (cleared["type"], cleared["alert_id"]) == ("alert.cleared", raised["alert_id"])
    assert (cleared["event_id"], cleared["occurred_at"]) == (f"{raised['event_id']}/cleared", iso(NOW + 5))
    assert "cause" not in cleared
    assert partition.processor.alerts_open() == {"flooding": 0}
