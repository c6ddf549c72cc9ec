"""What the workers report while they run: to their observers, and in their logs."""

from __future__ import annotations

import logging
from collections import Counter

from tests.simulator.audit.auditor import Auditor
from tests.simulator.audit.breakers import BREAKER, Breakers
from tests.simulator.audit.findings import Kind
from tests.simulator.audit.recording import POISON
from tests.simulator.scenario import Plan
from tests.simulator.world import Simulation
from worker.stream import BatchReport, Processor
from worker.stream.observer import SilentObserver

PROGRAM_ERRORS = (AttributeError, IndexError, KeyError, NameError, TypeError, ZeroDivisionError)
"""What no broker can be the cause of: the engine would recover from it, and nobody would know."""


class Chronicle:
    """What happened in a run: counted, and written to the trace."""

    def __init__(self, plan: Plan, simulation: Simulation, auditor: Auditor, *, tracing: bool) -> None:
        self.plan = plan
        self.auditor = auditor
        self.note = simulation.note
        self.tracing = tracing
        self.figures: Counter[str] = Counter()
        self.reported: Counter[tuple[int, str, str]] = Counter()
        """How many records the engines reported to their observers, by partition, topic and outcome."""
        self.breakers = Breakers(plan.breaker_bad_max, plan.breaker_window, auditor.find)
        self.bereft: frozenset[int] = frozenset()
        """Partitions from which something was taken away: they may halt."""
        self.dirty = False
        """Something was committed since somebody looked."""


class RunObserver(SilentObserver):
    """Counts what an engine reports, and hands it to the auditor."""

    def __init__(self, chronicle: Chronicle, worker: str) -> None:
        self._chronicle = chronicle
        self._worker = worker

    def batch_committed(self, report: BatchReport[Processor]) -> None:
        """A commit was answered: time to look."""
        self._chronicle.dirty = True
        self._chronicle.breakers.committed(self._worker, report.partition)
        self._chronicle.reported.update({(report.partition, *what): count for what, count in report.outcomes.items()})
        if self._chronicle.tracing:
            outcomes = ", ".join(f"{n} {outcome} of {topic}" for (topic, outcome), n in report.outcomes.items())
            self._chronicle.note(self._worker, f"partition {report.partition} committed: {outcomes}")

    def task_restarted(self, partition: int, cause: str) -> None:
        """A task began anew."""
        self._chronicle.breakers.begun(self._worker, partition)
        self._chronicle.figures[f"restarts: {cause}"] += 1
        self._chronicle.note(self._worker, f"partition {partition} starts again: {cause}")
        if cause == "defect":
            self._chronicle.auditor.find(Kind.CRASHED, partition, f"{self._worker}: a defect, see its trace")

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """A state was read."""
        self._chronicle.figures["restores"] += 1
        self._chronicle.note(self._worker, f"partition {partition} restored {records} records in {seconds:.3f} s")

    def partition_halted(self, partition: int, reason: str) -> None:
        """Halting is right only where the scenario gives cause."""
        self._chronicle.figures["halts by the breaker" if BREAKER in reason else "halts"] += 1
        self._chronicle.breakers.halted(self._worker, partition, reason)
        self._chronicle.note(self._worker, f"partition {partition} halted: {reason}")
        if POISON not in reason and BREAKER not in reason and partition not in self._chronicle.bereft:
            self._chronicle.auditor.find(Kind.HALTED, partition, f"{self._worker}: {reason}")

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """A rebalance ended."""
        self._chronicle.figures["rebalances"] += 1
        self._chronicle.breakers.begun(self._worker)
        self._chronicle.note(self._worker, f"was given the partitions {sorted(partitions)}")


class Complaints(logging.Handler):
    """Hears what the engine logs: errors of the worker's code are findings, however well it recovers."""

    def __init__(self, chronicle: Chronicle) -> None:
        super().__init__()
        self._chronicle = chronicle

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, PROGRAM_ERRORS) and _is_ours(error):
            self._chronicle.auditor.find(Kind.CRASHED, None, f"{record.getMessage()}: {error!r}")
        if self._chronicle.tracing:
            details = {
                name: getattr(record, name) for name in ("partition", "error", "problem") if hasattr(record, name)
            }
            self._chronicle.note("log", f"{record.getMessage()} {details}")


def _is_ours(error: BaseException) -> bool:
    """Whether an error comes from the worker's own code: the client's errors are what the engine is there to bear."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and "aiokafka" not in frame.tb_frame.f_code.co_filename
