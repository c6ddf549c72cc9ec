"""The journal, read in one or several goes."""

from __future__ import annotations

import json

from schemas.topics import Topic
from tests.offline import record
from worker.stream.records import InputRecord
from worker.verification.findings import Check
from worker.verification.movements import Journal


def movement(offset: int, source_offset: int, balance: int) -> InputRecord:
    """One that freezes a unit."""
    event_id = f"orders/0/{source_offset}/0"
    stock = {"account_id": "a", "warehouse_id": "w", "sku": "k", "on_hand": None, "on_hand_delta": 0}
    body = {"event_id": event_id, **stock, "frozen": balance, "frozen_delta": 1}
    return record(Topic.MOVEMENTS, 0, offset, b"a", json.dumps(body).encode())


def test_a_go_ends_at_its_cut_and_the_next_one_goes_on_there() -> None:
    journal = Journal(Topic.MOVEMENTS, 0)
    records = [movement(number, number, number + 1) for number in range(5)]
    for cut, next_offset in ((2, 2), (4, 4), (9, 6)):
        journal.start({"orders": cut})
        journal.take(records[journal.next_offset :])
        journal.end(6)
        assert (journal.movements, journal.next_offset) == (min(cut, 5), next_offset)
    assert not journal.findings


def test_a_movement_behind_a_newer_one_beyond_the_cut_is_found() -> None:
    journal = Journal(Topic.MOVEMENTS, 0)
    journal.start({"orders": 5})
    journal.take([movement(0, 3, 1), movement(1, 5, 2), movement(2, 4, 3)])
    assert (journal.findings.counts, journal.movements) == ({Check.REPEATED: 1}, 1)
