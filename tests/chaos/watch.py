"""How long acknowledged records wait for their commit, and when partitions were taken over, seen from outside.

The watch reads the state topic, read_committed and past the proxies: a position there is a committed transaction. All
times are the event loop's, at the moment a commit became visible.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Topic
from tests.e2e.system import System
from worker.stream.state.positions import FENCE_KEY, POSITIONS_KEY, decode_checkpoint

FRESH_SECONDS: Final = 1.0
"""Records that wait no longer than this are processed as they come."""


class Waiting(NamedTuple):
    """An acknowledged record that is not processed yet."""

    offset: int
    sent_at: float
    acknowledged_at: float


class Stall(NamedTuple):
    """The longest that any acknowledged record waited for the commit of its transaction, and where."""

    seconds: float = 0.0
    partition: int = -1


@dataclass
class _Partition:
    waiting: dict[str, deque[Waiting]] = field(default_factory=dict)
    next_offsets: dict[str, int] = field(default_factory=dict)
    fresh_at: float = 0.0
    """When the youngest record that was processed was sent."""
    fenced_at: float = 0.0
    committed_at: float = 0.0
    """When the first records behind the last fence were committed; 0: none yet."""

    def oldest(self) -> Waiting | None:
        heads = [waiting[0] for waiting in self.waiting.values() if waiting]
        return min(heads, key=lambda head: head.acknowledged_at, default=None)


class Watch:
    """Watches one system."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._partitions = [_Partition() for _ in range(system.partitions)]
        self._moved = asyncio.Event()
        self.longest = Stall()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch for the length of the block."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._system.broker.bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
            metadata_max_age_ms=1000,
            request_timeout_ms=5000,
        )
        await consumer.start()
        reading = asyncio.ensure_future(self._read(consumer))
        try:
            yield
            if reading.done():
                reading.result()
        finally:
            reading.cancel()
            with suppress(asyncio.CancelledError):
                await reading
            await consumer.stop()

    def acknowledged(self, topic: Topic, partition: int, offset: int, sent_at: float) -> None:
        """Note a record that now lies in an input topic."""
        now = asyncio.get_running_loop().time()
        name = self._system.topic(topic)
        of_it = self._partitions[partition]
        if offset >= of_it.next_offsets.get(name, 0):
            of_it.waiting.setdefault(name, deque()).append(Waiting(offset, sent_at, now))
        else:
            of_it.fresh_at = max(of_it.fresh_at, sent_at)

    def delays(self) -> list[float]:
        """By partition: for how many seconds its oldest acknowledged record has been waiting."""
        now = asyncio.get_running_loop().time()
        return [0.0 if (head := each.oldest()) is None else now - head.acknowledged_at for each in self._partitions]

    async def has_seen_all(self) -> bool:
        """Whether everything that was acknowledged is processed."""
        return not any(each.oldest() for each in self._partitions)

    async def recovered(self, struck_at: float) -> float:
        """Wait until every partition has processed records sent after `struck_at`, and none waits long; when."""
        while min(each.fresh_at for each in self._partitions) < struck_at or max(self.delays()) > FRESH_SECONDS:
            await self._next_commit()
        return asyncio.get_running_loop().time()

    async def taken_over(self, partitions: Collection[int], since: float) -> float:
        """Wait until each of the partitions has a fence later than `since` and records committed behind it; when."""
        watched = [self._partitions[partition] for partition in partitions]
        while any(each.fenced_at <= since or not each.committed_at for each in watched):
            await self._next_commit()
        return max(each.committed_at for each in watched)

    async def _next_commit(self) -> None:
        self._moved.clear()
        await self._moved.wait()

    async def _read(self, consumer: Any) -> None:  # noqa: ANN401 - aiokafka has no types
        state = self._system.topic(Topic.STATE)
        consumer.assign([TopicPartition(state, partition) for partition in range(self._system.partitions)])
        clock = asyncio.get_running_loop().time
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    if record.key == FENCE_KEY:
                        self._partitions[record.partition].fenced_at = clock()
                        self._partitions[record.partition].committed_at = 0.0
                    elif record.key == POSITIONS_KEY:
                        self._commit(record.partition, record.value, clock())
            self._moved.set()

    def _commit(self, partition: int, value: bytes, now: float) -> None:
        of_it = self._partitions[partition]
        moved = False
        for topic, position in decode_checkpoint(value).positions.items():
            moved |= position.next_offset > of_it.next_offsets.get(topic, 0)
            of_it.next_offsets[topic] = position.next_offset
            waiting = of_it.waiting.get(topic, deque())
            while waiting and waiting[0].offset < position.next_offset:
                processed = waiting.popleft()
                of_it.fresh_at = max(of_it.fresh_at, processed.sent_at)
                self.longest = max(self.longest, Stall(now - processed.acknowledged_at, partition))
        if moved and not of_it.committed_at:
            of_it.committed_at = now
