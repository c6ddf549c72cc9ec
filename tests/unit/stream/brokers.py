"""Brokers that answer a producer as they are told to, in the place of aiokafka's client."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

INIT, PARTITIONS, OFFSETS = "InitProducerIdRequest", "AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest"
PRODUCE, COMMIT_OFFSETS, END = "ProduceRequest", "TxnOffsetCommitRequest", "EndTxnRequest"
PARTITION = 3

Refusal = type[KafkaError] | Mapping[str, type[KafkaError]]
"""Of everything, or by topic."""


class Brokers:
    """Two nodes; node 1 leads, but for the topics in `leaders`."""

    def __init__(self) -> None:
        self.leaders: dict[str, int] = {}
        self.course: list[str] = []
        """What was asked, and `!` where it was answered."""
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.lookups: list[str] = []
        self.next: dict[str, deque[Refusal | Exception | asyncio.Event | None]] = defaultdict(deque)
        """What becomes of the next requests of a name: answered, refused, no answer, or held until an event."""
        self.base_offset = 100
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
        name = type(request).__name__
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
            assert all(self.leaders.get(topic, 1) == node_id for topic, _ in request._topics)
            told = [(topic, [(PARTITION, code(topic), self.base_offset, -1, 0)]) for topic, _ in request._topics]
            return SimpleNamespace(topics=told)
        if name in (PARTITIONS, COMMIT_OFFSETS):
            return SimpleNamespace(errors=[(topic, [(PARTITION, code(topic))]) for topic, _ in request._topics])
        return SimpleNamespace(error_code=code(""), producer_id=7, producer_epoch=2)
