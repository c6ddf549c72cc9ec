"""`python -m tests.bench.peers.aiokafka_loop BOOTSTRAP PREFIX GROUP`: the kernel job as a bare loop on aiokafka.

As aiokafka's documentation of a transactional consume-process-produce loop has it, with one transaction for what has
arrived. Tuned: uvloop, large batches, a flush before the offsets are added (added while a produce is under way, a
broker of version 4 refuses it) and a short back-off. What a client alone can do: an abort is not handled, nothing is
restored.
"""

from __future__ import annotations

import sys

import uvloop
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.bench.peers.loop_state import LoopState

BATCH_RECORDS_MAX = 4000
BATCH_MS = 100


async def run(bootstrap_servers: str, prefix: str, group: str) -> None:
    """Run until the process is ended."""
    consumer = AIOKafkaConsumer(
        f"{prefix}orders.events.v1",
        f"{prefix}sub-orders.events.v1",
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=BATCH_MS,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=group, max_batch_size=1 << 20, retry_backoff_ms=10
    )
    state = LoopState()
    await producer.start()
    await consumer.start()
    try:
        while True:
            fetched = await consumer.getmany(timeout_ms=BATCH_MS, max_records=BATCH_RECORDS_MAX)
            if not fetched:
                continue
            async with producer.transaction():
                ends: dict[TopicPartition, int] = {}
                for place, records in fetched.items():
                    for record in records:
                        for topic, partition, key, value in state.take(place.partition, record.value):
                            await producer.send(prefix + topic, value, key, partition)
                    ends[place] = records[-1].offset + 1
                for topic, partition, key, value in state.flush():
                    await producer.send(prefix + topic, value, key, partition)
                await producer.flush()
                await producer.send_offsets_to_transaction(ends, group)
    finally:
        await consumer.stop()
        await producer.stop()


if __name__ == "__main__":
    uvloop.run(run(*sys.argv[1:4]))
