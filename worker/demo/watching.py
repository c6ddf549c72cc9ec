"""Reads the output topics, as any consumer of them should: committed records only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Topic
from worker.demo.tally import WATCHED, Tally

POLL_MS = 100
IDLE_POLLS_AT_END = 5


class Watch:
    """A consumer of the output topics that fills a tally. `run` reads until cancelled."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Mapping[str, Topic], tally: Tally) -> None:
        self._consumer = consumer
        self._topics = topics
        self._tally = tally
        self._idle_polls = 0

    async def run(self) -> None:
        """Read what comes.

        Raises KafkaError, and KeyError or ValueError for a record that does not fit the schemas.
        """
        while True:
            batches = await self._consumer.getmany(timeout_ms=POLL_MS)
            self._idle_polls = 0 if batches else self._idle_polls + 1
            for partition, records in batches.items():
                for record in records:
                    self._tally.see(self._topics[partition.topic], record.value, record.headers)

    async def catch_up(self) -> None:
        """Wait until nothing more comes, once whatever writes has stopped."""
        self._idle_polls = 0
        while self._idle_polls < IDLE_POLLS_AT_END:  # noqa: ASYNC110 - `run` would have to know who waits
            await asyncio.sleep(POLL_MS / 1000)


@asynccontextmanager
async def watching(
    client_options: Mapping[str, Any], topic_name: Callable[[Topic], str], partition_count: int, tally: Tally
) -> AsyncIterator[Watch]:
    """Connect to the output topics, from their beginning."""
    topics = {topic_name(topic): topic for topic in WATCHED}
    consumer = AIOKafkaConsumer(
        **client_options,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=POLL_MS,
    )
    consumer.assign([TopicPartition(name, number) for name in topics for number in range(partition_count)])
    await consumer.start()
    try:
        yield Watch(consumer, topics, tally)
    finally:
        await consumer.stop()
