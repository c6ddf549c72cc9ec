"""A partition that stays goes on from memory; one that was elsewhere is restored."""

from __future__ import annotations

from collections import Counter

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, until
from worker.clock import Clock
from worker.stream.kafka.reaper import Reaper
from worker.stream.start.partition_reader import PartitionReader
from worker.stream.start.restore import StateReader

NUMBERS = numbers(100)


async def test_a_partition_that_stays_through_a_rebalance_goes_on_from_memory(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    made: Counter[int] = Counter()

    def make(partition: int, _count: int) -> Toy:
        made[partition] += 1
        return Toy(world.topics)

    async with world.running(processors=make) as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        assert made == {0: 1, 1: 1}
        async with world.running() as other:
            await until(lambda: len(engine.status().partitions) == 1 and engine.status().ready, engine)
            (kept,) = engine.status().partitions
            (given,) = other.status().partitions
            await world.send(world.b, NUMBERS)
            await world.processed(2 * len(NUMBERS), engine)
        await until(lambda: len(engine.status().partitions) == 2 and engine.status().ready, engine)
        await world.send(world.a, NUMBERS)
        await world.processed(3 * len(NUMBERS), engine)
        assert made == {kept: 1, given: 2}
    assert await world.sums() == expected(NUMBERS, NUMBERS, NUMBERS)
    await check_once(world, 3 * len(NUMBERS))


async def test_a_state_topic_that_was_written_to_meanwhile_counts_as_changed(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    reaper = Reaper()
    topics = PartitionReader(world.config, 0, Clock(), reaper)
    await topics.start()
    reader = StateReader(world.config, 0, topics)
    await world.send(world.topics.state, [(b"key", b"1"), (b"stream/fence", b"2")])
    assert await reader.unchanged(0, 1)
    await world.send(world.topics.state, [(b"key", b"2"), (b"stream/fence", b"3")])
    assert not await reader.unchanged(0, 3)
    assert not await reader.unchanged(1, 3)
    assert await reader.unchanged(2, 3)
    topics.close()
    assert await reaper.wait(5)
