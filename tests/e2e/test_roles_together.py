"""Two roles in one process, each with an engine of its own: what befalls the process, and what befalls one of them."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import LEDGER, Topic
from tests.brokers import Broker, BrokerKind, Names, apache_kafka
from tests.e2e.conftest import PARTITIONS
from tests.e2e.system import Message, System, until
from tests.e2e.tally import BAD, NUMBERS, STATE, SUMS, TALLY
from tests.e2e.worker_process import StartWorker, WorkerProcess, workers
from worker.stream.partitioning import partition_of

pytestmark = pytest.mark.apache

COMMAND = (sys.executable, "-m", "tests.e2e.tally", "ledger", "tally")
ROLES = (LEDGER.role, TALLY.role)
ACCOUNTS = [f"shop-{number}" for number in range(8)]
PAIRS = 400
"""So many orders are sent, and so many numbers."""
PAIRS_PER_SECOND = 60
"""Slow enough that everything happens while there is work."""
NO_SIGN_SECONDS = 40.0


async def create_topics(system: System) -> None:
    await system.create_topics()
    kept, compacted = {"retention.ms": "-1"}, {"cleanup.policy": "compact"}
    for topic, config in ((NUMBERS, {}), (BAD, {}), (SUMS, kept), (STATE, compacted)):
        await system.broker.create_topics([system.topic(topic)], partitions=PARTITIONS, config=config)


@pytest.fixture
async def both(bare_system: System) -> System:
    """A system with the topics of both roles."""
    await create_topics(bare_system)
    return bare_system


@pytest.fixture
def start_both(broker: Broker, names: Names, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker with both roles."""
    with workers(tmp_path, settings_of(broker, names), COMMAND) as start:
        yield start


def settings_of(broker: Broker, names: Names) -> dict[str, str]:
    return {"BOOTSTRAP_SERVERS": broker.bootstrap_servers, "APP_ID": names.app_id, "TOPIC_PREFIX": names.prefix}


def order(number: int, account: str) -> Message:
    """An order of one line: one movement."""
    event = {
        "type": "order.created",
        "event_id": f"e{number}",
        "account_id": account,
        "order_id": f"o{number}",
        "occurred_at": datetime.now(UTC).isoformat(),
        "lines": [{"sku": f"s{number % 5}", "quantity": 1}],
    }
    return Message(Topic.ORDERS, account.encode(), json.dumps(event).encode())


def number_of(number: int, account: str) -> Message:
    return Message(NUMBERS, account.encode(), b"%d" % number)


def pair(number: int) -> list[Message]:
    account = ACCOUNTS[number % len(ACCOUNTS)]
    return [order(number, account), number_of(number, account)]


@asynccontextmanager
async def fed(system: System) -> AsyncIterator[None]:
    """Orders and numbers are sent while the block runs."""

    async def feed() -> None:
        for first in range(0, PAIRS, PAIRS_PER_SECOND):
            numbers = range(first, min(first + PAIRS_PER_SECOND, PAIRS))
            await system.send([message for number in numbers for message in pair(number)])
            await asyncio.sleep(1)  # the pace

    feeding = asyncio.create_task(feed())
    try:
        yield
        await feeding
    finally:
        feeding.cancel()


async def sums_written(system: System, count: int) -> None:
    async def enough() -> bool:
        return len(await system.read(SUMS)) >= count

    await until(enough)


async def shared(*processes: WorkerProcess) -> None:
    """Wait until the workers have all partitions of each role between them, and each has some of each."""

    async def all_have_some() -> bool:
        answers = [await process.get("/health/ready") for process in processes]
        if any(answer is None or answer.status != 200 for answer in answers):
            return False
        shown: list[list[dict[str, Any]]] = [answer.json()["partitions"] for answer in answers if answer is not None]
        for role in ROLES:
            parts = [[one["partition"] for one in partitions if one["role"] == role] for partitions in shown]
            if not all(parts) or sorted(chain.from_iterable(parts)) != list(range(PARTITIONS)):
                return False
        return True

    await until(all_have_some)


async def settled(system: System) -> None:
    """Wait until the groups of both roles have committed the ends of their inputs."""
    await system.settled()
    inputs = [TopicPartition(system.topic(topic), part) for topic in TALLY.inputs for part in range(PARTITIONS)]
    servers = system.broker.bootstrap_servers
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        ends = await consumer.end_offsets(inputs)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:

        async def at_the_end() -> bool:
            offsets = await admin.list_consumer_group_offsets(f"{system.names.app_id}-tally")
            return all(offsets[place].offset == end for place, end in ends.items() if end > 0)

        await until(at_the_end)
    finally:
        await admin.close()


