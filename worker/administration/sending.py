"""Checking events as the worker checks them, and sending each to its topic and partition.

Only the state can decide whether an event is a duplicate or too late. Everything else is checked here, so that no line
of a file is sent if one of them could only become a dead letter.
"""

from __future__ import annotations

import asyncio
import difflib
from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer

from schemas.catalogue import TOPIC_OF
from schemas.decoding import Decoded, Refused, decode
from schemas.inputs import StockCounted
from schemas.topics import LEDGER, RECORD_BYTES_MAX, Topic
from worker.domain.ledger import COUNTED_AHEAD_MS_MAX, OCCURRED_AHEAD_MS_MAX
from worker.domain.policies import Policies
from worker.inspection import connecting
from worker.inspection.admin import INPUT_RECORD_BYTES_MAX
from worker.stream.partitioning import partition_of

IN_FLIGHT_MAX: Final = 2000
RECORD_OVERHEAD_BYTES: Final = 100
"""An upper bound for the bytes of a record in a batch of its own, besides key and value."""

_INPUT_TYPES: Final = [name for name, topic in TOPIC_OF.items() if topic in LEDGER.inputs]


class _Tagged(msgspec.Struct):
    type: Any = None


_tag_of = msgspec.json.Decoder(_Tagged).decode


class BadLine(Exception):
    """A line cannot be sent; the message is one sentence."""


class EventLine(NamedTuple):
    """An event to send. `timestamp_ms` None: the time of sending."""

    topic: Topic
    account_id: str
    value: bytes
    timestamp_ms: int | None
    occurred_ms: int


@dataclass(frozen=True, slots=True)
class Checking:
    """Checks lines as of `now_ms`. `as_of_event`: each is sent with the timestamp of its `occurred_at`."""

    now_ms: int
    as_of_event: bool
    policies: Policies

    def check(self, value: bytes) -> EventLine:
        """Check a line, and return its event. Raises BadLine."""
        topic = _topic_of(value)
        try:
            decoded = decode(topic, value)
        except Refused as refused:
            raise BadLine(f"{refused.message.rstrip('.')} ({refused.code}).") from refused
        at_ms = decoded.occurred_at_ms if self.as_of_event else self.now_ms
        _check_times(decoded, at_ms)
        account_id = decoded.event.account_id
        if len(value) + len(account_id.encode()) + RECORD_OVERHEAD_BYTES > INPUT_RECORD_BYTES_MAX:
            raise BadLine(f"The event has {len(value)} bytes; a record of an input has at most 4 MiB.")
        return EventLine(topic, account_id, value, at_ms if self.as_of_event else None, decoded.occurred_at_ms)

    def is_old(self, line: EventLine) -> bool:
        """Return whether an event is older than the retention, so refused (`too_late`) unless its order is known."""
        return (
            not self.as_of_event
            and line.topic in (Topic.ORDERS, Topic.SUB_ORDERS)
            and line.occurred_ms < self.now_ms - self.policies.of(line.account_id).retention_ms
        )


def _topic_of(value: bytes) -> Topic:
    """Find the input for the type of an event; orders for one without a type, so that decoding names the problem."""
    try:
        tag = _tag_of(value).type
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        tag = None
    topic = TOPIC_OF.get(tag) if isinstance(tag, str) else Topic.ORDERS
    if topic in LEDGER.inputs:
        return topic
    if topic is not None:
        raise BadLine(f"The type {tag} is an output of the worker (unknown_type).")
    close = difflib.get_close_matches(tag, _INPUT_TYPES, n=1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise BadLine(f"There is no type {tag[:100]!r} (unknown_type){hint}")


def _check_times(decoded: Decoded, at_ms: int) -> None:
    if at_ms < 0:
        raise BadLine("The field occurred_at is before 1970, which no timestamp of a record can hold.")
    if decoded.occurred_at_ms > at_ms + OCCURRED_AHEAD_MS_MAX:
        raise BadLine("The field occurred_at is more than 24 h ahead (future).")
    if isinstance(decoded.event, StockCounted) and decoded.as_of_ms > at_ms + COUNTED_AHEAD_MS_MAX:
        raise BadLine("The field as_of is more than 5 min after the record's timestamp (future).")


# Sending.


@dataclass(slots=True)
class Sent:
    """The offsets of records that were sent, by full topic name and partition."""

    offsets: dict[tuple[str, int], array[int]] = field(default_factory=dict)

    def add(self, topic: str, partition: int, offset: int) -> None:
        """Add an acknowledged record; those of one partition must come in their order."""
        self.offsets.setdefault((topic, partition), array("q")).append(offset)

    def by_topic(self) -> dict[str, int]:
        """Count the records sent to each topic."""
        counts: dict[str, int] = {}
        for (topic, _), offsets in sorted(self.offsets.items()):
            counts[topic] = counts.get(topic, 0) + len(offsets)
        return counts

    def unread(self, committed: Mapping[tuple[str, int], int]) -> int:
        """Count the records at or after the offsets that the group has committed."""
        return sum(len(offsets) - bisect_left(offsets, committed.get(at, 0)) for at, offsets in self.offsets.items())

    def lost(self, committed: Mapping[tuple[str, int], int], starts: Mapping[tuple[str, int], int]) -> int:
        """Count the records that Kafka deleted unread: after the committed offset, and before the first one kept.

        `committed` must have been read before `starts`.
        """
        return sum(
            max(0, bisect_left(offsets, starts[at]) - bisect_left(offsets, committed.get(at, 0)))
            for at, offsets in self.offsets.items()
        )


class LineSender:
    """Sends lines, each to its account's partition. Made by `open_sender`."""

    def __init__(self, producer: AIOKafkaProducer, prefix: str, partition_count: int) -> None:
        self._producer = producer
        self._prefix = prefix
        self._partition_count = partition_count
        self._pending: deque[asyncio.Future[Any]] = deque()
        self.sent = Sent()

    async def send(self, line: EventLine) -> None:
        """Hand a line over; at most so many are not acknowledged yet. Raises an error of Kafka for an earlier one."""
        while len(self._pending) >= IN_FLIGHT_MAX:
            await self._take()
        self._pending.append(
            await self._producer.send(
                self._prefix + line.topic.value,
                line.value,
                key=line.account_id.encode(),
                partition=partition_of(line.account_id, self._partition_count),
                timestamp_ms=line.timestamp_ms,
            )
        )

    async def finish(self) -> None:
        """Wait until everything is acknowledged. Raises an error of Kafka."""
        while self._pending:
            await self._take()

    async def _take(self) -> None:
        acknowledged = await self._pending.popleft()
        self.sent.add(acknowledged.topic, acknowledged.partition, acknowledged.offset)


@asynccontextmanager
async def open_sender(
    client_options: Mapping[str, object], prefix: str, partition_count: int
) -> AsyncIterator[LineSender]:
    """Connect for the length of the block. Raises BrokerUnreachable."""
    producer = AIOKafkaProducer(
        **client_options,
        acks="all",
        enable_idempotence=True,
        linger_ms=5,
        max_request_size=RECORD_BYTES_MAX,
        request_timeout_ms=10_000,
    )
    try:
        await connecting.start(producer, client_options)
        yield LineSender(producer, prefix, partition_count)
    finally:
        await connecting.close(producer.stop())
