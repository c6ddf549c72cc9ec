"""What stops a partition stops it alone, with a sentence, and commits nothing that was not decided."""

from __future__ import annotations

import pytest

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, state_of, until
from worker.stream import Engine, InputRecord, NotAssigned, PartitionState
from worker.stream.state.positions import (
    FORMAT_KEY,
    POSITIONS_KEY,
    Checkpoint,
    Position,
    encode_checkpoint,
    encode_format,
)

NUMBERS = numbers(100)


async def _halted(engine: Engine[Toy], partition: int) -> str:
    """The reason, once the partition is halted."""
    await until(lambda: state_of(engine.status(), partition) is PartitionState.HALTED, engine)
    status = engine.status()
    assert not status.ready
    reason = status.partitions[partition].reason
    assert reason is not None
    return reason


async def test_a_processor_that_raises_stops_its_partition_and_no_other(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    await world.send(world.a, NUMBERS, partition=1)
    async with world.running() as engine:
        await world.processed(len(NUMBERS), engine)
        await world.send(world.a, [*NUMBERS, (b"key", b"poison"), *NUMBERS], partition=0)
        reason = await _halted(engine, 0)
        assert "InvariantViolation: the sums do not add up" in reason
        assert f"{world.a}/0/{len(NUMBERS)}" in reason
        await world.send(world.b, NUMBERS, partition=1)
        await world.processed(2 * len(NUMBERS), engine)
        with pytest.raises(NotAssigned):
            await engine.read(0, lambda toy: toy)
    positions = await world.positions()
    assert positions[0][world.a].next_offset <= len(NUMBERS)
    assert positions[1][world.b].applied == len(NUMBERS)


async def test_a_failing_waits_halts_its_own_partition_alone(broker: Broker, names: Names) -> None:
    class Unsure(Toy):
        def waits(self, record: InputRecord) -> bool:
            if record.value == b"riddle":
                raise TypeError("the program is wrong")
            return super().waits(record)

    world = await World(broker, names).create()
    async with world.running(processors=lambda _partition, _count: Unsure(world.topics)) as engine:
        await world.send(world.a, [(b"key", b"riddle")], partition=0)
        reason = await _halted(engine, 0)
        assert reason.startswith(f"partition 0 stopped at {world.a}/0/0: TypeError: the program is wrong")
        await world.send(world.b, NUMBERS, partition=1)
        await world.processed(len(NUMBERS), engine)
        assert state_of(engine.status(), 1) is PartitionState.RUNNING


async def test_a_halted_partition_stays_halted_across_a_rebalance(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    async with world.running() as engine:
        await world.send(world.a, [(b"key", b"poison")], partition=0)
        reason = await _halted(engine, 0)
        async with world.running(ready=False) as other:
            await until(lambda: len(other.status().partitions) == 1, other)
        await until(lambda: state_of(engine.status(), 1) is PartitionState.RUNNING, engine)
        assert await _halted(engine, 0) == reason
        await world.send(world.a, NUMBERS, partition=0)
        await until(lambda: engine.status().partitions[0].lag.get(world.a) == 1 + len(NUMBERS), engine)


async def test_the_breaker_commits_what_was_decided_and_stops_the_partition(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    async with world.running(breaker_bad_max=20, breaker_window=40) as engine:
        await world.processed(len(NUMBERS), engine)
        await world.send(world.a, [(b"key", b"nonsense")] * 50)
        assert "20 of its last 40 records were dead-lettered" in await _halted(engine, 0)
    position = (await world.positions())[0][world.a]
    assert (position.applied, position.dead_lettered) == (len(NUMBERS), 20)
    assert len(await world.read(world.topics.bad)) == 20
    assert await world.sums() == expected(NUMBERS)


async def test_without_a_breaker_everything_bad_is_dead_lettered(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    bad: list[tuple[bytes, bytes | None]] = [(b"key", b"nonsense")] * 50 + [(b"key", None)]
    await world.send(world.a, bad)
    async with world.running(breaker_bad_max=0, breaker_window=40) as engine:
        await world.processed(len(bad), engine)
        assert engine.status().ready
    assert len(await world.read(world.topics.bad)) == len(bad)


async def _write_state(world: World, records: list[tuple[bytes, bytes]]) -> None:
    await world.send(world.topics.state, records, partition=0)


async def test_an_offset_beyond_the_end_of_its_topic_halts_the_partition(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    ahead = {world.a: Position(5000, gaps=5000), world.b: Position(0), world.counts: Position(0)}
    await _write_state(
        world, [(FORMAT_KEY, encode_format(1)), (POSITIONS_KEY, encode_checkpoint(Checkpoint(ahead, -1)))]
    )
    async with world.running(ready=False) as engine:
        reason = await _halted(engine, 0)
    assert f"{world.a}/0 ends at offset 100, but was read up to 5000" in reason
    assert f"`stockfreeze topics accept {world.a} --from beginning`" in reason
    assert await world.outputs() == []


@pytest.mark.apache  # the embedded broker deletes no records
async def test_an_offset_that_was_deleted_halts_the_partition(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS[:10])
    async with world.running() as engine:
        await world.processed(10, engine)
    await world.send(world.a, NUMBERS)
    await world.delete_before(world.a, 50)
    async with world.running(ready=False) as engine:
        assert f"{world.a}/0 begins at offset 50, but was read up to 10 only" in await _halted(engine, 0)


async def test_a_state_of_a_newer_version_halts_the_partition(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    await _write_state(world, [(FORMAT_KEY, encode_format(1)), (b"key", b"v2 of a sum")])
    async with world.running(ready=False) as engine:
        assert "newer version" in await _halted(engine, 0)
    assert await world.outputs() == []


async def test_large_records_pass(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    large = b"large" + b"x" * (5 << 20)
    async with world.running() as engine:
        await world.send(world.a, [*NUMBERS, (b"key", large), *NUMBERS, (b"key", large)])
        await world.processed(2 * len(NUMBERS) + 2, engine)
    assert [value for _, _, value, _ in await world.read(world.topics.bad)] == [large, large]
    assert await world.sums() == expected(NUMBERS, NUMBERS)
