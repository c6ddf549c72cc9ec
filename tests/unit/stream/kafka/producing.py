"""What tests of a producer share: both protocols, batches to write, and a whole transaction."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatch

from tests.unit.stream.brokers import (
    COMMIT_OFFSETS,
    END,
    KAFKA_4,
    OFFSETS,
    OLD,
    PARTITIONS,
    PRODUCE,
    topics_of,
)
from worker.stream import OutputRecord
from worker.stream.kafka.open_batches import Filled, OpenBatches
from worker.stream.kafka.producer import TransactionalProducer

OF_A_TRANSACTION = {OLD: (PARTITIONS, OFFSETS, PRODUCE, COMMIT_OFFSETS, END), KAFKA_4: (COMMIT_OFFSETS, PRODUCE, END)}
OLD_WAY = pytest.mark.parametrize("brokers", [OLD], indirect=True)
"""Without it a test holds for both ways."""
AS_KAFKA_4 = pytest.mark.parametrize("brokers", [KAFKA_4], indirect=True)


def asked(*left_out: str) -> pytest.MarkDecorator:
    """Each request of a transaction, the old way and that of Kafka 4."""
    both = [(version, name) for version, names in OF_A_TRANSACTION.items() for name in names if name not in left_out]
    return pytest.mark.parametrize(("brokers", "name"), both, indirect=["brokers"])


def rounds(*topics: str) -> list[list[Filled]]:
    """A round for each text, with a record for each of its letters, all of a topic in one batch."""
    rounds = []
    for letters in topics:
        batches = OpenBatches(10_000, lambda: 1_790_000_000_000)
        batches.append([OutputRecord(letter, b"key", b"value") for letter in letters])
        rounds += batches.take()
    return rounds


def written(request: Any) -> dict[str, DefaultRecordBatch]:  # noqa: ANN401 - aiokafka's
    return {topic: DefaultRecordBatch(bytes(data)) for topic, data in topics_of(request).items()}


async def transaction(producer: TransactionalProducer, topics: str = "a") -> None:
    """A transaction with one record for each letter, and with an offset."""
    await producer.begin(list(topics), with_offsets=True)
    await producer.write(rounds(topics), {"in": 5})
    await producer.end(commit=True)
