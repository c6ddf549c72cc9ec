"""What is sent to a benchmark's system: all together beforehand, or at a steady pace while it works."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from random import Random
from typing import Any, Final

from aiokafka import AIOKafkaProducer
from confluent_kafka import KafkaError, Producer

from schemas.topics import Topic
from tests.bench.steady_load import LoadRecord, opening_counts, steady_load
from tests.bench.system import PARTITIONS, BenchFailed, System
from tests.e2e.worker_process import WorkerProcess
from worker.demo.retail import WAREHOUSES
from worker.demo.schedule import rfc3339
from worker.stream.partitioning import partition_of

SKUS: Final = 2000
ACCOUNTS_PER_PARTITION: Final = 2
_IN_FLIGHT_MAX: Final = 200
_LINGER_MS: Final = 1
_FLUSH_SECONDS_MAX: Final = 30.0


def accounts(partitions: int = PARTITIONS) -> list[str]:
    """Two accounts in each partition, so that all partitions have the same work."""
    found: dict[int, list[str]] = {partition: [] for partition in range(partitions)}
    for number in count():
        account_id = f"account-{number}"
        place = found[partition_of(account_id, partitions)]
        if len(place) < ACCOUNTS_PER_PARTITION:
            place.append(account_id)
        if all(len(place) == ACCOUNTS_PER_PARTITION for place in found.values()):
            break
    return [account_id for pair in zip(*found.values(), strict=True) for account_id in pair]


def counts(now_ms: int) -> list[LoadRecord]:
    """A count of all that the other loads touch, so that every level is known."""
    return list(opening_counts(accounts(), SKUS, as_of_ms=now_ms))


def events(n_events: int, start_ms: int, *, seed: int = 1, step_ms: int = 1) -> Iterator[LoadRecord]:
    """Orders of 1 to 5 lines with their sub-orders, labels, shipments and deliveries, one event every `step_ms`."""
    return steady_load(n_events, accounts=accounts(), skus=SKUS, start_ms=start_ms, seed=seed, step_ms=step_ms)


def open_orders(n_orders: int, start_ms: int) -> Iterator[LoadRecord]:
    """Orders of two lines that nobody hands out: all stay open."""
    random = Random("open orders")
    sellers = accounts()
    for number in range(n_orders):
        account_id = sellers[number % len(sellers)]
        order_id = f"{number:08d}-{random.randrange(10_000):04d}"
        warehouse = f',"warehouse_id":"{random.choice(WAREHOUSES)}"' if random.random() < 0.7 else ""
        lines = ",".join(
            f'{{"sku":"sku-{sku:05d}","quantity":{random.randint(1, 5)}{warehouse}}}'
            for sku in random.sample(range(SKUS), 2)
        )
        value = (
            f'{{"type":"order.created","event_id":"{order_id}/01","account_id":"{account_id}","order_id":"{order_id}",'
            f'"occurred_at":"{rfc3339(start_ms + number)}","lines":[{lines}]}}'
        )
        yield LoadRecord(Topic.ORDERS, account_id.encode(), value.encode())


async def preload(system: System, records: Iterable[LoadRecord], start_ms: int) -> int:
    """Send records as fast as it goes, stamped a millisecond apart from `start_ms` on; how many they were."""
    builders: dict[tuple[Topic, int], Any] = {}
    pending: list[asyncio.Future[object]] = []
    number = -1
    producer = AIOKafkaProducer(bootstrap_servers=system.bootstrap_servers)
    await producer.start()
    try:

        async def send(topic: Topic, partition: int) -> None:
            batch = builders.pop((topic, partition))
            pending.append(await producer.send_batch(batch, system.topic(topic), partition=partition))
            if len(pending) >= _IN_FLIGHT_MAX:
                await asyncio.gather(*pending)
                pending.clear()

        for number, (topic, key, value) in enumerate(records):
            place = topic, partition_of(key.decode(), system.partitions)
            while True:
                batch = builders.setdefault(place, None) or producer.create_batch()
                builders[place] = batch
                if batch.append(timestamp=start_ms + number, key=key, value=value) is not None:
                    break
                await send(*place)
        for place in list(builders):
            await send(*place)
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return number + 1


async def counted(system: System, now_ms: int) -> WorkerProcess:
    """Have the first worker count all that the other loads touch; it goes on running."""
    await preload(system, opening := counts(now_ms), now_ms)
    worker = system.start_worker()
    await system.processed(worker, len(opening), Topic.STOCK)
    return worker


async def trickle(
    system: System, records: Iterable[LoadRecord], per_second: int, sent: Callable[[LoadRecord, int], None]
) -> None:
    """Send each record at its time, and call `sent` with the record and its timestamp in ms. Raises BenchFailed.

    By librdkafka: on a machine that the broker and the worker share, what the load itself takes is missing to them.
    """
    clock = time.monotonic
    failures: list[KafkaError] = []
    producer = Producer(
        {
            "bootstrap.servers": system.bootstrap_servers,
            "linger.ms": _LINGER_MS,
            "delivery.report.only.error": True,
            "on_delivery": lambda error, _message: failures.append(error),
        }
    )
    try:
        start = clock()
        for number, record in enumerate(records):
            if (ahead := start + number / per_second - clock()) > 0:
                await asyncio.sleep(ahead)
            now_ms = time.time_ns() // 1_000_000
            partition = partition_of(record.key.decode(), system.partitions)
            producer.produce(system.topic(record.topic), record.value, record.key, partition, timestamp=now_ms)
            sent(record, now_ms)
            producer.poll(0)
    finally:
        unsent = producer.flush(_FLUSH_SECONDS_MAX)
    if failures or unsent:
        raise BenchFailed(f"the load did not reach the broker: {unsent} records unsent, {failures[:1]}")
