"""The independent judge: follows the topics as a read_committed reader does, and holds every transaction against the
model of the contract in `tests/model`, which shares no code with the worker.

For each partition the state topic has which inputs a transaction took; the workers' recordings have in which
order (see `recording`). From these the model derives what the transaction must have written: every record of every
output topic is held against it, whole transactions at a time, in the middle of the run as at its end. Beyond that, it
is checked from the outputs alone that books balance and offsets add up.
"""

from __future__ import annotations

from collections.abc import Callable

from tests.model.run import Record
from tests.simulator.audit.findings import Finding, Kind, Wrong
from tests.simulator.audit.partition_audit import INPUTS, PartitionAudit, Sent, World
from tests.simulator.audit.recording import Attempt


class Auditor:
    """Audits all partitions. Takes inputs and recordings as they come; `look` may be called at any time."""

    def __init__(self, world: World, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._audits = [PartitionAudit(world, partition) for partition in range(world.partitions)]
        self.findings: list[Finding] = []
        self._wrong: set[int] = set()
        """Partitions with a finding: after the first one they are not audited any more."""
        self._given_up: frozenset[int] = frozenset()

    def begin(self, topic: str, partition: int, offset: int) -> None:
        """An input's first record is at an offset: what lies before is gone."""
        self._audits[partition].beginnings[topic] = offset

    def sent(self, record: Record, appended_at: float, at_seconds: float) -> None:
        """An input record can be read."""
        self._audits[record.partition].inputs[record.topic][record.offset] = Sent(record, appended_at, at_seconds)

    def recorded(self, partition: int, attempt: Attempt) -> None:
        """Take what a worker is about to write."""
        self._audits[partition].attempts.append(attempt)

    def find(self, kind: Kind, partition: int | None, message: str) -> None:
        """Note something that is wrong."""
        self.findings.append(Finding(kind, partition, message, self._now_ms()))

    def give_up(self, partitions: frozenset[int]) -> None:
        """Something was taken away from these partitions: they are not audited any more."""
        self._given_up |= partitions

    def look(self) -> None:
        """Follow the topics up to now."""
        self._each(lambda audit: audit.look())

    def finish(self) -> None:
        """The run has ended: everything must be there, and nothing else."""
        self.look()
        self._each(lambda audit: audit.finish())

    def lags(self) -> dict[str, int]:
        """Inputs that are not accounted for, by topic and partition."""
        return {
            f"{topic}/{audit.partition}": lag
            for audit in self._audits
            if audit.partition not in self._given_up
            for topic in INPUTS
            if (lag := audit.lag_of(topic))
        }

    def partition(self, number: int) -> PartitionAudit:
        """What is known of a partition."""
        return self._audits[number]

    def _each(self, check: Callable[[PartitionAudit], None]) -> None:
        for audit in self._audits:
            if audit.partition in self._wrong | self._given_up:
                continue
            try:
                check(audit)
            except Wrong as wrong:
                self._wrong.add(audit.partition)
                self.find(wrong.kind, audit.partition, wrong.message)
