"""Checking for commands whether the topics of a partition are those that its state knows.

`worker.stream.start.guards` compares, for workers and commands alike. A worker fences others before it reads. A command
does not, so it reads the state first and compares it with what the inputs hold later. That is safe, because records
that were consumed do not change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from worker.inspection.topic_reader import TopicReader
from worker.stream.records import InputRecord
from worker.stream.start.guards import Bounds, Breach, Found, Guards
from worker.stream.start.restore import Restored
from worker.stream.state.positions import LastRecord


@dataclass(frozen=True)
class JournalSeen:
    """The journal as far as the state covers it."""

    bounds: Bounds
    last_offset: int | None
    """The offset of the last record that the state covers; -1: there is none; None: it was not looked for."""


NO_OFFSETS: Final[Mapping[str, int]] = {}


@dataclass(frozen=True)
class Belonging:
    """Judges one partition. `ids`: the topics' ids, as far as they are known."""

    reader: TopicReader
    guards: Guards
    ids: Mapping[str, bytes]

    async def breaches(
        self,
        engine: Restored,
        journal: JournalSeen,
        state_records: int | None = None,
        group_offsets: Mapping[str, int] = NO_OFFSETS,
    ) -> list[Breach]:
        """Find what does not fit among state, journal and inputs.

        `state_records`: how many records the state has; None: they were not counted.
        """
        bounds = {self.guards.journal: journal.bounds}
        records: dict[str, dict[int, LastRecord | None]] = {}
        proofs = self.guards.proofs(engine.positions, engine.known_topics, self.ids)
        for topic in self.guards.inputs:
            seen = await self.reader.bounds(topic, self.guards.partition)
            bounds[topic], records[topic] = Bounds(seen.start, seen.stable_end), {}
            for proof in proofs.get(topic, ()):
                is_there = bounds[topic].begin <= proof.offset < bounds[topic].end
                records[topic][proof.offset] = await self._lying_at(topic, proof.offset) if is_there else None
        has_end, beyond = _judged(engine, journal)
        found = Found(
            bounds=bounds,
            ids=self.ids,
            records=records,
            has_journal_end=has_end,
            journal_beyond=beyond,
            state_records=state_records,
            group_offsets=group_offsets,
        )
        return self.guards.breaches(engine.checkpoint, engine.known_topics, found)

    async def _lying_at(self, topic: str, offset: int) -> LastRecord | None:
        lying: list[InputRecord] = []
        await self.reader.read(topic, self.guards.partition, start=offset, end=offset + 1, take=lying.extend)
        return LastRecord.of(lying[0]) if lying else None


def _judged(engine: Restored, journal: JournalSeen) -> tuple[bool, int | None]:
    """Return whether the journal has the last record that the state knows, and the offset of one beyond it."""
    last = journal.last_offset
    if engine.checkpoint is None or last is None:
        return True, None
    expected = engine.checkpoint.journal
    # An expired record is not missing.
    has_end = expected.last_offset <= max(last, journal.bounds.begin - 1)
    return has_end, last if last >= expected.next_offset else None
