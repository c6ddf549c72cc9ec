"""Reading a partition of a topic between two fixed offsets, in bounded memory, for commands.

The engine restores its state with code of its own, because it fences other workers first. A read for a command fences
nobody, so it fixes its end when it begins.

A reader has three consumers. One fetches. The other two ask for end offsets: one for the end of what is committed, one
for the end with open transactions. On the first one's connection they would wait until its fetch is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import NamedTuple, Protocol, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import TopicAuthorizationFailedError

from worker.clock import Clock
from worker.inspection import connecting
from worker.inspection.connecting import RightMissing
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.records import InputRecord
from worker.stream.rights import missing_right

CHUNK_RECORDS_MAX = 4000
FETCH_BYTES_MAX = 2 * 1024 * 1024
FETCH_WAIT_MS = 10
"""How long the broker holds a fetch open if there are no records, and how long a read waits for the answer.

It is short, because later requests on the connection wait for the fetch. A read to a fixed end seldom waits at all:
only where a transaction is still open before that end.
"""

STALL_SECONDS_MAX = 45.0
"""Longer than a broker takes to abort the transaction of a killed worker: its time-out and the check, 10 s each."""

EMPTY_ANSWERS_AT_END = 3
EMPTY_SECONDS_AT_END = 2.0
"""A read ends early only after several empty answers over some time, because a throttling broker answers empty too."""

Record = InputRecord
"""A record as it is read, of an input or an output."""

TakeRecords = Callable[[Sequence[Record]], object]


class ReadStalled(Exception):
    """A partition cannot be read to the end asked for; the message is one sentence."""


class PartitionBounds(NamedTuple):
    """Offsets of a partition: its first record, the end of what is committed, and the end with open transactions."""

    start: int
    stable_end: int
    end: int


class ReadProgress(Protocol):
    """Called after every chunk of a read."""

    def __call__(self, topic: str, partition: int, start: int, position: int, end: int) -> None:
        """Take the read's offsets and its position. Must not block."""


def ignore_progress(topic: str, partition: int, start: int, position: int, end: int) -> None:
    """Progress that is not shown."""


class TopicReader:
    """Reads committed records. Use as an async context manager; one read at a time."""

    def __init__(
        self, client_options: Mapping[str, object], progress: ReadProgress = ignore_progress, clock: Clock = Clock()
    ) -> None:
        read_as_input_records()
        self._clock = clock
        self._options = client_options
        self._progress = progress
        self._clients: list[AIOKafkaConsumer] = []

    async def __aenter__(self) -> Self:
        """Connect. Raises BrokerUnreachable."""
        for isolation_level in ("read_committed", "read_committed", "read_uncommitted"):
            self._clients.append(self._consumer(isolation_level))
        try:
            for client in self._clients:
                await connecting.start(client, self._options)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def bounds(self, topic: str, partition: int) -> PartitionBounds:
        """Ask for the offsets of a partition as they are now."""
        _, stable, uncommitted = self._clients
        place = TopicPartition(topic, partition)
        starts = await uncommitted.beginning_offsets([place])
        # The committed end comes first. Asked for second, it could lie beyond the other end.
        stable_ends = await stable.end_offsets([place])
        ends = await uncommitted.end_offsets([place])
        return PartitionBounds(starts[place], stable_ends[place], ends[place])

    async def read(self, topic: str, partition: int, *, start: int, end: int, take: TakeRecords) -> None:
        """Pass the committed records with `start` ≤ offset < `end` to `take`, in order, a chunk at a time.

        Waits for transactions that are open before `end`. Raises ReadStalled when nothing moves for STALL_SECONDS_MAX.
        """
        if start >= end:
            return
        reader = self._clients[0]
        place = TopicPartition(topic, partition)
        reader.assign([place])
        reader.seek(place, start)
        position, moved_at, empty_answers, answered_at = start, self._clock.monotonic(), 0, None
        while position < end:
            try:
                fetched = await reader.getmany(place, timeout_ms=FETCH_WAIT_MS, max_records=CHUNK_RECORDS_MAX)
            except TopicAuthorizationFailedError as error:
                raise RightMissing(missing_right(error, of_topic=lambda _: "Read")) from error
            records = fetched.get(place, [])
            previous, position = position, await reader.position(place)
            if records:
                take(records if records[-1].offset < end else [record for record in records if record.offset < end])
            if position > previous:
                moved_at, empty_answers = self._clock.monotonic(), 0
                self._progress(topic, partition, start, min(position, end), end)
                # Taking is synchronous: let the next fetch start.
                await asyncio.sleep(0)
                continue
            if (polled_at := reader.last_poll_timestamp(place)) != answered_at:
                answered_at = polled_at
                stable_end = reader.last_stable_offset(place)
                # Everything is committed, but no record comes: compaction removed the last ones before the end.
                empty_answers = empty_answers + 1 if stable_end is not None and stable_end >= end else 0
            waited = self._clock.monotonic() - moved_at
            if empty_answers >= EMPTY_ANSWERS_AT_END and waited > EMPTY_SECONDS_AT_END:
                break
            if waited > STALL_SECONDS_MAX:
                raise ReadStalled(
                    f"{topic}/{partition} could not be read beyond offset {position} (its end was {end}): "
                    f"nothing moved for {STALL_SECONDS_MAX:.0f} s; a transaction is open, or the broker does not answer"
                )
        self._progress(topic, partition, start, end, end)

    def _consumer(self, isolation_level: str) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._options,
            isolation_level=isolation_level,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=FETCH_BYTES_MAX,
            request_timeout_ms=10_000,
        )

    async def _close(self) -> None:
        for client in self._clients:
            await connecting.close(client.stop())
        self._clients.clear()


async def read_backwards(
    reader: TopicReader,
    topic: str,
    partition: int,
    *,
    bounds: PartitionBounds,
    span: int,
    take: Callable[[Sequence[Record]], bool],
) -> None:
    """Pass a partition's records to `take` in spans of offsets, the last span first, until `take` returns True.

    The first span has `span` offsets, and each is twice as wide as the one before, at most 64 times `span`.

    Within a span the records are in order and come in one call, so that memory is bounded by the greatest span.
    """
    end, width = bounds.stable_end, span
    while end > bounds.start:
        start = max(bounds.start, end - width)
        held: list[Record] = []
        await reader.read(topic, partition, start=start, end=end, take=held.extend)
        if take(held):
            return
        end, width = start, min(2 * width, 64 * span)
