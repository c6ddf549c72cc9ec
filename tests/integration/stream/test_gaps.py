"""Offsets without a record to process: where reading began, markers, and records of aborted transactions."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, until, until_true
from worker.stream import Engine

NUMBERS = numbers(100)


async def _send_in_transactions(world: World, commits: Iterable[bool]) -> None:
    """Ten records in each, of which some are aborted."""
    producer: Any = AIOKafkaProducer(
        bootstrap_servers=world.broker.bootstrap_servers, transactional_id=f"{world.names.app_id}-upstream"
    )
    async with producer:
        for commit in commits:
            await producer.begin_transaction()
            for key, value in NUMBERS[:10]:
                await producer.send_and_wait(world.a, key=key, value=value, partition=0)
            await (producer.commit_transaction() if commit else producer.abort_transaction())


async def _consumed_to_the_end(world: World, engine: Engine[Toy]) -> None:
    """Wait until the group's offset is where the input ends, as lag tools see it."""
    source = TopicPartition(world.a, 0)
    consumer: Any = AIOKafkaConsumer(
        bootstrap_servers=world.broker.bootstrap_servers, group_id=world.names.app_id, enable_auto_commit=False
    )
    await consumer.start()
    try:
        end = (await consumer.end_offsets([source]))[source]

        async def at_end() -> bool:
            return bool(await consumer.committed(source) == end)

        await until_true(at_end, engine)
    finally:
        await consumer.stop()


@pytest.mark.apache  # the embedded broker deletes no records
async def test_reading_begins_at_the_earliest_offset_and_counts_what_was_before(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    await world.delete_before(world.a, 40)
    async with world.running() as engine:
        await world.processed(60, engine)
    position = (await world.positions())[0][world.a]
    assert (position.next_offset, position.applied, position.gaps) == (100, 60, 40)


async def test_aborted_records_and_markers_are_counted_as_gaps(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    await _send_in_transactions(world, (True, False, True))
    await world.send(world.a, NUMBERS[:1])
    async with world.running() as engine:
        await world.processed(21, engine)
        await until(lambda: engine.status().partitions[0].lag.get(world.a) == 0, engine)
    position = (await world.positions())[0][world.a]
    assert position.applied == 21
    assert position.gaps == 13  # ten aborted records, three markers
    assert position.next_offset == 34


# The embedded broker tells readers of aborted transactions that they are past, and they skip what follows of them.
@pytest.mark.apache
@pytest.mark.parametrize("commits", [(True,), (True, False), (False,), (False, False, True)])
async def test_an_idle_input_is_committed_to_its_end_though_that_is_a_marker(
    broker: Broker, names: Names, commits: tuple[bool, ...]
) -> None:
    world = await World(broker, names, partitions=1).create()
    async with world.running() as engine:
        await _send_in_transactions(world, commits)
        await _consumed_to_the_end(world, engine)
    position = (await world.positions())[0][world.a]
    assert position.next_offset == 11 * len(commits)
    assert (position.applied, position.gaps) == (10 * sum(commits), len(commits) + 10 * commits.count(False))


@pytest.mark.apache  # the embedded broker deletes no records
async def test_an_input_of_which_all_that_was_read_is_deleted_goes_on(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    async with world.running() as engine:
        await _send_in_transactions(world, (True, False))
        await _consumed_to_the_end(world, engine)
    await world.delete_before(world.a, 22)
    async with world.running() as engine:
        await world.send(world.a, NUMBERS[:1])
        await world.processed(11, engine)
