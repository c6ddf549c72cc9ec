"""One run of a plan: real engines with the real domain in a simulated world, under the eyes of the auditor."""

from __future__ import annotations

import logging
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.model.reading import partition_of
from tests.model.run import Model
from tests.simulator.audit.auditor import Auditor
from tests.simulator.audit.breakers import BREAKER, party_of
from tests.simulator.audit.expected import OUTPUTS
from tests.simulator.audit.findings import Finding, Kind
from tests.simulator.audit.observer import Chronicle, Complaints, RunObserver
from tests.simulator.audit.partition_audit import INPUTS, OUTCOMES, STATE, World
from tests.simulator.audit.recording import POISON, RecordingProcessor
from tests.simulator.faults.aftermath import Aftermath
from tests.simulator.final_state import calm_differences, differences, flood_differences
from tests.simulator.scenario import HEAL_SECONDS, WITHIN_SECONDS, Act, Action, Plan
from tests.simulator.sender import Sender
from tests.simulator.workers import APP_ID, PREFIX, config_of, rules_of
from tests.simulator.world import SimRecord, Simulation, TraceEvent, _sim_record
from worker.stream import Engine, PartitionState, PartitionStatus
from worker.stream.kafka.client_log import ASYNCIO, CLIENT_LOGGERS

LOOK_SECONDS = 0.25
"""How often the auditor looks while no commit is reported."""
OPERATOR_SECONDS = 1.0
"""How often the operator looks after halted partitions."""
STOP_SECONDS_MAX = 9.0
"""The bound of a worker's watchdog."""


@dataclass
class Result:
    """What a run came to. `figures` count what happened."""

    plan: Plan
    findings: list[Finding]
    figures: Counter[str]
    seconds: float
    """Virtual."""
    trace: list[TraceEvent] = field(default_factory=list)


def run(plan: Plan, *, tracing: bool = False) -> Result:
    """Run a plan to its end."""
    simulation = Simulation(plan.seed, faults=plan.faults, nodes=plan.nodes, tracing=tracing)
    simulation.cluster.transaction_version = plan.transaction_version
    simulation.cluster.transactions.epochs_max = plan.epochs_max
    try:
        return _Run(plan, simulation, tracing=tracing).result()
    finally:
        with warnings.catch_warnings():
            # What is thrown away may have made a coroutine that it never came to await.
            warnings.simplefilter("ignore", RuntimeWarning)
            simulation.close()
        for name in (*CLIENT_LOGGERS, ASYNCIO):
            # Engines that crashed have left their filters there, and with them all that they knew.
            logging.getLogger(name).filters.clear()


