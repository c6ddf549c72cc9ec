"""Topics and a consumer group in memory, for what reads topics: the reader's and the cluster's own interface without a
broker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from aiokafka.admin import AIOKafkaAdminClient

from worker.inspection.cluster import Cluster
from worker.inspection.topic_reader import PartitionBounds, TakeRecords, TopicReader
from worker.stream.records import InputRecord

Records = dict[str, list[InputRecord]]


def nothing_happens(_topic: str) -> None:
    """Nobody writes while the topics are read."""


class MemoryReader(TopicReader):
    """Reads one partition from memory.

    `before_read` is called with the topic before each read, so that a test can write meanwhile.
    """

    def __init__(self, topics: Records, before_read: Callable[[str], None] = nothing_happens) -> None:
        super().__init__({})
        self.topics = topics
        self.starts: dict[str, int] = {}
        self._before_read = before_read

    async def bounds(self, topic: str, partition: int) -> PartitionBounds:
        del partition
        records = self.topics.get(topic, [])
        end = records[-1].offset + 2 if records else 0
        return PartitionBounds(self.starts.get(topic, 0), end, end)

    async def read(self, topic: str, partition: int, *, start: int, end: int, take: TakeRecords) -> None:
        del partition
        self._before_read(topic)
        chunk: Sequence[InputRecord] = [record for record in self.topics.get(topic, []) if start <= record.offset < end]
        for index in range(0, len(chunk), 3):
            take(chunk[index : index + 3])


class MemoryCluster(Cluster):
    """A cluster whose group has committed what the test says."""

    def __init__(self, committed: Mapping[tuple[str, int], int]) -> None:
        super().__init__(AIOKafkaAdminClient.__new__(AIOKafkaAdminClient))
        self.offsets = dict(committed)

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        del group
        return dict(self.offsets)

    async def ids(self, topics: Sequence[str]) -> dict[str, bytes]:
        del topics
        return {}
