"""What must come of a loss.

From that moment on the state of a partition and its topics do not belong together. Nothing may be booked any more, and
the partition must halt, or the worker must not be ready: somebody has to choose the way out. What is not touched goes
on, and is judged as ever.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, assert_never

from tests.simulator.audit.partition_audit import JOURNAL, POSITIONS_KEY, STATE
from tests.simulator.audit.recording import RecordingProcessor
from tests.simulator.faults.losses import Loss, What
from tests.simulator.kafka.partition_log import PartitionLog
from tests.simulator.workers import PREFIX
from tests.simulator.world import Simulation
from worker.stream import Engine, PartitionState
from worker.stream.state.positions import Checkpoint, decode_checkpoint

LONGER_BY: Final = 6
"""Records that an input which is made anew has beyond what was read of the old one."""


class Aftermath:
    """Lets a loss happen, and knows what must follow from it.

    `unjudged` are the partitions whose outputs prove nothing any more, `must_halt` those of them that must not go on.
    Partitions from which nothing was lost are in neither.
    """

    def __init__(self, loss: Loss | None, simulation: Simulation, partitions: int) -> None:
        self._loss = loss
        self._simulation = simulation
        self._partitions = range(partitions)
        self.unjudged: frozenset[int] = frozenset()
        self.must_halt: frozenset[int] = frozenset()
        self.problem: str | None = None
        """The problem that every worker must report, where none may go on."""
        self._booked: dict[int, int] = {}
        """By partition: how many batches the journal had just after the loss."""

    def happen(self) -> Collection[str]:
        """Let it happen. Gives the topics that are other ones now."""
        loss = self._loss
        assert loss is not None
        checkpoints = {partition: self._checkpoint(partition) for partition in self._partitions}
        begun = {partition: found for partition, found in checkpoints.items() if found is not None}
        anew = self._strike(loss, begun)
        for partition in self.must_halt:
            self._booked[partition] = len(self._log(JOURNAL, partition).everything)
        return anew

    def _strike(self, loss: Loss, begun: Mapping[int, Checkpoint]) -> Collection[str]:
        everything = frozenset(self._partitions)
        match loss.what:
            case What.STATE_ANEW:
                self.unjudged = everything
                self.must_halt = frozenset(p for p in begun if self._log(JOURNAL, p).stable_offset > 0)
                return [self._make_anew(STATE)]
            case What.JOURNAL_ANEW:
                self.unjudged = everything
                self.must_halt = frozenset(p for p, found in begun.items() if found.journal.last_offset >= 0)
                return [self._make_anew(JOURNAL)]
            case What.INPUT_SHORTER | What.INPUT_LONGER:
                return [self._replace_input(loss, begun)]
            case What.STATE_POLICY:
                self.unjudged, self.problem = everything, "cleanup.policy of"
                self._simulation.cluster.policies[PREFIX + STATE]["cleanup.policy"] = "delete"
            case What.OUTPUT_GONE:
                self.unjudged, self.problem = everything, "topics are missing"
                self._simulation.cluster.delete_topic(PREFIX + loss.topic)
            case What.STATE_TAIL | What.STATE_PART | What.JOURNAL_TAIL:
                in_turn = [*self._partitions[loss.partition :], *self._partitions[: loss.partition]]
                cut = next((p for p in in_turn if p in begun and self._cut(loss.what, p)), None)
                if cut is not None:
                    self.unjudged = self.must_halt = frozenset({cut})
            case _:
                assert_never(loss.what)
        return []

    def _make_anew(self, topic: str) -> str:
        cluster = self._simulation.cluster
        compact = cluster.logs[PREFIX + topic][0].compact
        cluster.delete_topic(PREFIX + topic)
        cluster.create_topic(PREFIX + topic, len(self._partitions), compact=compact)
        return topic

    def _replace_input(self, loss: Loss, begun: Mapping[int, Checkpoint]) -> str:
        """Other records under the same name: what the topic had, in another order."""
        simulation, name = self._simulation, PREFIX + loss.topic
        before = {partition: simulation.committed(name, partition) for partition in self._partitions}
        self._make_anew(loss.topic)
        must_halt = set()
        for partition, found in begun.items():
            read_to = found.positions[name].next_offset
            wanted = read_to // 2 if loss.what is What.INPUT_SHORTER else read_to + LONGER_BY
            records = list(reversed(before[partition]))
            if read_to > 0 and (records or loss.what is What.INPUT_SHORTER):
                must_halt.add(partition)
            for number in range(wanted if records else 0):
                record = records[number % len(records)]
                simulation.append(name, partition, record.key, record.value, record.timestamp_ms + 1)
        self.unjudged, self.must_halt = frozenset(self._partitions), frozenset(must_halt)
        return loss.topic

    def _cut(self, what: What, partition: int) -> bool:
        """Cut something off; whether there was anything."""
        state, journal = self._log(STATE, partition), self._log(JOURNAL, partition)
        if what is What.STATE_PART:
            return self._expire(state, partition)
        booked = [batch for batch in journal.batches if batch.committed and not batch.control]
        if not booked or state.stable_offset < state.end_offset or journal.stable_offset < journal.end_offset:
            return False
        if what is What.JOURNAL_TAIL:
            journal.cut(booked[-1].base_offset)
            return True
        # The state as it was before the last movements: its end is behind the marker of an earlier transaction.
        kept = [
            record.offset
            for record in self._simulation.committed(PREFIX + STATE, partition)
            if record.key == POSITIONS_KEY
            and record.value is not None
            and decode_checkpoint(record.value).journal.next_offset <= booked[-1].last_offset
        ]
        if not kept:
            return False
        state.cut(kept[-1] + 2)
        return True

    def _expire(self, state: PartitionLog, partition: int) -> bool:
        """Delete what lies before the last positions, where that takes a living record away."""
        records = self._simulation.committed(PREFIX + STATE, partition)
        latest = {record.key: record for record in records}
        positions = latest[POSITIONS_KEY].offset
        # A batch goes as a whole.
        begin = next(batch.base_offset for batch in state.batches if batch.last_offset >= positions)
        lost = [r for key, r in latest.items() if r.offset < begin and r.value is not None and key is not None]
        if not any(not (record.key or b"").startswith(b"stream/") for record in lost):
            return False
        state.truncate(begin)
        return True

    # -- what must come of it

    def wrong(self) -> list[tuple[int, str]]:
        """Partitions that went on after they lost something: by the journal."""
        loss = self._loss
        if loss is None or not self._booked:
            return []
        if loss.what in (What.INPUT_SHORTER, What.INPUT_LONGER) and not loss.nobody_runs:
            return []  # until the change is noticed, a longer one may be read at wrong offsets
        return [
            (partition, f"movements were booked after a loss: {loss.what}")
            for partition in sorted(self._booked)
            if any(
                b.committed and not b.control
                for b in self._log(JOURNAL, partition).everything[self._booked[partition] :]
            )
        ]

    def is_over(self, engines: Collection[Engine[RecordingProcessor]]) -> bool:
        """Whether everybody has come to the end that a loss must have."""
        if self.problem is not None:
            return all(self.problem in (engine.status().problem or "") for engine in engines)
        halted = {
            partition
            for engine in engines
            for partition, status in engine.status().partitions.items()
            if status.state is PartitionState.HALTED
        }
        return self.must_halt <= halted

    def _checkpoint(self, partition: int) -> Checkpoint | None:
        values = [r.value for r in self._simulation.committed(PREFIX + STATE, partition) if r.key == POSITIONS_KEY]
        return decode_checkpoint(values[-1]) if values and values[-1] is not None else None

    def _log(self, topic: str, partition: int) -> PartitionLog:
        return self._simulation.cluster.logs[PREFIX + topic][partition]