class _Run:
    def __init__(self, plan: Plan, simulation: Simulation, *, tracing: bool) -> None:
        self.plan = plan
        self.simulation = simulation
        self.engines: dict[str, Engine[RecordingProcessor]] = {}
        self.incarnations: Counter[str] = Counter()
        self.mended = False
        self.stopping: set[str] = set()
        self.batches_read: Counter[tuple[str, int]] = Counter()
        self.look_at = 0.0
        self.operate_at = 0.0
        self.auditor = Auditor(
            World(PREFIX, plan.partitions, plan.rules, self._read, self._group_offset, self._end_offset),
            lambda: int(simulation.seconds * 1000),
        )
        self.chronicle = Chronicle(plan, simulation, self.auditor, tracing=tracing)
        self.aftermath = Aftermath(plan.loss, simulation, plan.partitions)
        self.sender = Sender(plan, simulation, self.auditor, self.chronicle)

    def result(self) -> Result:
        """Let it all happen."""
        simulation = self.simulation
        complaints = Complaints(self.chronicle)
        loggers = [logging.getLogger(name) for name in ("worker.stream", "aiokafka")]
        for logger in loggers:
            logger.addHandler(complaints)
            # Another handler would keep the records, and with them what was thrown away.
            logger.propagate = False
        try:
            self._prepare()
            simulation.run(lambda: self._looked() and bool(self.auditor.findings), HEAL_SECONDS)
            self._heal()
            self._judge(calm=simulation.run(lambda: self._looked() and self._done(), WITHIN_SECONDS))
        finally:
            for logger in loggers:
                logger.removeHandler(complaints)
                logger.propagate = True
        self.chronicle.figures["records"] = len(self.plan.entries)
        self.chronicle.figures["floods reported"] = sum(
            self.auditor.partition(number).floods_reported for number in range(self.plan.partitions)
        )
        self.chronicle.figures.update(f"fault: {fault.blow.value}" for fault in self.plan.faults.faults)
        self.chronicle.figures["transactions"] = sum(
            self.auditor.partition(number).transactions for number in range(self.plan.partitions)
        )
        # Copies: what is thrown away with the simulation still stirs.
        figures = self.chronicle.figures.copy()
        return Result(self.plan, [*self.auditor.findings], figures, simulation.seconds, [*simulation.trace])

    # -- what happens

    def _prepare(self) -> None:
        simulation, plan = self.simulation, self.plan
        simulation.network.slow(plan.jitter_seconds, HEAL_SECONDS)
        simulation.cluster.transactions.slow_markers(plan.markers_seconds, HEAL_SECONDS)
        for topic in (*INPUTS, *OUTPUTS, STATE):
            compact = topic in (STATE, "stock.levels.v1", "orders.status.v1")
            simulation.create_topic(PREFIX + topic, plan.partitions, compact=compact)
        self.sender.begin()
        simulation.on_crash = self._crashed
        for action in plan.actions:
            simulation.after(action.at_seconds, lambda action=action: self._act(action))  # type: ignore[misc]
        if plan.loss is not None:
            simulation.after(plan.loss.at_seconds, self._lose)
        for worker in plan.workers:
            if not plan.starts_late(worker):
                self._start(worker)

    def _start(self, worker: str) -> None:
        if self.simulation.running(worker):
            if worker in self.stopping:
                self.simulation.after(0.5, lambda: self._start(worker))
            return
        self.stopping.discard(worker)
        self.chronicle.breakers.started(worker)
        self.incarnations[worker] += 1
        simulation = self.simulation
        engine: Engine[RecordingProcessor] = Engine(
            config_of(self.plan, simulation, worker),
            lambda partition, count: self._processor(worker, partition, count),
            RunObserver(self.chronicle, worker),
            clock=simulation.clock(worker),
            chance=simulation.chance(worker),
        )
        self.engines[worker] = engine
        self.chronicle.note(worker, "started")
        simulation.spawn(worker, engine.run())

    def _stop(self, worker: str) -> None:
        engine = self.engines.get(worker)
        if engine is not None and self.simulation.running(worker):
            self.chronicle.note(worker, "asked to stop")
            self.chronicle.figures["clean stops"] += 1
            self.stopping.add(worker)
            self.simulation.spawn(worker, engine.stop())
            self._watch_stop(worker, engine, STOP_SECONDS_MAX)

    def _watch_stop(self, worker: str, engine: Engine[RecordingProcessor], left_seconds: float) -> None:
        """What the watchdog of the worker would do: a process that runs must have stopped within its bound."""
        if self.engines[worker] is not engine or not self.simulation.running(worker):
            return
        if left_seconds <= 0:
            self.auditor.find(Kind.STUCK, None, f"{worker} did not stop within {STOP_SECONDS_MAX} s")
            return
        frozen = self.simulation.frozen(worker)
        left_seconds = STOP_SECONDS_MAX if frozen else left_seconds - 0.5
        self.simulation.after(0.5, lambda: self._watch_stop(worker, engine, left_seconds))

    def _crashed(self, worker: str) -> None:
        self.chronicle.figures["crashes"] += 1
        self.chronicle.note(worker, "crashed")
        after = self.plan.restart_seconds(worker, self.incarnations[worker])
        self.simulation.after(after, lambda: self._start(worker))

    def _act(self, action: Action) -> None:
        simulation = self.simulation
        self.chronicle.note("operator", str(action))
        match action.act:
            case Act.JOIN:
                self._start(action.subject)
            case Act.LEAVE:
                self._stop(action.subject)
            case Act.COMPACT:
                for topic in (STATE, "stock.levels.v1", "orders.status.v1"):
                    self.auditor.look()
                    simulation.compact(PREFIX + topic)
            case Act.TRUNCATE:
                partition = int(action.subject)
                for topic in INPUTS:
                    read = simulation.committed_offset(APP_ID, PREFIX + topic, partition)
                    if read is not None:
                        simulation.truncate(PREFIX + topic, partition, read)

    def _lose(self) -> None:
        """Take something away from the system, and judge no more what it was taken from."""
        loss = self.plan.loss
        assert loss is not None
        self.chronicle.note("operator", str(loss))
        self.auditor.look()
        if loss.nobody_runs:
            for worker in self.plan.workers:
                if self.simulation.running(worker):
                    self.simulation.crash(worker)
        anew = self.aftermath.happen()
        self.sender.given_up.update(anew)
        for topic in anew:
            for partition in range(self.plan.partitions):
                self.batches_read[PREFIX + topic, partition] = 0
        self.chronicle.bereft = self.aftermath.unjudged
        self.auditor.give_up(self.aftermath.unjudged)
        self.chronicle.figures[f"loss: {loss.what}{'' if self.aftermath.unjudged else ' (of nothing)'}"] += 1

    def _heal(self) -> None:
        """The surroundings are in order again, and the operator sees to the rest."""
        self.chronicle.note("operator", "all is calm")
        self.mended, self.sender.poisons = True, False
        self.sender.poisoned.clear()
        for worker in self.plan.workers:
            self._start(worker)

    def _operate(self) -> None:
        """Restart the workers whose partitions were halted, once that can help, and where somebody does."""
        for worker, engine in self.engines.items():
            halted = [
                partition.reason or ""
                for partition in engine.status().partitions.values()
                if partition.state is PartitionState.HALTED
            ]
            restarts = [*([] if self.plan.unattended else [BREAKER]), *([POISON] if self.mended else [])]
            if any(cause in reason for cause in restarts for reason in halted):
                self._stop(worker)
                self.simulation.after(7.0, lambda worker=worker: self._start(worker))  # type: ignore[misc]

    # -- what is looked at

    def _looked(self) -> bool:
        """Look when there is something to see, or it is long ago; whether that was so."""
        now = self.simulation.seconds
        if not self.chronicle.dirty and now < self.look_at:
            return False
        self.chronicle.dirty = False
        self.look_at = now + LOOK_SECONDS
        self.auditor.look()
        if now >= self.operate_at:
            self.operate_at = now + OPERATOR_SECONDS
            self._operate()
        return True

    def _done(self) -> bool:
        """Everything is consumed and everybody is well; or it is wrong already."""
        if self.auditor.findings:
            return True
        running = [self.engines[worker] for worker in self.engines if self.simulation.running(worker)]
        if not self.aftermath.is_over(running):
            return False
        if self.aftermath.problem is not None:
            return True
        well = all(map(self._is_well, running))
        if not well or not self.sender.is_done or not self._consumed():
            return False
        self.auditor.look()
        return self._consumed()

    def _is_well(self, engine: Engine[RecordingProcessor]) -> bool:
        """Whether it does all that it can."""
        status = engine.status()
        well = all(
            one.state is PartitionState.RUNNING
            or self._stays_halted(one)
            or (one.state is PartitionState.HALTED and number in self.aftermath.unjudged)
            for number, one in status.partitions.items()
        )
        return status.joined and status.problem is None and well

    def _stays_halted(self, partition: PartitionStatus) -> bool:
        return (
            self.plan.unattended
            and partition.state is PartitionState.HALTED
            and partition.reason is not None
            and BREAKER in partition.reason
        )

    def _consumed(self) -> bool:
        """Whether every partition has come to its end, or stays halted where it is."""
        return all(
            audit.consumed or (audit.settled and self._is_given_up(audit.partition))
            for audit in map(self.auditor.partition, self._judged())
        )

    def _judged(self) -> list[int]:
        """The partitions from which nothing was taken away."""
        return [number for number in range(self.plan.partitions) if number not in self.aftermath.unjudged]

    def _is_given_up(self, number: int) -> bool:
        """Whether the one worker that has a partition halted it for good, and all that it wrote can be read."""
        statuses = [engine.status() for worker, engine in self.engines.items() if self.simulation.running(worker)]
        owners = [status.partitions[number] for status in statuses if number in status.partitions]
        if len(owners) != 1 or not self._stays_halted(owners[0]):
            return False
        logs = [self.simulation.cluster.logs[PREFIX + topic][number] for topic in (STATE, *OUTPUTS)]
        return all(log.stable_offset == log.end_offset for log in logs)

    def _judge(self, *, calm: bool) -> None:
        auditor = self.auditor
        for worker, error in self.simulation.failures:
            auditor.find(Kind.CRASHED, None, f"{worker}: {error!r}")
        for partition, what in self.aftermath.wrong():
            auditor.find(Kind.DOUBLED, partition, what)
        if auditor.findings:
            return
        if not calm and not auditor.lags() and self.plan.loss is None:
            auditor.finish()
        if not calm and not auditor.findings:
            statuses = {worker: engine.status() for worker, engine in self.engines.items()}
            auditor.find(
                Kind.STUCK, None, f"{WITHIN_SECONDS:.0f} s after the last fault: left {auditor.lags()}, {statuses}"
            )
        if auditor.findings:
            return
        auditor.finish()
        self.chronicle.breakers.check_all()
        self.chronicle.figures["records left by the breaker"] = sum(auditor.lags().values())
        for partition in self._judged():
            audit = auditor.partition(partition)
            state = self.simulation.committed(PREFIX + STATE, partition)
            found = [(Kind.STATE, what) for what in differences(audit.model, state, PREFIX, rules_of(self.plan.rules))]
            found += [(Kind.COUNTS, what) for what in self._told_too_much(partition)]
            found += [(Kind.STATE, what) for what in flood_differences(audit.floods, state)]
            if self.plan.clean and not auditor.findings:
                inputs = [[sent.record for sent in audit.inputs[topic].values()] for topic in INPUTS]
                calm_model = Model(partition, self.plan.partitions, PREFIX, self.plan.rules)
                found += [(Kind.OUTPUT, what) for what in calm_differences(calm_model, inputs, audit.books)]
            for kind, what in found:
                auditor.find(kind, partition, what)

    def _told_too_much(self, partition: int) -> list[str]:
        """Nothing is counted in the metrics that was not committed; a crash may keep something from being counted."""
        positions = self.auditor.partition(partition).positions or {}
        return [
            f"{count} of {topic} were reported as {outcome}, and {positions[topic][1 + OUTCOMES.index(outcome)]} are"
            for (number, topic, outcome), count in self.chronicle.reported.items()
            if number == partition and count > positions[topic][1 + OUTCOMES.index(outcome)]
        ]

    def _processor(self, worker: str, partition: int, count: int) -> RecordingProcessor:
        return RecordingProcessor(
            worker=worker,
            partition=partition,
            partition_count=count,
            prefix=PREFIX,
            rules=rules_of(self.plan.rules),
            state_topic=PREFIX + STATE,
            recorded=self.auditor.recorded,
            decided=lambda record, bad, processor: self.chronicle.breakers.decided(
                worker,
                partition,
                bad=bad,
                party=party_of(record, PREFIX),
                is_home=lambda account_id: partition_of(account_id, count) == partition,
                known=processor.known_accounts,
                flooding=processor.ledger.flooding,
            ),
            poisoned=self.sender.poisoned,
        )

    def _read(self, topic: str, partition: int, _begin: int) -> Sequence[SimRecord]:
        """What became readable since the last call, compacted records included: the auditor may come late."""
        batches = self.simulation.cluster.logs[topic][partition].everything
        first = at = self.batches_read[topic, partition]
        readable: list[SimRecord] = []
        while at < len(batches) and batches[at].committed is not None:
            if batches[at].committed and not batches[at].control:
                readable += map(_sim_record, batches[at].records())
            at += 1
        if at > first:
            self.batches_read[topic, partition] = at
        return readable

    def _group_offset(self, topic: str, partition: int) -> int | None:
        return self.simulation.committed_offset(APP_ID, PREFIX + topic, partition)

    def _end_offset(self, topic: str, partition: int) -> int:
        return self.simulation.cluster.logs[PREFIX + topic][partition].end_offset
