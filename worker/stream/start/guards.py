"""The comparison of a partition's state with its topics: do they belong together? Pure.

A topic can be deleted and recreated, and an unclean leader election loses records. Then the state has offsets of
records that are gone. A partition that continued would process records twice, or skip records that it never read. So
the state records what the topics must hold, and a partition that starts compares that with what they hold.

The guards have the numbers that docs/design.md gives them:

| guard | compares |
|---|---|
| G2 state lost | a state without positions, with the journal and the group's offsets, which must be empty then |
| G3 journal | the journal's next offset as the state has it, with the offset where the journal ends |
| G5 position | each position, with the input's first and last offset |
| G6 state records | how many keys the state has, with how many its last transaction recorded |
| G7 last record | the last record that was read of each input, with the record there today |

An input may have another id than before, as after a restore from a copy, if its *anchor* still lies where it was read.
The anchor is a record that was read before the id changed. If it has expired, another id is a breach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import UNKNOWN, Checkpoint, LastRecord, Position

BEGIN_ANEW: Final = (
    "stop all workers and run `stockfreeze begin-anew`, which recreates state and outputs and reads the inputs again"
)
ANOTHER_SYSTEM: Final = (
    "partitions cannot be removed, so start another system, with another TOPIC_PREFIX and APP_ID, and copy the "
    "inputs as docs/operations.md describes under Partition counts"
)


class Bounds(NamedTuple):
    """The first offset of a partition, and its end for a read_committed reader."""

    begin: int
    end: int


@dataclass(frozen=True)
class Found:
    """What the topics hold of a partition, as read after its fence record."""

    bounds: Mapping[str, Bounds]
    """By topic: each input and the journal."""
    ids: Mapping[str, bytes]
    """The ids of the topics; those that the broker does not report are left out."""
    records: Mapping[str, Mapping[int, LastRecord | None]]
    """By input and offset: the record read there; None if no record lies there any more."""
    has_journal_end: bool
    """Whether a committed record lies where the journal's last record was written."""
    journal_beyond: int | None
    """The offset of the first committed record after the end that the state has for the journal; None without one."""
    state_records: int | None
    """How many keys the restore found; None if the state came from memory."""
    group_offsets: Mapping[str, int]
    """The group's committed offsets of this partition by input; only read if the state has no positions."""


class Breach(NamedTuple):
    """A difference between state and topics. The sentence names what was found, and how to repair it."""

    topic: str
    sentence: str
    what: str = ""
    """If the topic is an input: what was found, without the repair. The acceptance of an input reports it."""


