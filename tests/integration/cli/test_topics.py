"""`stockfreeze topics` on a broker."""

from __future__ import annotations

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from deploy.kafka.settings import SASL_PASSWORD, SASL_USER
from schemas.topics import Topic
from tests.brokers import Broker, Names
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import account_in
from worker.inspection.admin import spec_of
from worker.inspection.cluster import open_cluster
from worker.stream.state.positions import FORMAT_KEY

ACCOUNT = account_in(0, PARTITIONS)


async def test_topics_are_created_once_and_are_all_well(stockfreeze: Command, names: Names) -> None:
    first = await stockfreeze("topics", "create", "--json")
    second = await stockfreeze("topics", "create", "--json")
    checked = await stockfreeze("topics", "check", "--json")

    expected = [f"{names.prefix}{topic}" for topic in Topic]
    assert (first.code, first.json()["created"]) == (0, expected)
    assert (second.code, second.json()["created"], second.json()["existed"]) == (0, [], sorted(expected))
    assert (checked.code, checked.json()["ok"]) == (0, True)


async def test_other_partition_counts_are_refused_and_nothing_is_created(
    stockfreeze: Command, broker: Broker, names: Names
) -> None:
    async with open_cluster({"bootstrap_servers": broker.bootstrap_servers}) as cluster:
        await cluster.create([spec_of(Topic.ORDERS, f"{names.prefix}{Topic.ORDERS}", 3, 1)])

    created = await stockfreeze("topics", "create")
    checked = await stockfreeze("topics", "check", "--json")

    assert created.code == 1
    assert f"{names.prefix}{Topic.ORDERS} has 3" in created.err
    missing = [topic for topic in checked.json()["topics"] if topic["partitions"] is None]
    assert (checked.code, len(missing)) == (1, len(Topic) - 1)


async def test_a_configuration_that_would_lose_records_is_told(
    stockfreeze: Command, broker: Broker, names: Names
) -> None:
    wrong = f"{names.prefix}{Topic.LEVELS}"
    async with open_cluster({"bootstrap_servers": broker.bootstrap_servers}) as cluster:
        await cluster.create([spec_of(Topic.ALERTS, wrong, 2, 1)])
    await stockfreeze("topics", "create")

    checked = await stockfreeze("topics", "check", "--json")

    answer = {topic["name"]: topic["problems"] for topic in checked.json()["topics"] if topic["problems"]}
    assert list(answer) == [wrong]
    assert "set it to compact" in answer[wrong][0]


@pytest.mark.parametrize("command", [("topics", "check"), ("order", ACCOUNT, "o1")])
async def test_a_state_of_a_newer_version_is_one_sentence(
    stockfreeze: Command, broker: Broker, system: System, command: tuple[str, ...]
) -> None:
    await system.process_story()
    async with AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers) as producer:
        state = system.topic(Topic.STATE)
        await producer.send_and_wait(state, msgspec.msgpack.encode((99, 2)), key=FORMAT_KEY, partition=0)

    result = await stockfreeze(*command)

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert f"a newer version of stockfreeze wrote {state}/0" in result.err


async def test_a_state_that_was_built_for_another_partition_count_is_told(stockfreeze: Command, system: System) -> None:
    for worker in system.workers.values():
        worker.partition_count = 5
    await system.process(1, [])
    await system.process_story()

    checked = await stockfreeze("topics", "check")

    assert checked.code == 1
    assert "the state was built with 5" in checked.out


async def test_a_broker_that_is_not_there_is_one_sentence(stockfreeze: Command) -> None:
    for command in (["topics", "check"], ["verify"], ["dead-letters", "list"], ["why", "a", "b", "c"]):
        result = await stockfreeze(*command, BOOTSTRAP_SERVERS="127.0.0.1:1")

        assert result.code == 2
        assert result.err.startswith("stockfreeze: Kafka cannot be reached at 127.0.0.1:1")
        assert result.err.count("\n") == 1


@pytest.mark.apache
async def test_a_wrong_password_is_one_sentence(stockfreeze: Command, broker: Broker) -> None:
    login = {
        "BOOTSTRAP_SERVERS": broker.sasl_bootstrap_servers,
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_USERNAME": SASL_USER,
    }

    right = await stockfreeze("topics", "create", **login, SASL_PASSWORD=SASL_PASSWORD)
    wrong = await stockfreeze("verify", **login, SASL_PASSWORD="guessed")  # noqa: S106 # that is the point

    assert (right.code, wrong.code) == (0, 2)
    assert "Kafka cannot be reached" in wrong.err
    assert "uthentication" in wrong.err
    assert wrong.err.count("\n") == 1


@pytest.mark.apache
async def test_a_wrong_protocol_is_one_sentence_that_asks_for_it(stockfreeze: Command) -> None:
    result = await stockfreeze("topics", "check", SECURITY_PROTOCOL="SSL")

    assert result.code == 2
    assert "is SECURITY_PROTOCOL right?" in result.err
    assert result.err.count("\n") == 1


async def test_topics_with_different_counts_are_no_reason_to_set_partitions(
    stockfreeze: Command, broker: Broker, names: Names
) -> None:
    async with open_cluster({"bootstrap_servers": broker.bootstrap_servers}) as cluster:
        counts = {Topic.ORDERS: 3, Topic.STOCK: 2}
        await cluster.create([spec_of(topic, f"{names.prefix}{topic}", count, 1) for topic, count in counts.items()])

    for partitions in ("2", "3", "4"):
        result = await stockfreeze("topics", "create", PARTITIONS=partitions)

        assert result.code == 1
        assert "`stockfreeze topics check` shows which" in result.err
