"""Checking that every input record of a partition is accounted for: by outcomes, offsets and dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from worker.inspection.dead_letters import read_mark
from worker.inspection.topic_reader import Record
from worker.processors.ledger import REPLAY_HEADER
from worker.stream.state.positions import Position
from worker.verification.findings import Check, FindingLog
from worker.verification.sources import Cut


@dataclass(frozen=True, slots=True)
class InputFacts:
    """The offsets of a partition of an input, in the state and in the consumer group.

    `committed_before` and `committed_after` are the group's offsets before and after the state was read (None: none): a
    running system moves on between.
    """

    topic: str
    position: Position | None
    committed_before: int | None
    committed_after: int | None


def check_input(facts: InputFacts, findings: FindingLog) -> None:
    """Check invariant 7, and that the group's offset fits the state."""
    position = facts.position
    next_offset = 0 if position is None else position.next_offset
    if position is not None:
        parts = (position.applied, position.duplicate, position.stale, position.dead_lettered, position.gaps)
        if sum(parts) != next_offset:
            parts_text = "{} applied + {} duplicate + {} stale + {} dead-lettered + {} gaps".format(*parts)
            message = f"{parts_text} = {sum(parts)}, but {next_offset} offsets were consumed"
            findings.add(Check.ACCOUNTING, facts.topic, message)
    before, after = facts.committed_before or 0, facts.committed_after
    # Kafka forgets the offsets of a group that has been away for a week (offsets.retention.minutes).
    if after is not None and not before <= next_offset <= after:
        findings.add(
            Check.ACCOUNTING, facts.topic, f"the group has committed offset {after}, but the state is at {next_offset}"
        )


class DeadLetterSource(NamedTuple):
    """The source of a dead letter's record. `is_replay`: the source is that of the original, not of the replay."""

    topic: str
    offset: int
    is_replay: bool


class DeadLetterCount:
    """Takes the dead letters of a partition in order and counts those before the cut.

    A replay that was refused again has the source of the original, so its source does not place it before the cut.
    But dead letters stand in the order of their transactions. The first one with a source beyond the cut ends those
    before it (`count_max`). Those before `sure_end`, the topic's end when the state was read, are surely before the cut
    (`count_min`). On a system that stands still the two counts are equal.
    """

    def __init__(self, topic: str, partition: int, cut: Cut, sure_end: int) -> None:
        self.topic = topic
        self.findings = FindingLog(partition)
        self.beyond: dict[str, int] = {}
        self.count_min = 0
        self.count_max = 0
        self._cut = cut
        self._sure_end = sure_end

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        for record in records:
            if read_mark(record) is not None:
                continue
            try:
                source = source_of(record, self.findings.partition)
            except ValueError as error:
                place = f"{self.topic}/{self.findings.partition}/{record.offset}"
                self.findings.add(Check.FORMAT, "", f"not a dead letter: {error}", place)
                continue
            if not source.is_replay and source.offset >= self._cut.get(source.topic, 0):
                self.beyond[source.topic] = max(source.offset, self.beyond.get(source.topic, -1))
            if not self.beyond:
                self.count_max += 1
                if record.offset < self._sure_end or not source.is_replay:
                    self.count_min = self.count_max

    def check(self, dead_lettered: int) -> None:
        """Compare the count with that of the state."""
        if not self.count_min <= dead_lettered <= self.count_max:
            message = f"{self.count_max} dead letters, but {dead_lettered} records ended as one"
            self.findings.add(Check.DEAD_LETTERS, self.topic, message)


def source_of(record: Record, partition: int) -> DeadLetterSource:
    """Read a dead letter's headers. Raises ValueError where they are not what the worker writes."""
    headers = dict(reversed(record.headers))  # of several the first counts, as for the worker
    try:
        topic = (headers["source-topic"] or b"").decode()
        source_partition, offset = int(headers["source-partition"] or b""), int(headers["source-offset"] or b"")
    except (KeyError, ValueError) as error:
        raise ValueError(f"its source headers are missing or wrong ({error})") from error
    # A replay's header comes from its sender, so it proves nothing.
    is_replay = headers.get(REPLAY_HEADER) == f"{topic}/{source_partition}/{offset}".encode()
    if source_partition != partition and not is_replay:
        raise ValueError(f"its source is partition {source_partition}, not this one")
    return DeadLetterSource(topic, offset, is_replay)
