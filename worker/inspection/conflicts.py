"""The record that a conflict is with: the state remembers it by a hash, so it is looked for in the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.decoding import Refused, decode
from schemas.inputs import InputEvent, StockCounted
from schemas.topics import Topic
from worker.inspection.dead_letters import DeadLetter
from worker.inspection.topic_reader import Record, TopicReader


class First(NamedTuple):
    """The record that came first, and in which fields the refused one differs."""

    id: str
    fields: list[str]


async def first_of(reader: TopicReader, letter: DeadLetter, record: Record, topic: Topic) -> First | None:
    """Find what a dead letter with the code `conflict` conflicts with. None: it is not in its topic any more.

    `record` is the dead letter's own; all of the input before it is read.
    """
    try:
        refused = decode(topic, record.value).event
    except Refused:
        return None
    sought = _identity(refused)
    # What is escaped in JSON may be spelled otherwise; then every record is decoded.
    spelled = sought[-1].encode() if sought[-1].isascii() and sought[-1].isalnum() else b""
    found: list[First] = []

    def take(records: Sequence[Record]) -> None:
        for each in records:
            if found or each.value is None or spelled not in each.value or each.key != record.key:
                continue
            try:
                event = decode(topic, each.value).event
            except Refused:
                continue
            if _identity(event) == sought and (fields := _differences(event, refused)):
                found.append(First(f"{letter.source_topic}/{letter.source_partition}/{each.offset}", fields))

    bounds = await reader.bounds(letter.source_topic, letter.source_partition)
    end = min(letter.source_offset, bounds.stable_end)
    if bounds.start < end:
        await reader.read(letter.source_topic, letter.source_partition, start=bounds.start, end=end, take=take)
    return found[0] if found else None


def _identity(event: InputEvent) -> tuple[str, ...]:
    """The identity that conflicting events of an account share; the last part is an id."""
    if isinstance(event, StockCounted):
        return event.origin, event.warehouse_id, str(event.part), event.snapshot_id
    return getattr(event, "order_id", ""), event.event_id


def _differences(event: InputEvent, other: InputEvent) -> list[str]:
    if type(event) is not type(other):
        return ["type"]
    unlike = (name for name in event.__struct_fields__ if getattr(event, name) != getattr(other, name))
    ignored = {"event_id", "occurred_at"} if isinstance(event, StockCounted) else set()
    return [name for name in unlike if name not in ignored]
