"""Whether the topics of a partition are those that its state knows, for commands: what lies today where the state says
that something lay. The comparison itself is the engine's (`worker.stream.guards`).

A worker asks after its fence. Here nobody is fenced, so the state is read first, and what it says of the inputs is
compared with what they hold later: offsets and records that were read once do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from worker.edges.topic_reader import TopicReader
from worker.stream.guards import Bounds, Breach, Found, Guards, proofs_of
from worker.stream.positions import LastRecord
from worker.stream.records import InputRecord
from worker.stream.restore import Restored


@dataclass(frozen=True)
class JournalSeen:
    """What there is of the journal, as far as the state has it."""

    bounds: Bounds
    last_offset: int
    """Of the last record that the state has caused, -1: there is none."""


@dataclass(frozen=True)
class Belonging:
    """Judges one partition. `ids` are those of the topics, as far as they are known."""

    reader: TopicReader
    guards: Guards
    ids: Mapping[str, bytes]

    async def input_breaches(self, said: Restored) -> list[Breach]:
        """What does not fit of each input."""
        if said.checkpoint is None:
            return []
        found = await self._found(said)
        breaches = [
            self.guards.input_breach(topic, said.checkpoint, said.known_topics, found)
            for topic in self.guards.inputs
            if topic in said.checkpoint.positions
        ]
        return [breach for breach in breaches if breach is not None]

    async def breaches(
        self, said: Restored, journal: JournalSeen, state_records: int, group_offsets: Mapping[str, int]
    ) -> list[Breach]:
        """What does not fit, of state, journal and inputs. `state_records`: how many records the state has."""
        found = await self._found(said, journal, state_records, group_offsets)
        return self.guards.breaches(said.checkpoint, said.known_topics, found)

    async def _found(
        self,
        said: Restored,
        journal: JournalSeen | None = None,
        state_records: int | None = None,
        group_offsets: Mapping[str, int] | None = None,
    ) -> Found:
        bounds: dict[str, Bounds] = {}
        records: dict[str, dict[int, LastRecord | None]] = {}
        changed = said.known_topics.changed(self.ids)
        for topic in self.guards.inputs:
            seen = await self.reader.bounds(topic, self.guards.partition)
            bounds[topic], records[topic] = Bounds(seen.start, seen.stable_end), {}
            if (position := said.positions.get(topic)) is not None:
                anchor = said.known_topics.anchors.get(topic)
                for proof in proofs_of(position, anchor, is_changed=topic in changed):
                    is_there = bounds[topic].begin <= proof.offset < bounds[topic].end
                    records[topic][proof.offset] = await self._lying_at(topic, proof.offset) if is_there else None
        beyond = None
        has_end = True
        if journal is not None:
            bounds[self.guards.journal] = journal.bounds
            if said.checkpoint is not None:
                expected = said.checkpoint.journal
                # The last one may have expired, or not be known; then nothing is missed.
                has_end = expected.last_offset <= max(journal.last_offset, journal.bounds.begin - 1)
                beyond = journal.last_offset if journal.last_offset >= expected.next_offset else None
        return Found(
            bounds=bounds,
            ids=self.ids,
            records=records,
            has_journal_end=has_end,
            journal_beyond=beyond,
            state_records=state_records,
            group_offsets=group_offsets or {},
        )

    async def _lying_at(self, topic: str, offset: int) -> LastRecord | None:
        lying: list[InputRecord] = []
        await self.reader.read(topic, self.guards.partition, start=offset, end=offset + 1, take=lying.extend)
        return LastRecord.of(lying[0]) if lying else None
