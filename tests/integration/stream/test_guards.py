"""State and topics that do not belong together stop a partition before anything is booked from them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from tests.brokers import Broker, BrokerKind, Names, apache_kafka
from tests.integration.stream.expectations import check_once, numbers
from tests.integration.stream.log_files import cut_log
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, state_of, until
from worker.stream import Engine, PartitionState
from worker.stream.state.positions import POSITIONS_KEY, decode_checkpoint

NUMBERS = numbers(60)
OTHERS = [(key, b"7") for key, _ in numbers(60)]
COMPACT = {"cleanup.policy": "compact"}
KEPT = {"retention.ms": "-1"}


@asynccontextmanager
async def _admin(world: World) -> AsyncIterator[Any]:
    admin: Any = AIOKafkaAdminClient(bootstrap_servers=world.broker.bootstrap_servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _delete(world: World, *topics: str) -> None:
    async with _admin(world) as admin:
        await admin.delete_topics(list(topics))
        async with asyncio.timeout(30):
            while set(topics) & {topic["topic"] for topic in await admin.describe_topics()}:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def _make_anew(world: World, topic: str, config: dict[str, str] | None = None) -> None:
    await _delete(world, topic)
    await world.broker.create_topics([topic], partitions=world.partitions, config=config)


async def _set(world: World, topic: str, **config: str) -> None:
    changed = {name.replace("_", "."): value for name, value in config.items()}
    async with _admin(world) as admin:
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, changed)])


async def _halted(engine: Engine[Toy], *partitions: int) -> str:
    def all_halted() -> bool:
        return all(state_of(engine.status(), each) is PartitionState.HALTED for each in partitions)

    await until(all_halted, engine)
    assert not engine.status().ready
    return engine.status().partitions[partitions[0]].reason or ""


async def _worked(world: World, records: int = 2 * len(NUMBERS)) -> None:
    """Let a system work, and end in good order."""
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.send(world.b, NUMBERS)
        await world.processed(records, engine)


@pytest.fixture
async def world(broker: Broker, names: Names) -> World:
    return await World(broker, names).create()


async def test_a_state_that_was_made_anew_under_a_running_worker_halts(world: World) -> None:
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        before = await world.outputs()
        await _make_anew(world, world.topics.state, COMPACT)
        await world.send(world.a, NUMBERS)
        reason = await _halted(engine, 0, 1)
        assert reason.startswith(f"the state of partition 0 is lost: {world.topics.state}/0 has no positions")
        assert "`stockfreeze begin-anew`" in reason
    async with world.running(ready=False) as engine:
        await _halted(engine, 0, 1)
    assert await world.outputs() == before


async def test_a_state_recreated_while_no_worker_ran_halts(world: World) -> None:
    await _worked(world)
    before = await world.outputs()
    await _make_anew(world, world.topics.state, COMPACT)
    async with world.running(ready=False) as engine:
        assert "the state of partition 0 is lost" in await _halted(engine, 0, 1)
    assert await world.outputs() == before


@pytest.mark.apache  # the embedded broker has no policies
async def test_a_state_that_may_expire_keeps_everything_from_starting(world: World) -> None:
    await world.send(world.a, NUMBERS)
    await _set(world, world.topics.state, cleanup_policy="delete")
    async with world.running(ready=False) as engine:
        problem = f"cleanup.policy of {world.topics.state} is delete, so it would lose records"
        await until(lambda: (engine.status().problem or "").startswith(problem), engine)
        assert engine.status().partitions == {}
        await _set(world, world.topics.state, cleanup_policy="compact")
        await world.processed(len(NUMBERS), engine)


@pytest.mark.apache
@pytest.mark.parametrize(
    ("which", "wrong", "right"),
    [
        ("out", {"retention_ms": "1000"}, {"retention_ms": "-1"}),
        ("state", {"cleanup_policy": "delete"}, {"cleanup_policy": "compact"}),
    ],
)
async def test_topics_that_begin_to_expire_stop_a_running_worker(
    world: World, which: str, wrong: dict[str, str], right: dict[str, str]
) -> None:
    topic = getattr(world.topics, which)
    async with world.running() as engine:
        await _set(world, topic, **wrong)
        await until(lambda: not engine.status().ready and topic in (engine.status().problem or ""), engine)
        await _set(world, topic, **right)
        await until(lambda: engine.status().ready, engine)


@pytest.mark.apache  # the embedded broker deletes no records
async def test_a_state_of_which_a_part_expired_halts(world: World) -> None:
    await _worked(world)
    before = await world.outputs()
    written = [offset for partition, _, _, offset in await world.read(world.topics.state) if partition == 0]
    await _set(world, world.topics.state, cleanup_policy="delete")
    await world.delete_before(world.topics.state, written[-2])  # the positions stay
    await _set(world, world.topics.state, cleanup_policy="compact")
    async with world.running(ready=False) as engine:
        reason = await _halted(engine, 0)
        assert "by its last transaction: some are lost" in reason
        assert state_of(engine.status(), 1) is PartitionState.RUNNING
    assert await world.outputs() == before


@pytest.mark.parametrize("longer", [False, True])
async def test_an_input_recreated_while_no_worker_ran_halts(
    world: World,
    longer: bool,  # noqa: FBT001 - a parameter
) -> None:
    await _worked(world)
    before = await world.outputs()
    await _make_anew(world, world.a)
    await world.send(world.a, OTHERS * 5 if longer else OTHERS[:4])
    async with world.running(ready=False) as engine:
        reason = await _halted(engine, 0, 1)
    what = "has another record at offset 29" if longer else "ends at offset 2, but was read up to 30"
    assert reason.startswith(f"{world.a}/0 {what}")
    assert f"`stockfreeze topics accept {world.a} --from beginning`" in reason
    assert await world.outputs() == before


@pytest.mark.apache  # the embedded broker has no ids of topics
async def test_an_input_that_was_made_anew_longer_under_a_running_worker_halts(world: World) -> None:
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        # What is read meanwhile as if it were the old topic's must not prove the new one.
        await asyncio.sleep(3 * world.config.topic_check_interval_ms / 1000)
        await world.send(world.b, NUMBERS)
        await world.processed(2 * len(NUMBERS), engine)
        await _make_anew(world, world.a)
        await world.send(world.a, OTHERS * 5)
        reason = await _halted(engine, 0, 1)
        assert reason.startswith(f"{world.a}/0 has another ")


@pytest.mark.parametrize("longer", [False, True])
async def test_a_journal_that_was_made_anew_halts(world: World, longer: bool) -> None:  # noqa: FBT001
    await _worked(world)
    await _make_anew(world, world.topics.out, KEPT)
    if longer:
        await world.send(world.topics.out, [*NUMBERS, *NUMBERS, *NUMBERS])
    async with world.running(ready=False) as engine:
        reason = await _halted(engine, 0, 1)
    assert reason.startswith(f"the journal {world.topics.out}/0 {'has a record' if longer else 'ends at offset 0'}")


async def test_a_journal_that_was_made_anew_under_a_running_worker_halts(world: World) -> None:
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        await _make_anew(world, world.topics.out, KEPT)
        await world.send(world.a, NUMBERS)
        reason = await _halted(engine, 0, 1)
        assert reason.startswith(f"the journal {world.topics.out}/0 ")
        assert "it lost records or was recreated" in reason
        assert await world.outputs() == []


async def test_another_output_that_was_made_anew_stops_nothing(world: World) -> None:
    await _worked(world)
    await _make_anew(world, world.topics.bad)
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(3 * len(NUMBERS), engine)
    await check_once(world, 3 * len(NUMBERS))


@pytest.mark.apache  # the embedded broker keeps a group's offsets of topics that are gone
async def test_topics_that_were_all_made_anew_together_are_a_new_system(world: World) -> None:
    await _worked(world)
    topics = (world.a, world.b, world.counts, *world.topics)
    await _delete(world, *topics)
    await world.create()
    await _worked(world)
    await check_once(world, 2 * len(NUMBERS))


@pytest.mark.apache
async def test_inputs_that_expired_after_they_were_read_are_no_fault(world: World) -> None:
    await _worked(world)
    await world.delete_before(world.a, 30)
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(3 * len(NUMBERS), engine)
    await check_once(world, 3 * len(NUMBERS))


@pytest.mark.apache
@pytest.mark.parametrize("lost", ["state", "journal", "input"])
async def test_what_an_unclean_election_cuts_off_is_found(names: Names, lost: str) -> None:
    with apache_kafka() as cluster:
        world = await World(Broker(BrokerKind.APACHE, cluster.bootstrap_servers), names, partitions=1).create()
        await _worked(world)
        async with world.running() as engine:
            await world.send(world.a, NUMBERS)
            await world.processed(3 * len(NUMBERS), engine)
        topic = {"state": world.topics.state, "journal": world.topics.out, "input": world.a}[lost]
        checkpoints = [
            (offset, decode_checkpoint(value))
            for _, key, value, offset in await world.read(world.topics.state)
            if key == POSITIONS_KEY and value is not None
        ]
        offset, checkpoint = checkpoints[-2]
        first_lost = {"state": offset + 2, "journal": checkpoint.journal.next_offset, "input": 1}[lost]
        (node,) = cluster.nodes
        node.kill()
        assert cut_log(node.log_path.parent, topic, 0, first_lost)
        node.start()
        async with world.running(ready=False) as engine:
            reason = await _halted(engine, 0)
        assert {
            "state": "the end of the state",
            "journal": "it lost records",
            "input": "the topic was recreated or lost records",
        }[lost] in reason
