"""`python -m tests.bench.peers.librdkafka_loop BOOTSTRAP PREFIX GROUP`: the kernel job as a bare loop on librdkafka.

As confluent-kafka's own example of exactly once has it (consume, produce, send offsets to the transaction, commit),
with one transaction for what has arrived. What a client alone can do: an abort is not handled, nothing is restored.
"""

from __future__ import annotations

import signal
import sys
from types import FrameType

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.bench.peers.loop_state import LoopState

BATCH_RECORDS_MAX = 4000
BATCH_SECONDS = 0.01


def main(bootstrap_servers: str, prefix: str, group: str) -> None:
    """Run until SIGTERM."""
    running = True

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "partition.assignment.strategy": "range",
        }
    )
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "transactional.id": group,
            "linger.ms": 5,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions()
    consumer.subscribe([f"{prefix}orders.events.v1", f"{prefix}sub-orders.events.v1"])
    state = LoopState()
    while running:
        messages = consumer.consume(BATCH_RECORDS_MAX, BATCH_SECONDS)
        if not messages:
            continue
        producer.begin_transaction()
        ends: dict[tuple[str, int], int] = {}
        for message in messages:
            if (error := message.error()) is not None:
                raise RuntimeError(error)
            partition = message.partition()
            for topic, place, key, value in state.take(partition, message.value()):
                producer.produce(prefix + topic, value, key, place)
            ends[message.topic(), partition] = message.offset() + 1
        for topic, place, key, value in state.flush():
            producer.produce(prefix + topic, value, key, place)
        offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
        producer.commit_transaction()
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:4])
