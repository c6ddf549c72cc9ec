"""Levels and statuses written anew are those that the worker writes."""

from __future__ import annotations

import json

from schemas.topics import Topic
from tests.offline import OfflinePartition, account_in, input_records, story
from worker.administration.republishing import level_of, status_of

ACCOUNT = account_in(0, 1)
FIRST = {"event_id", "occurred_at", "cause"}


def content(value: bytes | None) -> dict[str, object]:
    assert value is not None
    return {name: field for name, field in json.loads(value).items() if name not in FIRST}


def test_what_is_written_anew_is_what_the_worker_wrote_last() -> None:
    partition = OfflinePartition(0, 1)
    written = partition.process(input_records(story(ACCOUNT), 0))
    last = {
        (record.topic, record.key): content(record.value)
        for record in written
        if record.topic in {"stock.levels.v1", "orders.status.v1"}
    }
    ledger = partition.processor.ledger

    levels = [content(level_of(view, "state/0/7", 1, "2026-01-01T00:00:00.000Z")) for view in ledger.levels()]
    statuses = [
        content(status_of(view, "state/0/7", 1, "2026-01-01T00:00:00.000Z")) for view in ledger.orders() if view.known
    ]

    assert sorted(map(str, levels)) == sorted(str(each) for (topic, _), each in last.items() if topic == Topic.LEVELS)
    assert sorted(map(str, statuses)) == sorted(str(each) for (topic, _), each in last.items() if topic == Topic.STATUS)


def test_what_is_written_anew_names_the_state_and_no_cause() -> None:
    partition = OfflinePartition(0, 1)
    partition.process(input_records(story(ACCOUNT), 0))
    value = json.loads(level_of(next(partition.processor.ledger.levels()), "state/0/7", 3, "2026-01-01T00:00:00.000Z"))

    assert (value["event_id"], value["occurred_at"]) == ("state/0/7/3", "2026-01-01T00:00:00.000Z")
    assert "cause" not in value
