"""The inputs of a run on their way: appended when the plan has them due, and given to the auditor once readable.

A record behind an open transaction is there and cannot be read, so for a reader it comes later; one of a transaction
that is aborted never comes.
"""

from __future__ import annotations

from collections import deque

from tests.model.run import Record
from tests.simulator.audit.auditor import Auditor
from tests.simulator.audit.observer import Chronicle
from tests.simulator.audit.partition_audit import INPUTS
from tests.simulator.history import Entry
from tests.simulator.kafka.record_batch import Batch
from tests.simulator.scenario import Plan, record_of
from tests.simulator.upstream import NEVER_MS, Ending, InputTransaction, Unseen, Writing
from tests.simulator.workers import PREFIX
from tests.simulator.world import Simulation

GAPS_PRODUCER = 1_000_000
"""The producer id that leaves markers between the inputs."""


class Sender:
    """Writes the inputs of a plan."""

    def __init__(self, plan: Plan, simulation: Simulation, auditor: Auditor, chronicle: Chronicle) -> None:
        self._plan = plan
        self._simulation = simulation
        self._auditor = auditor
        self._chronicle = chronicle
        self._ids: dict[int, str] = {}
        """The dead letter id of each entry sent so far."""
        self._hidden: dict[tuple[str, int], deque[tuple[Record, Batch, float]]] = {}
        """What was appended and cannot be read yet, and when it was."""
        self._writings: dict[int, Writing] = {}
        self.poisoned: set[tuple[str, int, int]] = set()
        """Topic, partition and offset of what the workers cannot process."""
        self.poisons = True
        self.given_up: set[str] = set()
        """Topics that are other ones now: what was hidden in them is gone."""
        moments = [entry.at_ms for entry in plan.entries]
        moments += [one.begins_ms + one.open_ms for one in plan.input_transactions]
        self._ends_at_seconds = max(moments, default=0) / 1000

    def begin(self) -> None:
        """Let the inputs come, each in its time."""
        simulation, plan = self._simulation, self._plan
        for topic in INPUTS:
            for partition in range(plan.partitions):
                self._hidden[topic, partition] = deque()
                self._skip(topic, partition)
        for one in plan.input_transactions:
            for topic, partition in sorted(one.sources):
                log = simulation.cluster.logs[PREFIX + topic][partition]
                log.watchers.append(lambda topic=topic, partition=partition: self._show(topic, partition))  # type: ignore[misc]
            simulation.after(one.begins_ms / 1000, lambda one=one: self._begin(one))  # type: ignore[misc]
        for entry in plan.entries:
            simulation.after(entry.at_ms / 1000, lambda entry=entry: self._send(entry))  # type: ignore[misc]

    @property
    def is_done(self) -> bool:
        """Whether all was sent, and can be read."""
        hidden = any(records for (topic, _), records in self._hidden.items() if topic not in self.given_up)
        return self._simulation.seconds >= self._ends_at_seconds and not hidden

    def _skip(self, topic: str, partition: int) -> None:
        """The records that were deleted before anybody read them."""
        simulation, skipped = self._simulation, self._plan.skipped
        if skipped:
            for _ in range(skipped):
                simulation.append(PREFIX + topic, partition, None, None, simulation.now_ms)
            simulation.truncate(PREFIX + topic, partition, skipped)
            self._auditor.begin(topic, partition, skipped)

    def _send(self, entry: Entry) -> None:
        topic, partition, plan = PREFIX + entry.topic, entry.partition, self._plan
        place = f"{topic}/{partition}"
        value, headers = entry.sent(self._ids, f"{place}/9999")
        record = record_of(entry, -1, value, headers)
        writing = self._writing_of(entry)
        log = self._simulation.cluster.logs[topic][partition]
        if writing is None:
            offset = self._simulation.append(topic, partition, entry.key, value, record.timestamp, list(headers))
        else:
            offset = writing.append(topic, partition, entry.key, value, headers, record.timestamp)
            assert offset >= 0, "who commits is not given up by the broker"
        batch = log.everything[-1]
        if plan.gaps:
            log.end_transaction(GAPS_PRODUCER, 0, commit=entry.index % 2 == 0, timestamp_ms=self._simulation.now_ms)
        if entry.index == plan.poisoned and self.poisons:
            self.poisoned.add((topic, partition, offset))
        self._ids[entry.index] = f"{place}/{offset}"
        self._hidden[entry.topic, partition].append((record._replace(offset=offset), batch, self._simulation.seconds))
        self._show(entry.topic, partition)
        if self._chronicle.tracing:
            label = "" if writing is None else " in a transaction"
            self._chronicle.note("inputs", f"r{entry.index} is {place}/{offset}{label}: {_shown(value)}")

    def _writing_of(self, entry: Entry) -> Writing | None:
        for one in self._plan.input_transactions:
            writing = self._writings.get(one.index)
            if entry.index in one.carried and writing is not None and writing.is_open:
                return writing
        return None

    def _show(self, topic: str, partition: int) -> None:
        """Tell the auditor of what a read_committed reader can see by now."""
        hidden = self._hidden[topic, partition]
        stable_offset = self._simulation.cluster.logs[PREFIX + topic][partition].stable_offset
        while hidden and hidden[0][0].offset < stable_offset:
            record, batch, appended_at = hidden.popleft()
            if batch.committed:
                self._auditor.sent(record, appended_at, self._simulation.seconds)

    # -- transactions

    def _begin(self, one: InputTransaction) -> None:
        simulation = self._simulation
        left_open = one.ending is Ending.EXPIRE
        writing = self._writings[one.index] = Writing(
            simulation.cluster,
            f"upstream-{one.index}",
            frozenset((PREFIX + topic, partition) for topic, partition in one.sources),
            one.open_ms if left_open else NEVER_MS,
            lambda: self._write_unseen(one),
        )
        self._chronicle.figures[f"inputs: a transaction {one.ending}"] += 1
        self._chronicle.note("inputs", str(one))
        if not left_open:
            simulation.after(one.open_ms / 1000, lambda: writing.end(commit=one.ending is Ending.COMMIT))

    def _write_unseen(self, one: InputTransaction) -> None:
        """A half immediately, the others later, so that good records come to lie among them."""
        for number, record in enumerate(one.unseen):
            after_ms = number % 2 * one.open_ms / 2
            self._simulation.after(after_ms / 1000, lambda record=record: self._write(one, record))  # type: ignore[misc]

    def _write(self, one: InputTransaction, record: Unseen) -> None:
        writing = self._writings[one.index]
        if not writing.is_open:
            return
        topic, partition = PREFIX + record.topic, record.partition
        offset = writing.append(topic, partition, record.key, record.value, (), self._simulation.now_ms)
        if offset >= 0:
            self._chronicle.figures["inputs: records of aborted transactions"] += 1
        if self._chronicle.tracing:
            label = f"{topic}/{partition}/{offset} of t{one.index}, which nobody may see"
            self._chronicle.note("inputs", f"{label}: {_shown(record.value)}")


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else value.decode(errors="replace")[:300]
