"""The load: what an integration sends, at a steady rate to every partition, whatever happens to the brokers.

Two kinds of events are mixed: an endless day at a large marketplace, and days of a real shop (counts, splits, returns
and cancellations included) with late, repeated and broken records. The same seed gives the same records.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from itertools import count
from random import Random
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import RECORD_BYTES_MAX, Topic
from tests.bench.steady_load import steady_load
from tests.e2e.system import System
from worker.demo.disturbance import Delivery, disturb
from worker.demo.retail import read_invoices
from worker.demo.scenario import scenario_of
from worker.stream.partitioning import partition_of

ENDLESS: Final = 10**9
SKUS: Final = 500
ACCOUNTS_PER_PARTITION: Final = 2
REPEATED: Final = 0.03
"""The share of the marketplace's events that is sent twice."""
REPEAT_BEHIND_MAX: Final = 300
SHOP: Final = 0.25
"""The share of the shop's records."""
IN_FLIGHT_MAX: Final = 2000
_RETRY_SECONDS: Final = 0.5
_BEHIND_SECONDS_MAX: Final = 1.0


class Item(NamedTuple):
    """A record to send to a partition that is known."""

    topic: Topic
    key: bytes
    value: bytes


Acknowledged = Callable[[Topic, int, int, float], None]
"""Told the topic, the partition and the offset of a record, and when it was handed over, by the event loop's clock."""


def marketplace(partition: int, partitions: int, *, start_ms: int, seed: int) -> Iterator[Item]:
    """The endless day of two accounts of a partition, some of it repeated a while later."""
    random = Random(f"{seed}/repeats/{partition}")
    later: dict[int, Item] = {}
    accounts = _accounts(partition, partitions)
    load = steady_load(ENDLESS, accounts=accounts, skus=SKUS, start_ms=start_ms, seed=seed, step_ms=10)
    for number, (topic, key, value) in enumerate(load):
        item = Item(topic, key, value)
        yield item
        if random.random() < REPEATED:
            later[number + random.randint(1, REPEAT_BEHIND_MAX)] = item
        if (again := later.pop(number, None)) is not None:
            yield again


def shop_days(partitions: int, *, now_ms: int, seed: int, rounds: int) -> list[list[Item]]:
    """The records of a shop by partition: a few days of it, `rounds` times, with other sellers each time."""
    items: list[list[Item]] = [[] for _ in range(partitions)]
    for number in range(rounds):
        invoices = [replace(invoice, seller=f"{invoice.seller}-{number}") for invoice in read_invoices()]
        scenario = scenario_of(invoices, now_ms=now_ms, seed=seed + number)
        for delivery in disturb(scenario.events, now_ms=now_ms, seed=seed + number):
            items[_place(delivery, partitions)].append(Item(delivery.topic, delivery.key, delivery.value))
    return items


def mixed(endless: Iterator[Item], days: list[Item], *, seed: int) -> Iterator[Item]:
    """The endless day, with the shop's records in between as long as there are some."""
    random = Random(f"{seed}/mix")
    shop = iter(days)
    for item in endless:
        if random.random() < SHOP and (of_the_shop := next(shop, None)) is not None:
            yield of_the_shop
        yield item


class Load:
    """Sends to every partition at its own pace, so that one without a leader holds up no other."""

    def __init__(self, system: System, per_second: float, *, seed: int, rounds: int, now_ms: int) -> None:
        """`per_second` is the rate of all partitions together; `rounds` are days of the shop."""
        self._system = system
        self._interval_seconds = system.partitions / per_second
        days = shop_days(system.partitions, now_ms=now_ms, seed=seed, rounds=rounds)
        self._items = [
            mixed(marketplace(partition, system.partitions, start_ms=now_ms, seed=seed), of_it, seed=seed)
            for partition, of_it in enumerate(days)
        ]
        self.sent = 0
        """Records that the brokers have acknowledged."""

    @asynccontextmanager
    async def flowing(self, acknowledged: Acknowledged) -> AsyncIterator[None]:
        """Send for the length of the block; at its end all that was sent is acknowledged."""
        stopping = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            senders = [
                group.create_task(self._send(partition, items, acknowledged, stopping))
                for partition, items in enumerate(self._items)
            ]
            try:
                yield
            except BaseException:
                for sender in senders:
                    sender.cancel()
                raise
            stopping.set()

    async def _send(
        self, partition: int, items: Iterator[Item], acknowledged: Acknowledged, stopping: asyncio.Event
    ) -> None:
        clock = asyncio.get_running_loop().time
        sending: set[asyncio.Task[None]] = set()
        due = clock()
        producer = AIOKafkaProducer(
            bootstrap_servers=self._system.broker.bootstrap_servers,
            # Not idempotent: once a batch expired while its broker was away, such a producer may be refused for ever.
            acks="all",
            max_request_size=RECORD_BYTES_MAX,
            metadata_max_age_ms=5000,
            request_timeout_ms=5000,
        )
        async with producer:
            while not stopping.is_set():
                due = max(due + self._interval_seconds, clock() - _BEHIND_SECONDS_MAX)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.0, due - clock())):
                        await stopping.wait()
                if len(sending) >= IN_FLIGHT_MAX:
                    await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                one = asyncio.create_task(self._send_one(producer, partition, next(items), acknowledged))
                sending.add(one)
                one.add_done_callback(sending.discard)
            await asyncio.gather(*sending)

    async def _send_one(
        self, producer: AIOKafkaProducer, partition: int, item: Item, acknowledged: Acknowledged
    ) -> None:
        """Send a record until it is acknowledged. After a time-out it may be there twice, as with real senders."""
        handed_over_at = asyncio.get_running_loop().time()
        topic = self._system.topic(item.topic)
        while True:
            try:
                metadata: Any = await producer.send_and_wait(topic, item.value, key=item.key, partition=partition)
            except KafkaError:
                await asyncio.sleep(_RETRY_SECONDS)
            else:
                self.sent += 1
                acknowledged(item.topic, partition, metadata.offset, handed_over_at)
                return


def _accounts(partition: int, partitions: int) -> list[str]:
    named = (f"marketplace-{number}" for number in count())
    found = (account_id for account_id in named if partition_of(account_id, partitions) == partition)
    return [next(found) for _ in range(ACCOUNTS_PER_PARTITION)]


def _place(delivery: Delivery, partitions: int) -> int:
    return (partition_of(delivery.key.decode(), partitions) + delivery.misplaced) % partitions
