"""Whatever happens between two transactions, every record takes effect once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, state_of, until
from worker.stream import InputRecord, NotAssigned, Outcome, PartitionState

NUMBERS = numbers(400)


async def test_every_record_takes_effect_once(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    await world.send(world.a, NUMBERS)
    async with world.running() as engine:
        await world.send(world.b, NUMBERS)
        await world.processed(2 * len(NUMBERS), engine)
    assert await world.sums() == expected(NUMBERS, NUMBERS)
    await check_once(world, 2 * len(NUMBERS))


async def test_an_engine_goes_on_from_the_state_alone(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    for round_ in range(3):
        await world.send(world.a, NUMBERS)
        async with world.running() as engine:
            await world.processed((round_ + 1) * len(NUMBERS), engine)
    assert await world.sums() == expected(NUMBERS, NUMBERS, NUMBERS)
    await check_once(world, 3 * len(NUMBERS))


async def test_another_system_on_the_same_topics_doubles_nothing(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    async with world.running() as engine, world.running(app_id=f"{names.app_id}-other") as other:

        def is_told() -> bool:
            states = (each.status().partitions.get(0) for each in (engine, other))
            return any("another APP_ID" in (state.reason or "") for state in states if state is not None)

        telling = asyncio.ensure_future(until(is_told, engine))  # they say so only until they begin anew
        for round_ in range(1, 5):
            await world.send(world.a, NUMBERS)
            await world.processed(round_ * len(NUMBERS), engine)
        await telling
    assert await world.sums() == expected(*4 * [NUMBERS])
    await check_once(world, 4 * len(NUMBERS))


async def test_committed_state_can_be_read_between_transactions(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    await world.send(world.a, [(b"key", b"7")], partition=1)
    async with world.running() as engine:
        await world.processed(1, engine)
        assert await engine.read(1, lambda toy: toy.sums) == {b"key": 7}
        with pytest.raises(NotAssigned):
            await engine.read(9, lambda toy: toy)
        status = engine.status()
        assert status.ready
        assert state_of(status, 0) is PartitionState.RUNNING
        await until(lambda: engine.status().partitions[1].lag == {world.a: 0, world.b: 0, world.counts: 0}, engine)
    with pytest.raises(NotAssigned):
        await engine.read(1, lambda toy: toy)


async def test_a_reader_waits_until_a_record_that_is_taken_in_steps_is_committed(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, [(b"key", b"7")])
    reads: list[asyncio.Future[int]] = []
    read_half_way: list[bool] = []

    class Stepwise(Toy):
        def process(self, record: InputRecord) -> Outcome:
            outcome = super().process(record)
            self.rest = self._go_on()
            return outcome

        def _go_on(self) -> Iterator[None]:
            whole, self.sums[b"key"] = self.sums[b"key"], -1
            reads.append(asyncio.ensure_future(engine.read(0, lambda toy: toy.sums[b"key"])))
            for _ in range(100):
                yield
            read_half_way.append(reads[0].done())
            self.sums[b"key"] = whole

    async with world.running(
        processors=lambda _partition, _count: Stepwise(world.topics), ready=False, chunk_time_ms_max=0
    ) as engine:
        await world.processed(1, engine)
        assert await reads[0] == 7
    assert read_half_way == [False]
    assert await world.sums() == {b"key": 7}


async def test_two_engines_share_partitions_and_take_over_from_each_other(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=4).create()
    async with world.running() as first:
        async with world.running() as second:
            await until(lambda: len(first.status().partitions) == 2 and first.status().ready, first)
            await until(lambda: len(second.status().partitions) == 2 and second.status().ready, second)
            await world.send(world.a, NUMBERS)
            await world.processed(len(NUMBERS), first)
        await world.send(world.b, NUMBERS)
        await world.processed(2 * len(NUMBERS), first)
        assert len(first.status().partitions) == 4
    assert await world.sums() == expected(NUMBERS, NUMBERS)
    await check_once(world, 2 * len(NUMBERS))
