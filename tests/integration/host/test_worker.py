"""A real worker process, with and without a broker: its pages, and how it ends."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from deploy.kafka.local import free_port
from schemas.topics import Topic
from tests.brokers import Broker, BrokerKind, Names
from tests.e2e.worker_process import WorkerProcess, workers
from worker.demo.broker import embedded_broker, embedded_broker_installed
from worker.stream.partitioning import partition_of

PARTITIONS = 2
NO_SIGN_SECONDS = 20.0
"""How long a sign of the worker may take to appear on a busy machine."""
StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(tmp_path: Path, names: Names) -> Iterator[StartWorker]:
    with workers(tmp_path, {"APP_ID": names.app_id, "TOPIC_PREFIX": names.prefix}) as start:
        yield start


async def create_topics(broker: Broker, names: Names) -> None:
    await broker.create_system(names.prefix, Topic, partitions=PARTITIONS)


async def send_order(broker: Broker, names: Names) -> None:
    order = {
        "type": "order.created",
        "event_id": "e1",
        "account_id": "shop/1",
        "order_id": "o%1",
        "occurred_at": datetime.now(UTC).isoformat(),
        "lines": [{"sku": "s", "quantity": 3}],
    }
    producer = AIOKafkaProducer(bootstrap_servers=broker.bootstrap_servers)
    await producer.start()
    try:
        partition = partition_of("shop/1", PARTITIONS)
        topic = f"{names.prefix}{Topic.ORDERS.value}"
        await producer.send_and_wait(topic, json.dumps(order).encode(), key=b"shop/1", partition=partition)
    finally:
        await producer.stop()


async def logged(worker: WorkerProcess, event: str) -> None:
    async with asyncio.timeout(NO_SIGN_SECONDS):
        while all(record["event"] != event for record in worker.log_records):  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.05)


async def topics_and_groups(broker: Broker) -> tuple[set[str], set[str]]:
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap_servers)
    await admin.start()
    try:
        return set(await admin.list_topics()), {name for name, _kind in await admin.list_consumer_groups()}
    finally:
        await admin.close()


async def test_a_worker_processes_an_order_shows_it_and_ends_in_good_order(
    broker: Broker, names: Names, start_worker: StartWorker
) -> None:
    await create_topics(broker, names)
    topics_before, _ = await topics_and_groups(broker)
    topics_before |= {f"{names.prefix}{topic}" for topic in Topic}  # a broker may list the newest ones later
    worker = start_worker(BOOTSTRAP_SERVERS=broker.bootstrap_servers)
    await worker.ready()
    await send_order(broker, names)

    order = await worker.until(lambda answer: answer.status == 200, "/accounts/shop%2F1/orders/o%251", NO_SIGN_SECONDS)
    assert order.json()["units"] == [
        {"sub_order_id": None, "warehouse_id": "default", "sku": "s", "open": 3, "shipped": 0, "cancelled": 0}
    ]
    stock = await worker.until(lambda answer: answer.status == 200, "/accounts/shop%2F1/stock", NO_SIGN_SECONDS)
    assert stock.json()["levels"][0]["frozen"] == 3
    topic = f"{names.prefix}{Topic.ORDERS.value}"
    counted = f'stockfreeze_records_total{{outcome="applied",role="ledger",topic="{topic}"}} 1.0'
    metrics = await worker.until(lambda answer: counted in answer.body, "/metrics", NO_SIGN_SECONDS)
    assert 'stockfreeze_movements_total{movement="freeze"} 1.0' in metrics.body
    assert "stockfreeze_ready 1.0" in metrics.body

    await logged(worker, "ready")
    assert await worker.terminate() == 0, "the watchdog ends with 1"
    events = [record["event"] for record in worker.log_records]
    life = ("started", "ready", "stopping", "stopped")
    assert tuple(event for event in events if event in life) == life
    started = next(record for record in worker.log_records if record["event"] == "started")
    assert started["app_id"] == names.app_id
    assert started["bootstrap_servers"] == broker.bootstrap_servers
    assert started["pages"] == f"http://127.0.0.1:{worker.port}/"

    topics_after, groups = await topics_and_groups(broker)
    assert {name for name in topics_after - topics_before if not name.startswith("__")} == set()
    assert f"{names.app_id}-host" not in groups


async def test_of_two_workers_the_one_without_an_account_says_so(
    broker: Broker, names: Names, start_worker: StartWorker
) -> None:
    await create_topics(broker, names)
    first = start_worker(BOOTSTRAP_SERVERS=broker.bootstrap_servers)
    await first.ready()
    await send_order(broker, names)
    second = start_worker(BOOTSTRAP_SERVERS=broker.bootstrap_servers)
    path, answers = "/accounts/shop%2F1/stock", {}
    for worker in (first, second):
        answers[worker.port] = (
            await worker.until(lambda shown: shown.status in (200, 421), path, NO_SIGN_SECONDS)
        ).status
    if answers[first.port] == answers[second.port]:
        # The first was asked before the second had joined.
        await first.until(lambda shown: shown.status == 421, path, NO_SIGN_SECONDS)
        answers[first.port] = 421
    assert sorted(answers.values()) == [200, 421]


async def test_a_worker_without_a_broker_lives_and_shows_why_it_is_not_ready(
    start_worker: StartWorker,
) -> None:
    worker = start_worker(BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    await worker.until(lambda answer: answer.status == 200, "/health/live", NO_SIGN_SECONDS)
    ready = await worker.until(lambda answer: "cannot be reached" in answer.body, "/health/ready", NO_SIGN_SECONDS)
    assert ready.status == 503
    assert await worker.terminate() == 0


async def test_a_worker_begins_its_work_when_the_broker_comes(start_worker: StartWorker, names: Names) -> None:
    if not embedded_broker_installed():
        pytest.skip("noida-db is not installed")
    port = free_port()
    worker = start_worker(BOOTSTRAP_SERVERS=f"127.0.0.1:{port}")
    await worker.until(lambda answer: "cannot be reached" in answer.body, "/health/ready", NO_SIGN_SECONDS)
    with embedded_broker(port) as servers:
        await worker.until(lambda answer: "missing" in answer.body, "/health/ready", NO_SIGN_SECONDS)
        await create_topics(Broker(BrokerKind.EMBEDDED, servers), names)
        await worker.ready()
        assert await worker.terminate() == 0


async def test_a_worker_whose_address_is_taken_says_so_in_one_sentence(start_worker: StartWorker) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        worker = start_worker(WEB_PORT=str(taken.getsockname()[1]), BOOTSTRAP_SERVERS="127.0.0.1:1")
        assert await worker.exited() == 2
    assert worker.log.count("\n") == 1
    assert "WEB_PORT" in worker.log
