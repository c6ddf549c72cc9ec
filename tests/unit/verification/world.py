"""A partition's topics in memory, as the real processor wrote them, and their verification."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tests.offline import Corrupt, OfflinePartition, Transaction, account_in, as_written, input_records, story
from tests.topics_in_memory import MemoryCluster, MemoryReader, Records
from worker.domain.policies import Policies
from worker.inspection.state_reader import processors
from worker.stream.records import OutputRecord
from worker.verification.findings import Check
from worker.verification.partition import PartitionReport, VerifiedSystem, verify_partition

PARTITION = 1
COUNT = 2
ACCOUNT = account_in(PARTITION, COUNT)


@dataclass
class World:
    """The topics of a partition, and the offsets of its group."""

    reader: MemoryReader
    cluster: MemoryCluster

    @property
    def topics(self) -> Records:
        return self.reader.topics

    async def verify(self) -> PartitionReport:
        system = VerifiedSystem(
            app_id="app", prefix="", partition_count=COUNT, new_processor=processors(COUNT, "", Policies())
        )
        return await verify_partition(self.cluster, self.reader, system, PARTITION)


def world(corrupt: Corrupt = lambda _, records: records, transactions: int = 3) -> World:
    """The account's story, processed in some transactions, each of which may be corrupted before it is written."""
    inputs = input_records(story(ACCOUNT), PARTITION)
    worker = OfflinePartition(PARTITION, COUNT)
    size = -(-len(inputs) // transactions)
    written: list[Transaction] = [
        corrupt(number, worker.process(inputs[number * size : (number + 1) * size])) for number in range(transactions)
    ]
    topics = as_written(written, PARTITION)
    for given in inputs:
        topics.setdefault(given.topic, []).append(given)
    committed = {(topic, PARTITION): offset for topic, offset in worker.committed().items()}
    return World(MemoryReader(topics), MemoryCluster(committed))


def found(report: PartitionReport) -> set[Check]:
    return set(report.findings.counts)


def changed(record: OutputRecord, **fields: object) -> OutputRecord:
    """A record whose value has other fields."""
    assert record.value is not None
    return record._replace(value=json.dumps(json.loads(record.value) | fields).encode())
