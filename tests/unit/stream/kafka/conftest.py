from __future__ import annotations

import pytest

from tests.unit.stream.brokers import PARTITION, Brokers
from tests.unit.stream.fakes import CONFIG
from worker.stream.kafka.producer import TransactionalProducer


@pytest.fixture
async def producer(brokers: Brokers) -> TransactionalProducer:
    producer = TransactionalProducer(CONFIG, PARTITION)
    producer._client = brokers
    await producer.start()
    brokers.course.clear()
    return producer


@pytest.fixture
async def opened(producer: TransactionalProducer, brokers: Brokers) -> TransactionalProducer:
    """A producer with an open transaction of topics a, b and c, without offsets."""
    await producer.begin(["a", "b", "c"], with_offsets=False)
    brokers.course.clear()
    brokers.requests.clear()
    return producer
