"""Whether the topics of a partition are those that its state knows, for commands: what lies today where the state says
that something lay. The comparison itself is the engine's (`worker.stream.start.guards`).

A worker asks after its fence. Here nobody is fenced, so the state is read first, and what it says of the inputs is
compared with what they hold later: offsets and records that were read once do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from worker.inspection.topic_reader import TopicReader
from worker.stream.records import InputRecord
from worker.stream.start.guards import Bounds, Breach, Found, Guards, proofs_of
from worker.stream.start.restore import Restored
from worker.stream.state.positions import LastRecord


@dataclass(frozen=True)
class JournalSeen:
    """What there is of the journal, as far as the state has it."""

    bounds: Bounds
    last_offset: int | None
    """Of the last record that the state has caused, -1: there is none; None: it was not looked for."""


NO_OFFSETS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True)
class Belonging:
    """Judges one partition. `ids` are those of the topics, as far as they are known."""

    reader: TopicReader
    guards: Guards
    ids: Mapping[str, bytes]

    async def breaches(
        self,
        said: Restored,
        journal: JournalSeen,
        state_records: int | None = None,
        group_offsets: Mapping[str, int] = NO_OFFSETS,
    ) -> list[Breach]:
        """What does not fit, of state, journal and inputs.

        `state_records`: how many records the state has, None: they were not counted.
        """
        bounds = {self.guards.journal: journal.bounds}
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
        has_end, beyond = _judged(said, journal)
        found = Found(
            bounds=bounds,
            ids=self.ids,
            records=records,
            has_journal_end=has_end,
            journal_beyond=beyond,
            state_records=state_records,
            group_offsets=group_offsets,
        )
        return self.guards.breaches(said.checkpoint, said.known_topics, found)

    async def _lying_at(self, topic: str, offset: int) -> LastRecord | None:
        lying: list[InputRecord] = []
        await self.reader.read(topic, self.guards.partition, start=offset, end=offset + 1, take=lying.extend)
        return LastRecord.of(lying[0]) if lying else None


def _judged(said: Restored, journal: JournalSeen) -> tuple[bool, int | None]:
    """Whether the journal has the last record that the state knows, and one that it does not know."""
    last = journal.last_offset
    if said.checkpoint is None or last is None:
        return True, None
    expected = said.checkpoint.journal
    # What has expired is not missed.
    has_end = expected.last_offset <= max(last, journal.bounds.begin - 1)
    return has_end, last if last >= expected.next_offset else None
