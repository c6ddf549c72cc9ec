"""Topics, engines and eyes for the engine's tests: everything a test does to a real broker and sees on it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete

from tests.brokers import Broker, Names
from tests.integration.stream.toy import Toy, ToyTopics
from worker.stream import Engine, EngineConfig, EngineStatus, PartitionState
from worker.stream.observer import SilentObserver
from worker.stream.state.positions import POSITIONS_KEY, Position, decode_checkpoint

WAIT_SECONDS = 30.0
Record = tuple[int, bytes | None, bytes | None, int]
"""partition, key, value, offset"""


class World:
    """One application on a broker: topics `a`, `b` and `counts` in; `out` and `bad` out; `state`."""

    def __init__(self, broker: Broker, names: Names, partitions: int = 2) -> None:
        self.broker = broker
        self.names = names
        self.partitions = partitions
        self.a, self.b, self.counts = (names.prefix + name for name in ("a", "b", "counts"))
        self.topics = ToyTopics(*(names.prefix + name for name in ("out", "bad", "state")))
        self.config = EngineConfig(
            app_id=names.app_id,
            client={"bootstrap_servers": broker.bootstrap_servers},
            inputs=(self.a, self.b, self.counts),
            outputs=(self.topics.out, self.topics.bad),
            journal_topic=self.topics.out,
            state_topic=self.topics.state,
            fenced_backoff_ms=300,
            topic_check_interval_ms=500,
        )

    async def create(self) -> World:
        """Make the topics."""
        inputs = (self.a, self.b, self.counts)
        await self.broker.create_topics([*inputs, self.topics.bad], partitions=self.partitions)
        kept = {"retention.ms": "-1"}
        await self.broker.create_topics([self.topics.out], partitions=self.partitions, config=kept)
        compacted = {"cleanup.policy": "compact"}
        await self.broker.create_topics([self.topics.state], partitions=self.partitions, config=compacted)
        return self

    def toy(self, _partition: int, _count: int) -> Toy:
        """A processor of this application."""
        return Toy(self.topics)

    @asynccontextmanager
    async def running(
        self, *, processors: Callable[[int, int], Toy] | None = None, ready: bool = True, **changed: object
    ) -> AsyncIterator[Engine[Toy]]:
        """An engine that runs for the length of the block, awaited until it is ready; settings may be changed."""
        config = replace(self.config, **changed)  # type: ignore[arg-type]
        engine: Engine[Toy] = Engine(config, processors or self.toy, SilentObserver())
        run = asyncio.create_task(engine.run())
        try:
            if ready:
                await until(lambda: engine.status().ready, engine)
            yield engine
        finally:
            await engine.stop()
            await run

    async def send(
        self,
        topic: str,
        records: Iterable[tuple[bytes, bytes | None]],
        *,
        partition: int | None = None,
        timestamp_ms: int | None = None,
    ) -> None:
        """Append records, the i-th to partition i mod count, unless `partition` is given."""
        producer: Any = AIOKafkaProducer(bootstrap_servers=self.broker.bootstrap_servers, max_request_size=9 << 20)
        await producer.start()
        try:
            futures = [
                await producer.send(
                    topic,
                    key=key,
                    value=value,
                    partition=number % self.partitions if partition is None else partition,
                    timestamp_ms=timestamp_ms,
                )
                for number, (key, value) in enumerate(records)
            ]
            await asyncio.gather(*futures)
        finally:
            await producer.stop()

    async def delete_before(self, topic: str, offset: int) -> None:
        """Delete the records of its partition 0 that lie before an offset. The embedded broker deletes none."""
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        await admin.start()
        await admin.delete_records({TopicPartition(topic, 0): RecordsToDelete(before_offset=offset)})
        await admin.close()

    async def read(self, topic: str) -> list[Record]:
        """Every committed record of a topic, partition by partition."""
        consumer: Any = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=50,
        )
        await consumer.start()
        try:
            sources = [TopicPartition(topic, partition) for partition in range(self.partitions)]
            consumer.assign(sources)
            records: list[Record] = []
            ends = await consumer.end_offsets(sources)
            async with asyncio.timeout(WAIT_SECONDS):
                while [source for source in sources if await consumer.position(source) < ends[source]]:
                    for source, batch in (await consumer.getmany(timeout_ms=100)).items():
                        records.extend((source.partition, record.key, record.value, record.offset) for record in batch)
            return sorted(records, key=lambda record: (record[0], record[3]))
        finally:
            await consumer.stop()

    async def sums(self) -> dict[bytes, int]:
        """The sums in the state topic, added over the partitions."""
        latest = {(partition, key): value for partition, key, value, _ in await self.read(self.topics.state)}
        sums: Counter[bytes] = Counter()
        for (_, key), value in latest.items():
            if key is not None and value is not None and not key.startswith(b"stream/"):
                sums[key] += int(value)
        return dict(sums)

    async def positions(self) -> dict[int, dict[str, Position]]:
        """The positions in the state topic, by partition."""
        positions = {}
        for partition, key, value, _ in await self.read(self.topics.state):
            if key == POSITIONS_KEY and value is not None:
                positions[partition] = decode_checkpoint(value).positions
        return positions

    async def outputs(self) -> list[bytes]:
        """The values in the output topic, sorted."""
        return sorted(value for _, _, value, _ in await self.read(self.topics.out) if value is not None)

    async def processed(self, count: int, engine: Engine[Toy]) -> None:
        """Wait until so many records in all have an outcome."""

        async def done() -> bool:
            return await self.decided() >= count

        await until_true(done, engine)

    async def decided(self) -> int:
        """How many records in all have an outcome."""
        by_partition = (await self.positions()).values()
        return sum(sum(position.counts[1:5]) for positions in by_partition for position in positions.values())


async def until(condition: Callable[[], bool], engine: Engine[Toy], seconds_max: float = WAIT_SECONDS) -> None:
    """Wait for a condition; fail with the engine's status if it does not come."""
    try:
        async with asyncio.timeout(seconds_max):
            while not condition():  # noqa: ASYNC110 - the condition has no event
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not in {seconds_max} s; the engine's status is {engine.status()}") from None


async def until_true(condition: Callable[[], Any], engine: Engine[Toy]) -> None:
    """Like `until`, for a condition that has to ask the broker."""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            while not await condition():  # noqa: ASYNC110 - the same
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not in {WAIT_SECONDS} s; the engine's status is {engine.status()}") from None


def state_of(status: EngineStatus, partition: int) -> PartitionState | None:
    """The state of a partition, or None when this worker does not have it."""
    return status.partitions[partition].state if partition in status.partitions else None