@dataclass(frozen=True)
class Guards:
    """Compares one partition of a system."""

    partition: int
    inputs: tuple[str, ...]
    journal: str
    state: str

    def breach(self, checkpoint: Checkpoint | None, known: KnownTopics, found: Found) -> Breach | None:
        """The first difference, None if all fits: a start asks for it.

        `checkpoint` is None if the state has no positions.
        """
        return next(self._breaches(checkpoint, known, found), None)

    def breaches(self, checkpoint: Checkpoint | None, known: KnownTopics, found: Found) -> list[Breach]:
        """The first difference of each topic: `stockfreeze verify` and `stockfreeze topics` ask for them."""
        first: dict[str, Breach] = {}
        for breach in self._breaches(checkpoint, known, found):
            first.setdefault(breach.topic, breach)
        return list(first.values())

    def input_breach(self, topic: str, checkpoint: Checkpoint, known: KnownTopics, found: Found) -> Breach | None:
        """The first difference of one input, None if it fits: the acceptance of an input asks for it."""
        is_changed, anchor = topic in known.changed(found.ids), known.anchors.get(topic)
        breaches = self._input(topic, checkpoint.positions[topic], anchor, found, is_changed=is_changed)
        return next(breaches, None)

    def proofs(
        self, positions: Mapping[str, Position], known: KnownTopics, ids: Mapping[str, bytes]
    ) -> dict[str, list[LastRecord]]:
        """The records that must still lie where they were read, by input; an input without a position has none.

        `ids` are the ids of the topics today. `Found.records` must have what lies at the offsets of the proofs.
        """
        changed = known.changed(ids)
        return {
            topic: _proofs_of(positions[topic], known.anchors.get(topic), is_changed=topic in changed)
            for topic in self.inputs
            if topic in positions
        }

    def _breaches(self, checkpoint: Checkpoint | None, known: KnownTopics, found: Found) -> Iterator[Breach]:
        if checkpoint is None:
            yield from self._lost_state(found)
            return
        yield from self._journal(checkpoint, found)
        yield from self._state_records(checkpoint, found)
        changed = set(known.changed(found.ids))
        for topic in self.inputs:
            position = checkpoint.positions.get(topic)
            if position is not None:
                anchor = known.anchors.get(topic)
                yield from self._input(topic, position, anchor, found, is_changed=topic in changed)

    def _lost_state(self, found: Found) -> Iterator[Breach]:
        end = found.bounds[self.journal].end
        if end > 0:
            why = f"the journal {self._place(self.journal)} ends at offset {end}"
        elif found.group_offsets:
            topic, offset = min(found.group_offsets.items())
            why = f"the consumer group has committed offset {offset} of {self._place(topic)}"
        else:
            return
        yield Breach(
            self.state,
            f"the state of partition {self.partition} is lost: {self._place(self.state)} has no positions, but {why}; "
            f"restore the topic from a backup, or {BEGIN_ANEW}",
        )

    def _journal(self, checkpoint: Checkpoint, found: Found) -> Iterator[Breach]:
        (last, expected), end = checkpoint.journal, found.bounds[self.journal].end
        if expected == UNKNOWN:
            return
        way_out = f"restore state and journal from copies of one moment, with the same offsets, or {BEGIN_ANEW}"
        place = self._place(self.journal)
        if end < expected:
            yield Breach(
                self.journal,
                f"the journal {place} ends at offset {end}, but by the state it continues at {expected}: it lost "
                f"records or was recreated; {way_out}",
            )
        elif not found.has_journal_end:
            # Aborted records take offsets too. With them, a recreated journal may have reached the expected end.
            yield Breach(
                self.journal,
                f"the journal {place} has no record at offset {last}, where its last one lies by the state: it lost "
                f"records or was recreated; {way_out}",
            )
        elif found.journal_beyond is not None:
            yield Breach(
                self.journal,
                f"the journal {place} has a record at offset {found.journal_beyond}, but by the state it continues at "
                f"{expected}: the end of the state {self._place(self.state)} is lost, or another system writes to the "
                f"journal; {way_out}",
            )

    def _state_records(self, checkpoint: Checkpoint, found: Found) -> Iterator[Breach]:
        expected, has = checkpoint.state_records, found.state_records
        if UNKNOWN not in (expected, has) and has is not None and has != expected:
            yield Breach(
                self.state,
                f"the state {self._place(self.state)} has {has} keys, but {expected} by its last transaction: "
                "some are lost, for example by a cleanup.policy other than compact; restore the topic from a backup, "
                f"or {BEGIN_ANEW}",
            )

    def _input(
        self, topic: str, position: Position, anchor: LastRecord | None, found: Found, *, is_changed: bool
    ) -> Iterator[Breach]:
        proofs = _proofs_of(position, anchor, is_changed=is_changed)
        place, (begin, end) = self._place(topic), found.bounds[topic]
        if position.next_offset > end:
            yield self._accept(topic, f"{place} ends at offset {end}, but was read up to {position.next_offset}")
        elif position.next_offset < begin:
            what = f"{place} begins at offset {begin}, but was read up to {position.next_offset} only"
            yield Breach(topic, f"{what}: records expired before they were read; {_ways_out(topic)}", what)
        records = found.records[topic]
        for proof in proofs:
            lies_there = records[proof.offset]
            if lies_there is not None and lies_there != proof:
                yield self._accept(topic, f"{place} has another record at offset {proof.offset} than was read there")
        is_proven = anchor is not None and records.get(anchor.offset) == anchor
        if is_changed and not is_proven and position.next_offset > 0:
            yield self._accept(topic, f"{place} has another id than the topic that was read")

    def _accept(self, topic: str, what: str) -> Breach:
        return Breach(topic, f"{what}: the topic was recreated or lost records; {_ways_out(topic)}", what)

    def _place(self, topic: str) -> str:
        return f"{topic}/{self.partition}"


def _proofs_of(position: Position, anchor: LastRecord | None, *, is_changed: bool) -> list[LastRecord]:
    """The records of an input that must still lie where they were read: the last one and, for a changed id, the anchor.

    If the topic's id has changed, the last record may already come from the new topic. So the anchor, which was read
    before the change, is needed too.
    """
    proofs = [] if position.last is None else [position.last]
    if is_changed and anchor is not None and anchor not in proofs:
        proofs.append(anchor)
    return proofs


def _ways_out(topic: str) -> str:
    return (
        "restore it from a copy that has the same offsets and timestamps, or stop all workers and run `stockfreeze "
        f"topics accept {topic} --from beginning`, which reads it from its first record; events that were applied "
        "before are not applied again"
    )
