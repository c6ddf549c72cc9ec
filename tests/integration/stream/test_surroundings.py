"""A broker or topics that are not as they should be: said clearly, tried again, and gone on from when they are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.client import AIOKafkaClient

from deploy.kafka.local import KafkaCluster, free_port
from deploy.kafka.settings import SASL_USER
from tests.brokers import Broker, BrokerKind, Names, apache_kafka
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, state_of, until
from worker.stream import Engine, PartitionState
from worker.stream.clients import Client
from worker.stream.kafka.transaction_requests import transaction_version, versions_request
from worker.stream.state.positions import FORMAT_KEY, Position, encode_format

NUMBERS = numbers(100)


async def _problem(engine: Engine[Toy], part: str) -> str:
    """The engine's problem, once it speaks of `part`."""
    await until(lambda: part in (engine.status().problem or ""), engine)
    assert not engine.status().ready
    return engine.status().problem or ""


async def test_a_missing_topic_is_named_and_waited_for(broker: Broker, names: Names) -> None:
    world = World(broker, names)
    async with world.running(ready=False, backoff_ms_max=500) as engine:
        assert world.a in await _problem(engine, "topics are missing")
        await world.create()
        await until(lambda: engine.status().ready, engine)
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)


async def test_topics_of_different_partition_counts_are_refused(broker: Broker, names: Names) -> None:
    world = World(broker, names)
    await broker.create_topics([world.a, world.b, *world.topics], partitions=2)
    await broker.create_topics([world.counts], partitions=3)
    async with world.running(ready=False) as engine:
        assert f"3: {world.counts}" in await _problem(engine, "do not have the same partition count")


async def test_another_partition_count_than_recorded_prevents_joining(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=2).create()
    await world.send(world.topics.state, [(FORMAT_KEY, encode_format(4))], partition=1)
    async with world.running(ready=False) as engine:
        assert "begun with 4" in await _problem(engine, "partitions")
        assert engine.status().partitions == {}


@pytest.mark.apache
async def test_a_partition_count_that_changes_stops_a_running_worker(broker: Broker, names: Names) -> None:
    world = await World(broker, names).create()
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        admin: Any = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
        await admin.start()
        await admin.create_partitions({world.b: NewPartitions(total_count=3)})
        await admin.close()
        assert f"3: {world.b}" in await _problem(engine, "do not have the same partition count")
        await until(lambda: engine.status().partitions == {}, engine)
    assert await world.sums() == expected(NUMBERS)


@pytest.mark.apache
async def test_a_wrong_password_is_told_as_such(broker: Broker, names: Names) -> None:
    world = World(broker, names)
    client = {
        "bootstrap_servers": broker.sasl_bootstrap_servers,
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_plain_username": SASL_USER,
        "sasl_plain_password": "wrong",
    }
    async with world.running(ready=False, client=client) as engine:
        assert "check the user name, the password" in await _problem(engine, "did not authenticate")


async def test_a_broker_that_is_not_there_is_told_and_stopping_takes_no_time(broker: Broker, names: Names) -> None:
    world = World(broker, names)
    client = {"bootstrap_servers": f"127.0.0.1:{free_port()}"}
    async with world.running(ready=False, client=client) as engine:
        await _problem(engine, "cannot be reached")
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        await engine.stop()
        assert loop.time() - began_at < 2


@pytest.mark.apache
async def test_an_outage_loses_nothing_and_a_frozen_broker_delays_no_stop(names: Names) -> None:
    with apache_kafka() as cluster:
        world = await World(Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster), names).create()
        async with world.running(silence_ms_max=2000) as engine:
            await world.send(world.a, NUMBERS)
            await world.processed(len(NUMBERS), engine)
            await asyncio.to_thread(cluster.nodes[0].kill)
            await _problem(engine, "the broker")
            await asyncio.to_thread(cluster.nodes[0].start)
            await until(lambda: engine.status().ready, engine)
            await world.send(world.b, NUMBERS)
            await world.processed(2 * len(NUMBERS), engine)
            assert await world.sums() == expected(NUMBERS, NUMBERS)
            await check_once(world, 2 * len(NUMBERS))
            cluster.nodes[0].pause()
            try:
                loop = asyncio.get_running_loop()
                began_at = loop.time()
                await engine.stop()
                assert loop.time() - began_at < 7, "a frozen broker delays no stop"
            finally:
                cluster.nodes[0].resume()


@pytest.mark.apache
async def test_a_batch_with_a_broken_byte_on_disk_halts_its_partition_alone(tmp_path: Path, names: Names) -> None:
    with KafkaCluster(data_dir=tmp_path, heap="512m", short_lived=True) as cluster:
        world = await World(Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster), names).create()
        await world.send(world.a, NUMBERS[:10], partition=1)
        await world.send(world.a, [(b"key", b"7777777")], partition=1)
        _break_on_disk(tmp_path, f"{world.a}-1", b"7777777")
        await world.send(world.a, NUMBERS, partition=0)
        async with world.running(ready=False) as engine:
            await until(lambda: state_of(engine.status(), 1) is PartitionState.HALTED, engine)
            reason = engine.status().partitions[1].reason or ""
            assert reason.startswith(f"partition 1 must continue at offset 10 of {world.a}, which cannot be read")
            await world.processed(10 + len(NUMBERS), engine)
            assert state_of(engine.status(), 0) is PartitionState.RUNNING
        positions = await world.positions()
        assert positions[1][world.a].counts == Position(10, applied=10).counts
        assert positions[0][world.a].counts == Position(len(NUMBERS), applied=len(NUMBERS)).counts


def _break_on_disk(data_dir: Path, partition: str, value: bytes) -> None:
    (log,) = data_dir.glob(f"**/{partition}/00000000000000000000.log")
    data = log.read_bytes()
    assert data.count(value) == 1
    with log.open("r+b") as file:
        file.seek(data.index(value))
        file.write(b"8")


@pytest.mark.apache
async def test_brokers_with_old_transactions_get_the_old_protocol(names: Names) -> None:
    with apache_kafka(transaction_version=1) as cluster:
        client: Client = AIOKafkaClient(bootstrap_servers=cluster.bootstrap_servers)
        await client.bootstrap()
        (node,) = client.cluster.brokers()
        assert transaction_version(await client.send(node.nodeId, versions_request())) == 1
        await client.close()
        world = await World(Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster), names).create()
        async with world.running() as engine:
            await world.send(world.a, NUMBERS)
            await world.processed(len(NUMBERS), engine)
            await asyncio.to_thread(cluster.nodes[0].stop)
            await asyncio.to_thread(cluster.nodes[0].start)
            await world.send(world.a, NUMBERS)
            await world.processed(2 * len(NUMBERS), engine)
        assert await world.sums() == expected(NUMBERS, NUMBERS)
        await check_once(world, 2 * len(NUMBERS))
