"""Scripted brokers that answer a producer, in place of aiokafka's client."""

from __future__ import annotations

import asyncio
import struct
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from worker.stream.kafka.transaction_requests import (
    FEATURES,
    FEATURES_EPOCH,
    FINALIZED_FEATURES,
    NO_TAGS,
    ApiVersionsResponse_v3,
)

VERSIONS, INIT = "ApiVersionsRequest", "InitProducerIdRequest"
PARTITIONS, OFFSETS = "AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest"
PRODUCE, COMMIT_OFFSETS, END = "ProduceRequest", "TxnOffsetCommitRequest", "EndTxnRequest"
PARTITION = 3
OLD, KAFKA_4 = 1, 2
"""The versions of transactions that brokers agree on."""

Refusal = type[KafkaError] | Mapping[str, type[KafkaError]]
"""Of everything, or by topic."""


class Brokers:
    """Two nodes; node 1 leads, but for the topics in `leaders`."""

    def __init__(self, transaction_version: int = KAFKA_4) -> None:
        self.transaction_version = transaction_version
        self.leaders: dict[str, int] = {}
        self.course: list[str] = []
        """What was asked, and `!` where it was answered."""
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.lookups: list[str] = []
        self.next: dict[str, deque[Refusal | Exception | asyncio.Event | None]] = defaultdict(deque)
        """What becomes of the next requests of a name: answered, refused, no answer, or held until an event."""
        self.base_offset = 100
        self.following = (7, 3)
        """The producer id and the epoch that an end brings."""
        self.refreshed = 0
        self.refreshed_twice = asyncio.Event()
        self.cluster = self

    def leader_for_partition(self, source: TopicPartition) -> int:
        assert source.partition == PARTITION
        return self.leaders.get(source.topic, 1)

    async def bootstrap(self) -> None:
        self.course.append("bootstrap")

    async def set_topics(self, topics: Sequence[str]) -> None:
        assert topics == ["out", "state"]

    async def close(self) -> None:
        self.course.append("close")

    async def force_metadata_update(self) -> None:
        self.refreshed += 1
        if self.refreshed == 2:
            self.refreshed_twice.set()

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        self.lookups.append(key)
        return 1 + kind

    async def send(self, node_id: int, request: Any) -> Any:  # noqa: ANN401 - aiokafka's
        name = type(request).__name__.partition("_")[0]
        assert node_id in {COMMIT_OFFSETS: (1,), PRODUCE: (1, 2)}.get(name, (2,)), "coordinators are nodes 1 and 2"
        self.course.append(name)
        self.requests[name].append(request)
        becomes = self.next[name].popleft() if self.next[name] else None
        await asyncio.sleep(0)
        if isinstance(becomes, Exception):
            raise becomes
        if isinstance(becomes, asyncio.Event):
            await becomes.wait()
            becomes = None
        self.course.append(f"{name}!")
        return self._answer(name, request, becomes, node_id)

    def _answer(self, name: str, request: Any, refusal: Refusal | None, node_id: int) -> object:  # noqa: ANN401 - aiokafka's
        def code(topic: str) -> int:
            error = refusal.get(topic) if isinstance(refusal, Mapping) else refusal
            return getattr(error, "errno", 0)

        if name == PRODUCE:
            assert all(self.leaders.get(topic, 1) == node_id for topic in topics_of(request))
            entries = {topic: (PARTITION, code(topic), self.base_offset, -1, 0) for topic in topics_of(request)}
            return SimpleNamespace(topics=self._by_topic(entries))
        if name in (PARTITIONS, COMMIT_OFFSETS):
            return SimpleNamespace(errors=self._by_topic({t: (PARTITION, code(t)) for t in topics_of(request)}))
        producer_id, epoch = self.following if name == END else (7, 2)
        if name == VERSIONS:
            return about_itself(self.transaction_version)
        return SimpleNamespace(error_code=code(""), producer_id=producer_id, producer_epoch=epoch)

    def _by_topic(self, entries: Mapping[str, tuple[int, ...]]) -> list[Any]:
        tags: tuple[object, ...] = () if self.transaction_version == OLD else ({},)
        return [(topic, [(*entry, *tags)], *tags) for topic, entry in entries.items()]


NEEDED = {"Produce": (0, 12), "EndTxn": (26, 5), "TxnOffsetCommit": (28, 5)}
"""API keys, and the versions that the transactions of Kafka 4 have."""


def about_itself(
    transaction_version: int, epoch: int = 5, versions: Mapping[int, int] = dict(NEEDED.values())
) -> ApiVersionsResponse_v3:
    """What a broker answers to a question about it: what its cluster agrees on, and the newest versions it takes."""
    features = [("metadata.version", 27, 27, NO_TAGS), ("transaction.version", transaction_version, 1, NO_TAGS)]
    tags = {FEATURES_EPOCH: struct.pack(">q", epoch), FINALIZED_FEATURES: FEATURES.encode(features)}
    return ApiVersionsResponse_v3(0, [(key, 0, newest, NO_TAGS) for key, newest in versions.items()], 0, tags)


def topics_of(request: Any) -> dict[str, Any]:  # noqa: ANN401 - aiokafka's
    """What a request contains for the partition of each topic: a batch, or an offset."""
    topics = request._topics if hasattr(request, "_topics") else request.topics
    return {topic: entry[1] if isinstance(entry, tuple) else None for topic, (entry,), *_ in topics}
