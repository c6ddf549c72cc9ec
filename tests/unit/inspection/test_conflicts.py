"""A conflict names the record that came first, and what differs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from schemas.topics import Topic
from tests.offline import Input, event, record
from tests.topics_in_memory import MemoryReader
from worker.inspection.conflicts import First, first_of
from worker.inspection.dead_letters import DeadLetter

ORDERS, STOCK = str(Topic.ORDERS), str(Topic.STOCK)
LINES = [{"sku": "A", "quantity": 3}]
FIRST = event(Topic.ORDERS, "order.created", "acme", "e1", order_id="o1", lines=LINES)
LETTER = DeadLetter(f"{ORDERS}/0/9", "conflict", "", ORDERS, 0, 9, None, "acme", "o1", 0, 0, "", is_replay=False)


async def found(first: Input, refused: Input) -> First | None:
    topic = str(first.topic)
    inputs = [
        record(topic, 0, 3, b"acme", b"{"),
        record(topic, 0, 4, b"other", first.value),
        record(topic, 0, 5, b"acme", first.value),
        record(topic, 0, 9, b"acme", refused.value),
    ]
    letter = replace(LETTER, source_topic=topic)
    dead = record("dead", 0, 0, b"acme", refused.value)
    return await first_of(MemoryReader({topic: inputs}), letter, dead, first.topic)


@pytest.mark.parametrize(
    ("fields", "differing"),
    [
        ({"lines": [{"sku": "A", "quantity": 4}]}, ["lines"]),
        ({"lines": LINES, "occurred_at": "2026-01-02T00:00:00Z"}, ["occurred_at"]),
    ],
)
async def test_the_first_record_of_the_same_order_and_id_is_found(
    fields: dict[str, object], differing: list[str]
) -> None:
    other = event(Topic.ORDERS, "order.created", "acme", "e1", order_id="o1", **fields)
    assert await found(FIRST, other) == First(f"{ORDERS}/0/5", differing)


async def test_another_type_under_the_same_id_differs_in_its_type() -> None:
    cancelled = event(Topic.ORDERS, "order.cancelled", "acme", "e1", order_id="o1")
    assert await found(FIRST, cancelled) == First(f"{ORDERS}/0/5", ["type"])


async def test_the_same_id_in_another_order_is_another_event() -> None:
    assert await found(FIRST, event(Topic.ORDERS, "order.cancelled", "acme", "e1", order_id="o2")) is None


async def test_a_part_of_a_snapshot_is_known_by_its_number_whatever_its_event_id() -> None:
    def part(event_id: str, on_hand: int) -> Input:
        counts = [{"sku": "A", "on_hand": on_hand}]
        named = {"origin": "erp", "snapshot_id": "s 1", "part": 1, "parts": 1, "warehouse_id": "w"}
        answer = {**named, "as_of": "2025-12-31T00:00:00Z", "counts": counts}
        return event(Topic.STOCK, "stock.counted", "acme", event_id, **answer)

    assert await found(part("c1", 1), part("c2", 2)) == First(f"{STOCK}/0/5", ["counts"])


async def test_a_record_that_has_expired_is_not_found() -> None:
    dead = record("dead", 0, 0, b"acme", FIRST.value)
    assert await first_of(MemoryReader({}), LETTER, dead, Topic.ORDERS) is None