async def test_two_roles_lose_and_double_nothing_when_killed_and_rebalanced(
    both: System, start_both: StartWorker
) -> None:
    first, second = start_both(), start_both()
    await shared(first, second)

    async with fed(both):
        await both.until_processed(PAIRS // 8)
        await sums_written(both, PAIRS // 8)
        first.kill()
        await both.until_processed(PAIRS // 3)
        first.start()
        await shared(first, second)
        second.kill()
        await shared(first)
    await settled(both)

    await both.assert_sound()
    movements = await both.read(Topic.MOVEMENTS)
    assert len(movements) == PAIRS
    written = [(record.partition, record.value) for record in await both.read(SUMS)]
    assert len(written) == len(set(written)) == 2 * PAIRS
    expected: Counter[bytes] = Counter(record.key for record in movements if record.key is not None)
    for number in range(PAIRS):
        expected[ACCOUNTS[number % len(ACCOUNTS)].encode()] += number
    state = {
        record.key: record.value
        for record in await both.read(STATE)
        if record.key is not None and not record.key.startswith(b"stream/")
    }
    assert {key: int(value or b"") for key, value in state.items()} == expected
    assert await first.terminate() == 0


async def test_a_partition_that_halts_in_one_role_goes_on_in_the_other(both: System, start_both: StartWorker) -> None:
    worker = start_both()
    await worker.ready()
    account = ACCOUNTS[0]
    partition = partition_of(account, PARTITIONS)
    await both.send([number_of(1, account), Message(NUMBERS, account.encode(), b"poison")])
    health = await worker.until(lambda answer: "halted" in answer.body, "/health/ready", NO_SIGN_SECONDS)
    assert health.status == 503
    assert {role["role"]: role["ready"] for role in health.json()["roles"]} == {"ledger": True, "tally": False}
    states = {(one["role"], one["partition"]): one["state"] for one in health.json()["partitions"]}
    assert {place for place, state in states.items() if state == "halted"} == {("tally", partition)}
    assert len(states) == 2 * PARTITIONS

    await both.send([order(1, account), number_of(2, account)])
    path = f"/accounts/{account}/orders/o1"
    await worker.until(lambda answer: answer.status == 200, path, NO_SIGN_SECONDS)
    lag = f'stockfreeze_lag_records{{partition="{partition}",role="tally",topic="{both.topic(NUMBERS)}"}} '
    waits = re.compile(re.escape(lag) + "[2-9]")  # the number before the poison was committed or not
    metrics = await worker.until(lambda answer: waits.search(answer.body) is not None, "/metrics", NO_SIGN_SECONDS)
    orders = both.topic(Topic.ORDERS)
    assert f'stockfreeze_lag_records{{partition="{partition}",role="ledger",topic="{orders}"}} 0.0' in metrics.body
    assert f'stockfreeze_records_total{{outcome="applied",role="ledger",topic="{orders}"}} 1.0' in metrics.body
    assert 'stockfreeze_partitions{role="ledger",state="running"} 4.0' in metrics.body
    assert 'stockfreeze_partitions{role="tally",state="halted"} 1.0' in metrics.body
    assert 'stockfreeze_role_ready{role="ledger"} 1.0' in metrics.body
    assert 'stockfreeze_role_ready{role="tally"} 0.0' in metrics.body
    assert await worker.terminate() == 0
    assert {record["role"] for record in worker.log_records if record["event"] == "partitions assigned"} == set(ROLES)


async def test_two_roles_with_batches_in_hand_stop_together_in_time(names: Names, tmp_path: Path) -> None:
    with apache_kafka() as cluster:
        broker = Broker(BrokerKind.APACHE, cluster.bootstrap_servers, cluster)
        system = System(broker, names, PARTITIONS)
        await create_topics(system)
        with workers(tmp_path, settings_of(broker, names), COMMAND) as start:
            worker = start()
            await worker.ready()
            await system.send([message for number in range(PAIRS) for message in pair(number)])
            await system.until_processed(1)
            cluster.nodes[0].pause()
            # The watchdog ends a process that has not closed its engines within its 9 s, with exit code 1.
            assert await worker.terminate() == 0
            cluster.nodes[0].resume()
    (stopping,) = [record for record in worker.log_records if record["event"] == "stopping"]
    assert "role" not in stopping, "the signal interrupted an engine, but is none of its lines"
