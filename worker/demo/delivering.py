"""Sends deliveries to a broker as their producers would, at a chosen pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiokafka import AIOKafkaProducer

from schemas.topics import Topic
from worker.demo.disturbance import Delivery
from worker.stream.partitioning import partition_of

IN_FLIGHT_MAX = 5000


async def feed(
    producer: AIOKafkaProducer,
    deliveries: Iterable[Delivery],
    *,
    topic_name: Callable[[Topic], str],
    partition_count: int,
    per_second: float | None = None,
    sent: Callable[[Delivery], None] | None = None,
) -> None:
    """Send the deliveries in their order, and return when the broker has acknowledged them all.

    Each goes to its key's partition (a misplaced one to the next). `per_second` bounds the pace (None: as fast as it
    goes); `sent` is called for each as it is handed over. Raises what the producer raises.
    """
    clock = asyncio.get_running_loop().time
    start = clock()
    pending: list[asyncio.Future[object]] = []
    for number, delivery in enumerate(deliveries):
        if delivery.fenced or len(pending) >= IN_FLIGHT_MAX:
            await asyncio.gather(*pending)
            pending.clear()
        if per_second is not None and (ahead := start + number / per_second - clock()) > 0:
            await asyncio.sleep(ahead)
        partition = (partition_of(delivery.key.decode(), partition_count) + delivery.misplaced) % partition_count
        pending.append(
            await producer.send(topic_name(delivery.topic), delivery.value, key=delivery.key, partition=partition)
        )
        if sent is not None:
            sent(delivery)
    await asyncio.gather(*pending)
