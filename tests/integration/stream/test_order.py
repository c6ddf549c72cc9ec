"""The order of inputs on a real broker: by timestamp, and counts never ahead of what they count."""

from __future__ import annotations

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import check_once, numbers
from tests.integration.stream.world import World, until
from worker.clock import wall_clock_ms

NUMBERS = numbers(200)
TOTAL = sum(int(value) for _, value in NUMBERS)
COUNT = [(b"count", b"")]


async def _sums_seen(world: World) -> list[tuple[bytes, int]]:
    """The outputs of the counts, in order: their place, and the sum they saw."""
    values = [value for _, key, value, _ in await world.read(world.topics.out) if key == b"count" and value is not None]
    return [(place, int(seen)) for seen, place in (value.split(b"@") for value in values)]


async def test_catching_up_takes_all_inputs_by_timestamp(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    began_at_ms = wall_clock_ms() - 60_000  # within the retention of the topics
    for turn in range(20):
        topic = world.a if turn % 2 else world.b
        await world.send(topic, [(b"key", b"%d" % (1 << turn))], timestamp_ms=began_at_ms + turn)
    async with world.running() as engine:
        await world.processed(20, engine)
    sums = [int((value or b"").split(b"@")[0]) for _, _, value, _ in await world.read(world.topics.out)]
    assert sums == [(2 << turn) - 1 for turn in range(20)]


async def test_a_count_sees_everything_that_was_there_before_it(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    await world.send(world.b, NUMBERS)
    await world.send(world.counts, COUNT)
    async with world.running() as engine:
        await world.processed(2 * len(NUMBERS) + 1, engine)
        assert [seen for _, seen in await _sums_seen(world)] == [2 * TOTAL]


async def test_counts_that_come_while_events_come_are_never_ahead_of_them(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    rounds = 10
    async with world.running() as engine:
        for _ in range(rounds):
            await world.send(world.a, NUMBERS)
            await world.send(world.b, NUMBERS)
            await world.send(world.counts, COUNT)
        await world.processed(rounds * (2 * len(NUMBERS) + 1), engine)
        await until(lambda: engine.status().ready, engine)
    sums = [seen for _, seen in await _sums_seen(world)]
    assert len(sums) == rounds
    for number, sum_seen in enumerate(sums, start=1):
        assert sum_seen >= 2 * TOTAL * number
    await check_once(world, rounds * (2 * len(NUMBERS) + 1))
