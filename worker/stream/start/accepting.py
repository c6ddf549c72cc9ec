"""Accepting a recreated topic: an operator decides that an input is read on, although the state knows another topic.

The new topic becomes another *generation* of the input. It is read from its beginning or its end, and its records get
identities that include the generation. Reading from the beginning is always safe, because events that were
applied before are not applied again. Each partition is accepted in one transaction under the transactional id of its
worker. So it is accepted or not, and after an interruption the command can be repeated: accepted partitions fit
already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from worker.clock import Clock
from worker.stream.config import EngineConfig
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.kafka.reaper import Reaper
from worker.stream.records import OutputRecord
from worker.stream.start.guards import BEGIN_ANEW, Bounds, Found, Guards
from worker.stream.start.partition_reader import PartitionReader
from worker.stream.start.restore import Restored, StateReader
from worker.stream.state.known_topics import KnownTopics, encode_known_topics
from worker.stream.state.positions import (
    POSITIONS_KEY,
    TOPICS_KEY,
    Checkpoint,
    LastRecord,
    begun_at,
    encode_checkpoint,
)
from worker.stream.transactions.transaction import TransactionWriter

REAP_SECONDS_MAX: Final = 5.0


class Start(StrEnum):
    """The end of the new topic from which it is read."""

    BEGINNING = "beginning"
    END = "end"


class CannotAccept(Exception):
    """Accepting would not help. The text is a sentence that says what would."""


@dataclass(frozen=True)
class Acceptance:
    """What was found in one partition of the topic, and what its state records once the topic is accepted."""

    partition: int
    found: str
    """The difference between state and topic, as the first half of a sentence."""
    read_to: int
    """The next offset of the topic that the state knows."""
    begins_at: int
    generation: int
    unread: int
    """How many offsets of the new topic are never read."""
    checkpoint: Checkpoint
    known_topics: KnownTopics


@dataclass(frozen=True)
class Seen:
    """What one partition of the topic holds today. `topic_id` is None if the broker does not report it."""

    topic_id: bytes | None
    bounds: Bounds
    records: Mapping[int, LastRecord | None]
    """The records today at the offsets of the state's proofs; None if no record lies there."""


def acceptance_of(guards: Guards, topic: str, restored: Restored, seen: Seen, start: Start) -> Acceptance | None:
    """Decide what the state of a partition records once the topic is accepted; None if the topic fits already.

    Raises CannotAccept if the state has no positions.
    """
    checkpoint, known = restored.checkpoint, restored.known_topics
    if checkpoint is None:
        raise CannotAccept(
            f"the state of partition {guards.partition} in {guards.state} has no positions, so there is nothing to "
            f"accept: if this system has worked before, restore the state from a backup, or {BEGIN_ANEW}"
        )
    position = checkpoint.positions.get(topic)
    if position is None:
        return None
    what = _misfit(guards, topic, checkpoint, known, seen)
    if what is None:
        return None
    begins_at = seen.bounds.begin if start is Start.BEGINNING else seen.bounds.end
    accepted = begun_at(begins_at, position.generation + 1)._replace(
        dead_lettered_before=position.dead_lettered_before + position.dead_lettered
    )
    ids = {name: topic_id for name, topic_id in known.ids.items() if name != topic}
    if seen.topic_id is not None:
        ids[topic] = seen.topic_id
    anchors = {name: anchor for name, anchor in known.anchors.items() if name != topic}
    return Acceptance(
        partition=guards.partition,
        found=what,
        read_to=position.next_offset,
        begins_at=begins_at,
        generation=accepted.generation,
        unread=begins_at - seen.bounds.begin,
        checkpoint=checkpoint._replace(positions={**checkpoint.positions, topic: accepted}),
        known_topics=KnownTopics(ids, anchors),
    )


def _misfit(guards: Guards, topic: str, checkpoint: Checkpoint, known: KnownTopics, seen: Seen) -> str | None:
    ids = _ids(topic, seen.topic_id)
    found = Found(
        bounds={topic: seen.bounds},
        ids=ids,
        records={topic: seen.records},
        has_journal_end=True,
        journal_beyond=None,
        state_records=None,
        group_offsets={},
    )
    breach = guards.input_breach(topic, checkpoint, known, found)
    if breach is not None:
        return breach.what
    if known.changed(ids):
        return f"{topic}/{guards.partition} has another id than the topic that was read, but what was read lies there"
    return None


def _ids(topic: str, topic_id: bytes | None) -> dict[str, bytes]:
    return {} if topic_id is None else {topic: topic_id}


class Acceptor:
    """Examines and accepts the partitions of one topic, while no worker runs."""

    def __init__(self, config: EngineConfig, topic: str, topic_id: bytes | None, start: Start) -> None:
        read_as_input_records()
        self._config = config
        self._topic = topic
        self._topic_id = topic_id
        self._start = start
        self._clock = Clock()
        self._reaper = Reaper()

    async def look(self, partition: int, partition_count: int) -> Acceptance | None:
        """Decide what accepting would change in a partition; None if it fits already. Writes nothing.

        Raises CannotAccept, Halt if the state cannot be read, and errors of the broker.
        """
        return await self._judge(partition, partition_count, None)

    async def accept(self, partition: int, partition_count: int) -> Acceptance | None:
        """Fence the partition's worker and accept the topic if it does not fit. Return what was changed.

        Raises CannotAccept, Halt if the state cannot be read, and errors of the broker. After any error the partition
        is either accepted or not, and the call can be repeated.
        """
        writer = TransactionWriter(self._config, partition, self._clock, self._reaper)
        try:
            await writer.start()
            acceptance = await self._judge(partition, partition_count, await writer.fence())
            if acceptance is not None:
                writer.append(self._records_of(acceptance))
                await writer.commit({self._topic: acceptance.begins_at})
            return acceptance
        finally:
            await writer.discard()

    async def close(self) -> None:
        """Wait until the connections are closed."""
        await self._reaper.wait(REAP_SECONDS_MAX)

    def _records_of(self, acceptance: Acceptance) -> Iterator[OutputRecord]:
        state = self._config.state_topic
        yield OutputRecord(state, TOPICS_KEY, encode_known_topics(acceptance.known_topics))
        yield OutputRecord(state, POSITIONS_KEY, encode_checkpoint(acceptance.checkpoint))

    async def _judge(self, partition: int, partition_count: int, fence_offset: int | None) -> Acceptance | None:
        config, topic = self._config, self._topic
        guards = Guards(partition, config.inputs, config.journal_topic, config.state_topic)
        reader = PartitionReader(config, partition, self._clock, self._reaper)
        try:
            await reader.start()
            bounds = await reader.bounds((topic, config.state_topic))
            begin, end = bounds[config.state_topic]
            last = end - 1 if fence_offset is None else fence_offset
            restored = await StateReader(config, partition, reader).restore(_Unkept(), begin, last, lambda _: None)
            if restored.partition_count not in (None, partition_count):
                raise CannotAccept(
                    f"the state was begun with {restored.partition_count} partitions, but the topics have "
                    f"{partition_count}: `stockfreeze topics check` shows which are wrong"
                )
            ids = _ids(topic, self._topic_id)
            proofs = guards.proofs(restored.positions, restored.known_topics, ids)
            lying = await reader.lying_at({topic: proofs.get(topic, [])}, bounds)
            seen = Seen(self._topic_id, bounds[topic], lying[topic])
            return acceptance_of(guards, topic, restored, seen, self._start)
        finally:
            reader.close()


class _Unkept:
    """Stands in for the processor when only the engine's own records are needed."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Ignore the record."""
