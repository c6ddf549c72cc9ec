"""Beginning a system anew: state and outputs are deleted and created again, and its inputs are read once more.

State and journal go together or not at all: one without the other makes wrong books. So all is deleted with one
request, the group's offsets go before anything is created, and each step finds out by itself what is left to be done.
After an interruption, run it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from schemas.topics import LEDGER, Topic
from worker.inspection.admin import TopicsMissing, common_partition_count, spec_like, spec_of
from worker.inspection.cluster import Cluster, ClusterError, TopicSpec
from worker.stream.config import EngineConfig
from worker.stream.kafka.producer import TransactionalProducer


@dataclass(frozen=True)
class Renewal:
    """The topics to delete, and those to create afterwards."""

    partition_count: int
    deleted: Sequence[str]
    """State and outputs that are there."""
    created: Sequence[TopicSpec]
    """Everything that was deleted, and inputs that are missing."""
    kept: Sequence[str]
    """Inputs that are there."""
    lacking: Sequence[str]
    """State and outputs that are not there, as after an interruption: they are created as `topics create` does."""


def renewal_of(names: Mapping[Topic, str], found: Mapping[str, int], was: Mapping[str, TopicSpec]) -> Renewal:
    """Plan the renewal of a system whose topics have these full names.

    `found`: the partition counts of what is there; `was`: how that was created. Raises TopicsMissing where no input is
    there, or inputs have different partition counts.
    """
    kept = [names[topic] for topic in LEDGER.inputs if names[topic] in found]
    if not kept:
        raise TopicsMissing(f"there is no input of this system, such as {names[LEDGER.inputs[0]]}: check TOPIC_PREFIX")
    partition_count = common_partition_count(kept, found)
    replication_factor = was[kept[0]].replication_factor
    specs = [
        spec_of(topic, names[topic], partition_count, replication_factor)
        for topic in LEDGER.inputs
        if names[topic] not in found
    ]
    specs += [
        spec_like(topic, names[topic], partition_count, was.get(names[topic]), replication_factor)
        for topic in LEDGER.outputs
    ]
    outputs = [names[topic] for topic in LEDGER.outputs]
    return Renewal(
        partition_count=partition_count,
        deleted=[name for name in outputs if name in found],
        created=specs,
        kept=kept,
        lacking=[name for name in outputs if name not in found],
    )


async def begin_anew(
    cluster: Cluster, config: EngineConfig, renewal: Renewal, report: Callable[[str], object] = lambda _: None
) -> None:
    """Begin anew, and `report` each step as a sentence. Raises ClusterError and errors of Kafka."""
    await _end_transactions(config, renewal.partition_count)
    report("what earlier workers left open is ended")
    await cluster.delete(renewal.deleted)
    report(f"{len(renewal.deleted)} topics are deleted")
    await cluster.delete_group(config.app_id)
    report(f"the offsets of group {config.app_id} are deleted")
    existed, counts = await cluster.create(renewal.created)
    if existed or set(counts.values()) != {renewal.partition_count}:
        raise ClusterError(
            f"another program created {', '.join(sorted(existed)) or 'topics'} meanwhile: see that nothing else makes "
            "them, and run this again"
        )
    report(f"{len(renewal.created)} topics are created")


async def _end_transactions(config: EngineConfig, partition_count: int) -> None:
    """Have the brokers end what workers left open: its markers would come into the new topics."""
    for partition in range(partition_count):
        producer = TransactionalProducer(config, partition)
        try:
            async with asyncio.timeout(config.step_ms_max / 1000):
                await producer.take_over()
        finally:
            await producer.stop()
