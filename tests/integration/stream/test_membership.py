"""Who is a member of the group beside this worker, and what comes of it: a twin, a stranger, and brokers that hand the
group on to each other.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from tests.brokers import Broker, BrokerKind, Names, apache_kafka
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.world import World, until

NUMBERS = numbers(200)
TWIN_SECONDS_MAX = 60.0


@pytest.mark.apache
async def test_two_workers_with_one_group_instance_id_are_told_so(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    async with world.running(group_instance_id="twin") as first:
        await world.send(world.a, NUMBERS)
        async with world.running(group_instance_id="twin", ready=False) as second:

            def reported() -> bool:
                problems = (first.status().problem, second.status().problem)
                return any(
                    "twin" in problem and "two workers have the member id" in problem for problem in problems if problem
                )

            await until(reported, first, TWIN_SECONDS_MAX)
        await until(lambda: first.status().ready, first, TWIN_SECONDS_MAX)
        await world.send(world.b, NUMBERS)
        await world.processed(2 * len(NUMBERS), first)
    assert await world.sums() == expected(NUMBERS, NUMBERS)
    await check_once(world, 2 * len(NUMBERS))


@pytest.mark.apache
async def test_partitions_split_by_a_stranger_in_the_group_are_not_processed(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    async with world.running() as engine:
        stranger: Any = AIOKafkaConsumer(
            world.a,
            bootstrap_servers=broker.bootstrap_servers,
            group_id=world.names.app_id,
            partition_assignment_strategy=(RangePartitionAssignor,),
            enable_auto_commit=False,
        )
        await stranger.start()
        try:
            await until(lambda: "only some topics of a partition" in (engine.status().problem or ""), engine)
            (taken,) = {source.partition for source in stranger.assignment()}
            problem = engine.status().problem or ""
            assert f"{world.b}/{taken}" in problem
            assert f"{world.a}/" not in problem
            assert set(engine.status().partitions) == {0, 1} - {taken}
            assert not engine.status().ready
            await world.send(world.b, NUMBERS)
        finally:
            await stranger.stop()
        await until(lambda: engine.status().ready, engine)
        await world.processed(len(NUMBERS), engine)
    assert await world.sums() == expected(NUMBERS)
    await check_once(world, len(NUMBERS))


@pytest.mark.apache
@pytest.mark.timeout(300)
async def test_moving_coordinators_lose_and_double_nothing(names: Names) -> None:
    with apache_kafka(nodes=3) as cluster:
        broker = Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster)
        world = await World(broker, names).create()
        async with world.running() as engine:
            for number, node in enumerate(cluster.nodes, start=1):
                await world.send(world.a, NUMBERS)
                await asyncio.to_thread(node.stop)
                await world.processed(number * len(NUMBERS), engine)
                await asyncio.to_thread(node.start)
        assert await world.sums() == expected(*[NUMBERS] * len(cluster.nodes))
        await check_once(world, len(cluster.nodes) * len(NUMBERS))
