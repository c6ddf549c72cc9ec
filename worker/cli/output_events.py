"""Reading the last events of an output topic, from its end backwards, over several partitions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from schemas.times import timestamp_text
from schemas.topics import Topic
from worker.cli.asking import OpenSystem

if TYPE_CHECKING:
    from worker.inspection.topic_reader import Record

SPAN_OFFSETS = 1_000

Fields = dict[str, Any]


class OutputEvent(NamedTuple):
    """An output event: its fields, and the timestamp of its record in milliseconds."""

    written_ms: int
    fields: Fields

    @property
    def written_at(self) -> str:
        """Return the timestamp of its record as text, in UTC."""
        return timestamp_text(self.written_ms)


async def last_events(
    system: OpenSystem,
    topic: Topic,
    partitions: Iterable[int],
    wanted: Callable[[Fields], bool],
    *,
    count: int,
    since_ms: int | None = None,
    look_back: int | None = None,
) -> list[OutputEvent]:
    """Read the last `count` events that are `wanted` and were not written before `since_ms`, the newest first.

    `look_back` limits the search to so many of the last offsets of each partition.
    """
    found: list[OutputEvent] = []
    for partition in partitions:
        found += await _of_partition(system, topic, partition, wanted, count, since_ms, look_back)
    found.sort(key=lambda event: event.written_ms, reverse=True)
    return found[:count]


async def _of_partition(
    system: OpenSystem,
    topic: Topic,
    partition: int,
    wanted: Callable[[Fields], bool],
    count: int,
    since_ms: int | None,
    look_back: int | None,
) -> list[OutputEvent]:
    from worker.inspection.topic_reader import read_backwards

    name = system.settings.topic(topic)
    found: list[OutputEvent] = []

    def take(records: Sequence[Record]) -> bool:
        for record in reversed(records):
            if since_ms is not None and record.timestamp < since_ms:
                return True
            event = _event_of(record)
            if event is not None and wanted(event.fields):
                found.append(event)
        return len(found) >= count

    bounds = await system.reader.bounds(name, partition)
    if look_back is not None:
        bounds = bounds._replace(start=max(bounds.start, bounds.stable_end - look_back))
    await read_backwards(system.reader, name, partition, bounds=bounds, span=SPAN_OFFSETS, take=take)
    return found[:count]


def _event_of(record: Record) -> OutputEvent | None:
    """Decode a record. None: it is no event, which `verify` reports."""
    try:
        fields = json.loads(record.value or b"")
    except ValueError:
        return None
    return OutputEvent(record.timestamp, fields) if isinstance(fields, dict) else None
