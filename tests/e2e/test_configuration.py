"""What is wrong around a worker, as its operator meets it: a clear sentence, not ready, and work once it is right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions

from deploy.kafka.local import KafkaCluster, free_port
from deploy.kafka.settings import SASL_PASSWORD, SASL_USER
from schemas.encoding import key_of
from schemas.topics import Topic
from tests.brokers import Broker, BrokerKind, Names
from tests.e2e.conftest import PARTITIONS
from tests.e2e.messages import order
from tests.e2e.system import WAIT_SECONDS_MAX, Message, System, run_stockfreeze
from tests.e2e.worker_process import Answer, StartWorker, WorkerProcess, workers
from tests.offline import account_in

LINES = [{"sku": "A", "quantity": 1}]
ACCOUNT = "shop-1"


async def until_problem(worker: WorkerProcess, part: str) -> Answer:
    """Wait until `/health/ready` answers 503 with `part` in its text; gives the answer."""
    return await worker.until(
        lambda response: response.status == 503 and part in response.body, "/health/ready", WAIT_SECONDS_MAX
    )


async def becomes_ready(worker: WorkerProcess) -> None:
    await worker.ready(WAIT_SECONDS_MAX)


async def assert_works(system: System, worker: WorkerProcess, order_id: str) -> None:
    """An order that is sent now is processed."""
    await system.send([order("created", ACCOUNT, "e1", order_id, lines=LINES)])
    await worker.until(
        lambda response: response.status == 200, f"/accounts/{ACCOUNT}/orders/{order_id}", WAIT_SECONDS_MAX
    )


async def test_topics_missing_or_of_unequal_counts_are_named_and_awaited(
    bare_system: System, broker: Broker, start_worker: StartWorker
) -> None:
    system = bare_system
    odd = system.topic(Topic.DRIFT)
    late = system.topic(Topic.COMMANDS)
    others = [topic for topic in Topic if topic not in (Topic.DRIFT, Topic.COMMANDS)]
    await broker.create_system(system.names.prefix, others, partitions=PARTITIONS)
    await broker.create_topics([odd], partitions=PARTITIONS + 1)
    worker = start_worker()

    response = await until_problem(worker, late)
    assert "missing" in response.json()["problem"]
    assert odd not in response.body

    await broker.create_topics([late], partitions=PARTITIONS)
    response = await until_problem(worker, odd)
    assert "same partition count" in response.json()["problem"]
    asked = await system.stockfreeze("verify")
    assert (asked.code, asked.err.count("\n")) == (2, 1)
    checked = await system.stockfreeze("topics", "check")
    assert checked.code == 1
    assert odd in checked.out

    admin: Any = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.delete_topics([odd])
    await admin.close()
    await until_problem(worker, "missing")
    await system.create_topics()
    await becomes_ready(worker)
    await assert_works(system, worker, "o1")


@pytest.mark.apache  # the embedded broker adds no partitions
async def test_topics_with_more_partitions_than_the_state_are_refused(
    system: System, broker: Broker, start_worker: StartWorker
) -> None:
    worker = start_worker()
    await becomes_ready(worker)
    await assert_works(system, worker, "o1")

    admin: Any = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    await admin.create_partitions({system.topic(topic): NewPartitions(total_count=PARTITIONS + 1) for topic in Topic})
    await admin.close()
    await until_problem(worker, "partitions")
    fresh = start_worker()
    response = await until_problem(fresh, "begun with")
    assert "another system, with another TOPIC_PREFIX and APP_ID" in response.json()["problem"]
    assert response.json()["partitions"] == []
    assert await fresh.terminate() == 0
    assert (await system.stockfreeze("topics", "check")).code == 1


@pytest.mark.apache
async def test_a_worker_waits_for_its_brokers_and_goes_on_after_an_outage(names: Names, tmp_path: Path) -> None:
    port = free_port()
    servers = f"127.0.0.1:{port}"
    settings = {"BOOTSTRAP_SERVERS": servers, "APP_ID": names.app_id, "TOPIC_PREFIX": names.prefix}
    with workers(tmp_path, settings) as start:
        worker = start()
        assert servers in (await until_problem(worker, "cannot be reached")).json()["problem"]
        cluster = await asyncio.to_thread(KafkaCluster, port=port, heap="512m")
        try:
            await asyncio.to_thread(cluster.start)
            system = System(Broker(BrokerKind.APACHE, servers, cluster), names, PARTITIONS)
            await until_problem(worker, "missing")
            await system.create_topics()
            await becomes_ready(worker)
            await assert_works(system, worker, "before")

            await asyncio.to_thread(cluster.nodes[0].kill)
            await until_problem(worker, "cannot be reached")
            alive = await worker.get("/health/live")
            assert alive is not None
            assert alive.status == 200
            await asyncio.to_thread(cluster.nodes[0].start)
            await becomes_ready(worker)
            await assert_works(system, worker, "after")
            await system.settled()
            await system.assert_sound()
            assert await worker.terminate() == 0
        finally:
            await asyncio.to_thread(cluster.stop)


@pytest.mark.apache
async def test_a_wrong_password_is_told_and_the_right_one_works(
    system: System, broker: Broker, start_worker: StartWorker
) -> None:
    right = {
        "BOOTSTRAP_SERVERS": broker.sasl_bootstrap_servers,
        "SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "SASL_USERNAME": SASL_USER,
        "SASL_PASSWORD": SASL_PASSWORD,
    }
    wrong = right | {"SASL_PASSWORD": "not-it"}

    locked_out = start_worker(**wrong)
    response = await until_problem(locked_out, "did not authenticate")
    assert "check the user name, the password" in response.json()["problem"]
    asked = await system.stockfreeze("verify", **wrong)
    assert (asked.code, asked.err.count("\n")) == (2, 1)
    assert "uthentication failed" in asked.err
    assert await locked_out.terminate() == 0
    assert "not-it" not in locked_out.log + asked.err

    worker = start_worker(**right)
    await becomes_ready(worker)
    await assert_works(system, worker, "o1")


async def test_a_state_record_of_a_newer_version_halts_its_partition_alone(
    system: System, start_worker: StartWorker
) -> None:
    newer = msgspec.msgpack.encode([99, "what only a newer version knows"])
    other = account_in((system.partition_of(ACCOUNT) + 1) % PARTITIONS, PARTITIONS)
    own = system.partition_of(other)
    await system.send([Message(Topic.STATE, key_of("order", other, "o1"), newer, partition=own)])
    await system.send([order("created", other, "e1", "o2", lines=LINES)])
    worker = start_worker()

    response = await until_problem(worker, "newer version")
    [halted] = [part for part in response.json()["partitions"] if part["state"] == "halted"]
    assert (halted["partition"], response.json()["ready"]) == (own, False)
    await assert_works(system, worker, "o1")
    # Nothing of the halted partition was processed, and every request is answered so.
    answer = await worker.get(f"/accounts/{other.replace(' ', '%20')}/stock")
    assert answer is not None
    assert answer.status == 503
    assert "newer version" in answer.body
    assert await worker.terminate() == 0
    assert {place.partition for place, offset in (await system.committed()).items() if offset} == {
        system.partition_of(ACCOUNT)
    }


async def test_bad_records_halt_a_partition_until_a_start_without_the_breaker(
    system: System, start_worker: StartWorker
) -> None:
    worker = start_worker(BREAKER_BAD_MAX="20", BREAKER_WINDOW="40")
    await becomes_ready(worker)
    await system.send([Message(Topic.ORDERS, ACCOUNT.encode(), b"bad")] * 100)
    await system.send([order("created", ACCOUNT, "e1", "behind the flood", lines=LINES)])

    response = await until_problem(worker, "dead-lettered")
    [reason] = [part["reason"] for part in response.json()["partitions"] if part["state"] == "halted"]
    assert "20 of its last 40 records" in reason
    assert await worker.terminate() == 0
    assert len(await system.read(Topic.DEAD_LETTERS)) == 20
    await system.assert_sound()

    unbroken = start_worker(BREAKER_BAD_MAX="0")
    await becomes_ready(unbroken)
    await unbroken.until(
        lambda answer: answer.status == 200, f"/accounts/{ACCOUNT}/orders/behind%20the%20flood", WAIT_SECONDS_MAX
    )
    assert len(await system.read(Topic.DEAD_LETTERS)) == 100
    await system.assert_sound()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BOOTSTRAP_SERVERS", "localhost"),
        ("SASL_PASSWORD", "secret"),
        ("RETENTION_DAY", "90"),
    ],
)
async def test_a_wrong_setting_is_one_sentence_that_names_it(name: str, value: str) -> None:
    wrong: dict[str, Any] = {name: value}
    result = await run_stockfreeze("run", **wrong)

    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert name in result.err
    assert "secret" not in result.err
