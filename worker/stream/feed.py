"""Records on their way from the group's one consumer to the tasks of the partitions.

One coroutine reads for all tasks. So only that one waits inside the client during a rebalance, and no task wakes for
the records of another. It takes over immediately what was fetched, so that the client can fetch on. A partition is
paused from its assignment until its task has set the offsets. If an input's buffer is full, its records stay with the
client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError

from worker.stream.clients import Consumer
from worker.stream.config import EngineConfig
from worker.stream.errors import bounded
from worker.stream.kafka.fetched import Unreadable
from worker.stream.merge import Merge, Reading

POLL_MS = 100
CROWDED_POLL_MS = 5
"""The poll time while a buffer is full. The client is asked for the other inputs only, so it is asked again soon."""
RECORDS_PER_POLL = 1000
NOTHING = TopicPartition("nothing", -1)
"""A partition that does not exist. A request for it only shows the client that its reader is alive."""


class Inlet(NamedTuple):
    """Where the records of one partition go: its merge, and the task to wake."""

    merge: Merge
    wake: asyncio.Event
    lost: Callable[[str, int, Exception], None]
    """Called with the topic, the offset that cannot be read, and the error."""


class Feed:
    """Takes records from the consumer and puts each into the inlet of its partition."""

    def __init__(self, config: EngineConfig, consumer: Consumer) -> None:
        self._config = config
        self._consumer = consumer
        self._inlets: dict[int, Inlet] = {}

    def hold(self, sources: Iterable[TopicPartition]) -> None:
        """Fetch nothing of newly assigned partitions until they are opened."""
        for source in sources:
            self._consumer.pause(source)
            # With a position, the client does not ask for a committed offset.
            self._consumer.seek(source, 0)

    def open(self, partition: int, inlet: Inlet, offsets: Mapping[str, int]) -> None:
        """Begin to read a partition at `offsets`."""
        self._inlets[partition] = inlet
        for topic in self._config.inputs:
            source = TopicPartition(topic, partition)
            self._consumer.seek(source, offsets[topic])
            self._consumer.resume(source)

    def close(self, partition: int) -> None:
        """Stop reading a partition."""
        if self._inlets.pop(partition, None) is None:
            return
        assigned = self._consumer.assignment()
        for topic in self._config.inputs:
            source = TopicPartition(topic, partition)
            if source in assigned:
                self._consumer.pause(source)

    async def observe(self, partition: int) -> None:
        """Pass to the partition's merge what the client knows of each input now."""
        inlet = self._inlets.get(partition)
        if inlet is None:
            return
        for topic in self._config.inputs:
            inlet.merge.observe(topic, await self._reading(TopicPartition(topic, partition)))

    async def lags(self, partition: int) -> dict[str, int]:
        """How many records of each input are neither processed nor in the current batch."""
        inlet = self._inlets.get(partition)
        if inlet is None or TopicPartition(self._config.inputs[0], partition) not in self._consumer.assignment():
            return {}
        lags = {}
        for topic in self._config.inputs:
            reading = await self._reading(TopicPartition(topic, partition))
            unread = 0 if reading.stable_offset is None else max(0, reading.stable_offset - reading.position)
            lags[topic] = unread + inlet.merge.records_of(topic)
        return lags

    async def ends(self, partition: int) -> dict[str, int]:
        """Where the inputs end for a read_committed reader. Raises StepTimeout, and errors of the broker."""
        sources = [TopicPartition(topic, partition) for topic in self._config.inputs]
        asked = self._consumer.end_offsets(sources)
        offsets = await bounded(asked, self._config.step_ms_max, "finding the inputs' end")
        return {source.topic: offset for source, offset in offsets.items()}

    def answered_at_ms(self) -> int | None:
        """When the latest fetch answer of an open partition came, by the client's clock; None if there is none."""
        answers = [
            self._consumer.last_poll_timestamp(TopicPartition(topic, partition))
            for partition in self._inlets
            for topic in self._config.inputs
        ]
        return max((answer for answer in answers if answer is not None), default=None)

    async def poll(self) -> None:
        """Wait a short while for records, and put them into their inlets.

        Raises errors of the group or the broker, and then reads no partition any more. An offset out of range or a
        corrupt batch concerns one partition, so only its inlet is informed.
        """
        wanted, crowded = self._wanted()
        try:
            # Nothing may be awaited between the answer and its handover, because a rebalance could come in between.
            batches = await self._consumer.getmany(
                *wanted, timeout_ms=CROWDED_POLL_MS if crowded else POLL_MS, max_records=RECORDS_PER_POLL
            )
        except OffsetOutOfRangeError as error:
            for source, offset in error.args[0].items():
                inlet = self._inlets.get(source.partition)
                if inlet is not None:
                    self._lose(source, inlet, offset, error)
            return
        except NoOffsetForPartitionError:
            return  # Asked for before the assignment was held; it has a position by now.
        except Exception:
            # The client has dropped records that it took out before the error, and its positions are after them.
            self._inlets.clear()
            raise
        for source, records in batches.items():
            inlet = self._inlets.get(source.partition)
            if inlet is None:
                continue
            if type(records[-1]) is Unreadable:
                unreadable = records.pop()
                self._lose(source, inlet, unreadable.offset, unreadable.error)
            inlet.merge.put(source.topic, records)
            inlet.wake.set()

    def _lose(self, source: TopicPartition, inlet: Inlet, offset: int, error: Exception) -> None:
        self._consumer.pause(source)  # otherwise each poll would ask for the same offset again
        inlet.lost(source.topic, offset, error)

    def _wanted(self) -> tuple[list[TopicPartition], bool]:
        """The inputs to ask for (empty: all), and whether some are left out because their buffers are full."""
        wanted = []
        crowded = False
        for partition, inlet in self._inlets.items():
            for topic in self._config.inputs:
                if (
                    inlet.merge.records_of(topic) < self._config.buffer_records_max
                    and inlet.merge.bytes_of(topic) < self._config.buffer_bytes_max
                ):
                    wanted.append(TopicPartition(topic, partition))
                else:
                    crowded = True
        if not crowded:
            return [], False
        return wanted or [NOTHING], True

    async def _reading(self, source: TopicPartition) -> Reading:
        consumer = self._consumer
        stable_offset = consumer.last_stable_offset(source)
        return Reading(
            consumer.last_poll_timestamp(source),
            await consumer.position(source),
            None if stable_offset is None or stable_offset < 0 else stable_offset,
            consumer.highwater(source),
        )
