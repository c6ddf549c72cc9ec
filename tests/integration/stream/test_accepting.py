"""A partition that an operator accepts goes on where its input begins today."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import numbers
from tests.integration.stream.world import World, until_true
from worker.stream.start.accepting import Acceptor, CannotAccept, Start

NUMBERS = numbers(60)
PARTITIONS = 2
READ_TO, BEGINS_AT, ENDS_AT = 30, 40, 60
"""Offsets of partition 0, which lost ten unread records."""


@pytest.fixture
async def world(broker: Broker, names: Names) -> World:
    world = await World(broker, names, PARTITIONS).create()
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
    await world.send(world.a, NUMBERS)
    await world.delete_before(world.a, BEGINS_AT)
    return world


@pytest.fixture
async def acceptor(world: World) -> AsyncIterator[Acceptor]:
    acceptor = Acceptor(world.config, world.a, None, Start.BEGINNING)
    yield acceptor
    await acceptor.close()


@pytest.mark.apache  # the embedded broker deletes no records
async def test_an_accepted_partition_goes_on_where_its_input_begins(world: World, acceptor: Acceptor) -> None:
    before = await world.positions()
    looked = await acceptor.look(0, PARTITIONS)
    assert looked is not None
    assert looked.found == f"{world.a}/0 begins at offset {BEGINS_AT}, but was read up to {READ_TO} only"
    assert (looked.read_to, looked.begins_at, looked.unread) == (READ_TO, BEGINS_AT, 0)
    assert await acceptor.look(1, PARTITIONS) is None
    assert await world.positions() == before

    assert await acceptor.accept(0, PARTITIONS) == looked
    assert await acceptor.accept(1, PARTITIONS) is None
    assert await acceptor.look(0, PARTITIONS) is None
    assert (await world.positions())[0][world.a].next_offset == BEGINS_AT

    async def all_is_read() -> bool:
        positions = await world.positions()
        return all(positions[partition][world.a].next_offset == ENDS_AT for partition in range(PARTITIONS))

    async with world.running() as engine:
        await until_true(all_is_read, engine)
    assert (await world.positions())[0][world.a].applied == ENDS_AT - BEGINS_AT


@pytest.mark.apache
async def test_a_state_of_another_partition_count_is_not_accepted(world: World, acceptor: Acceptor) -> None:
    before = await world.positions()
    with pytest.raises(CannotAccept, match="begun with 2 partitions, but the topics have 3"):
        await acceptor.accept(0, 3)
    assert await world.positions() == before
