"""A long restore is visible, and delays nothing else."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, state_of, until
from worker.stream import PartitionState

NUMBERS = numbers(200)
STEP_SECONDS = 0.02
SESSION_SECONDS = 6.0


class Slow(Toy):
    """Derives what it does not store, and comes to no end before `enough` is set."""

    restores = 0
    enough = False

    def finish_restore(self, stream_time_ms: int, generations: Mapping[str, int]) -> Iterator[None]:
        Slow.restores += 1
        while not Slow.enough:
            time.sleep(STEP_SECONDS)  # it computes: the event loop does not get a turn meanwhile
            yield
        yield from super().finish_restore(stream_time_ms, generations)


async def test_a_long_restore_delays_neither_the_group_nor_other_partitions(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    await world.send(world.a, NUMBERS, partition=0)
    async with world.running() as engine:
        await world.processed(len(NUMBERS), engine)
    Slow.restores, Slow.enough = 0, False
    slow = lambda partition, count: Slow(world.topics) if partition == 0 else world.toy(partition, count)  # noqa: E731
    async with world.running(processors=slow, ready=False) as engine:
        await until(lambda: Slow.restores > 0, engine)
        restoring_since = time.monotonic()
        status = engine.status().partitions[0]
        assert status.state is PartitionState.RESTORING
        assert status.restore is not None
        assert status.restore.records > 0
        assert not engine.status().ready
        await world.send(world.a, NUMBERS, partition=1)
        await world.processed(2 * len(NUMBERS), engine)
        await until(lambda: time.monotonic() - restoring_since > SESSION_SECONDS + 1, engine)
        assert state_of(engine.status(), 0) is PartitionState.RESTORING
        assert state_of(engine.status(), 1) is PartitionState.RUNNING
        Slow.enough = True
        await until(lambda: engine.status().ready, engine)
        assert Slow.restores == 1, "the group assigned the partition to no other member meanwhile"
    assert await world.sums() == expected(NUMBERS, NUMBERS)
    await check_once(world, 2 * len(NUMBERS))
