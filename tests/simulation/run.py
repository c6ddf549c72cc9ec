"""One run of a plan: real engines with the real domain in a simulated world, under the eyes of the auditor."""

from __future__ import annotations

import heapq
import logging
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model.run import AccountRules, Model
from tests.simulation.auditor import INPUTS, OUTCOMES, STATE, Auditor, World
from tests.simulation.books import Books
from tests.simulation.expected import OUTPUTS, long_key
from tests.simulation.findings import Finding, Kind
from tests.simulation.restored import differences
from tests.simulation.scenario import HEAL_SECONDS, WITHIN_SECONDS, Act, Action, Plan, record_of
from tests.simulation.testimony import POISON, Witnessed
from tests.simulation.world import SimRecord, Simulation, TraceEvent, _sim_record
from worker.domain.rules import AccountRules as WorkerRules
from worker.domain.rules import Rules
from worker.stream import BatchReport, Engine, EngineConfig, PartitionState, SilentObserver

PREFIX = "shop."
APP_ID = "stockfreeze"
LOOK_SECONDS = 0.25
"""How often the auditor looks while nobody says that anything was committed."""
FETCH_WAIT_MS = 250
"""Longer than the engine's own: it costs nothing but idle fetches, which are most of what a run computes."""
STOP_SECONDS_MAX = 9.0
OPERATOR_SECONDS = 1.0
"""How often the operator looks after halted partitions."""
BREAKER = "were dead-lettered, so it was stopped"
UPSTREAM = 1_000_000
"""The producer id of whoever writes the inputs."""
PACED = (
    "request_timeout_ms",
    "session_timeout_ms",
    "heartbeat_interval_ms",
    "rebalance_timeout_ms",
    "transaction_timeout_ms",
    "step_ms_max",
    "revoke_ms_max",
    "abort_ms_max",
    "restore_silence_ms_max",
    "backoff_ms_max",
    "fenced_backoff_ms",
    "silence_ms_max",
)
"""Settings that depend on each other, so all of them follow the pace."""
PROGRAM_ERRORS = (AttributeError, IndexError, KeyError, NameError, TypeError, ZeroDivisionError)
"""What no broker can be the cause of: the engine would recover from it, and nobody would know."""


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
    try:
        return _Run(plan, simulation, tracing=tracing).result()
    finally:
        with warnings.catch_warnings():
            # What is thrown away may have made a coroutine that it never came to await.
            warnings.simplefilter("ignore", RuntimeWarning)
            simulation.close()


class _Run:
    def __init__(self, plan: Plan, simulation: Simulation, *, tracing: bool) -> None:
        self.plan = plan
        self.simulation = simulation
        self.tracing = tracing
        self.events: list[TraceEvent] = []
        self.figures: Counter[str] = Counter()
        self.engines: dict[str, Engine] = {}
        self.incarnations: Counter[str] = Counter()
        self.told: Counter[tuple[int, str, str]] = Counter()
        """What the engines told their observers, by partition, topic and outcome."""
        self.poisoned: set[tuple[str, int, int]] = set()
        self.mended = False
        self.stopping: set[str] = set()
        self.dirty = False
        """Something was committed since the last look."""
        self.batches_read: Counter[tuple[str, int]] = Counter()
        self.look_at = 0.0
        self.operate_at = 0.0
        self.auditor = Auditor(
            World(PREFIX, plan.partitions, plan.rules, self._read, self._group_offset),
            lambda: int(simulation.seconds * 1000),
        )
        self.config = config_of(plan, simulation)

    def result(self) -> Result:
        """Let it all happen."""
        simulation = self.simulation
        complaints = _Complaints(self)
        loggers = [logging.getLogger(name) for name in ("worker.stream", "aiokafka")]
        for logger in loggers:
            logger.addHandler(complaints)
        try:
            self._prepare()
            simulation.run(lambda: self._looked() and bool(self.auditor.findings), HEAL_SECONDS)
            self._heal()
            self._judge(calm=simulation.run(lambda: self._looked() and self._done(), WITHIN_SECONDS))
        finally:
            for logger in loggers:
                logger.removeHandler(complaints)
        self.figures["records"] = len(self.plan.entries)
        self.figures.update(f"fault: {fault.blow.value}" for fault in self.plan.faults.faults)
        self.figures["transactions"] = sum(
            self.auditor.partition(number).transactions for number in range(self.plan.partitions)
        )
        trace = sorted([*simulation.trace, *self.events], key=lambda event: event.seconds) if self.tracing else []
        # Copies: what is thrown away with the simulation still stirs.
        return Result(self.plan, [*self.auditor.findings], self.figures.copy(), simulation.seconds, trace)

    # -- what happens

    def _prepare(self) -> None:
        simulation, plan = self.simulation, self.plan
        simulation.network.slow(plan.jitter_seconds, HEAL_SECONDS)
        simulation.cluster.transactions.slow_markers(plan.markers_seconds, HEAL_SECONDS)
        for topic in (*INPUTS, *OUTPUTS, STATE):
            compact = topic in (STATE, "stock.levels.v1", "orders.status.v1")
            simulation.create_topic(PREFIX + topic, plan.partitions, compact=compact)
        for topic in INPUTS if plan.skipped else ():
            for partition in range(plan.partitions):
                for _ in range(plan.skipped):
                    simulation.append(PREFIX + topic, partition, None, None, simulation.now_ms)
                simulation.truncate(PREFIX + topic, partition, plan.skipped)
                self.auditor.begin(topic, partition, plan.skipped)
        simulation.on_crash = self._crashed
        sent: dict[int, str] = {}
        for entry in plan.entries:
            simulation.after(entry.at_ms / 1000, lambda entry=entry: self._send(entry, sent))  # type: ignore[misc]
        for action in plan.actions:
            simulation.after(action.at_seconds, lambda action=action: self._act(action))  # type: ignore[misc]
        for worker in plan.workers:
            if not plan.starts_late(worker):
                self._start(worker)

    def _send(self, entry: Any, sent: dict[int, str]) -> None:  # noqa: ANN401
        place = f"{PREFIX}{entry.topic}/{entry.partition}"
        value, headers = entry.sent(sent, f"{place}/9999")
        simulation = self.simulation
        record = record_of(entry, -1, value, headers)
        offset = simulation.append(
            PREFIX + entry.topic, entry.partition, entry.key, value, record.timestamp, list(headers)
        )
        if self.plan.gaps:
            log = simulation.cluster.logs[PREFIX + entry.topic][entry.partition]
            log.end_transaction(UPSTREAM, 0, commit=entry.index % 2 == 0, timestamp_ms=simulation.now_ms)
        if entry.index == self.plan.poisoned and not self.mended:
            self.poisoned.add((PREFIX + entry.topic, entry.partition, offset))
        sent[entry.index] = f"{place}/{offset}"
        self.auditor.sent(record._replace(offset=offset), simulation.seconds)
        if self.tracing:
            self._note("inputs", f"r{entry.index} is {place}/{offset}: {_shown(value)}")

    def _start(self, worker: str) -> None:
        if self.simulation.running(worker):
            if worker in self.stopping:
                self.simulation.after(0.5, lambda: self._start(worker))
            return
        self.stopping.discard(worker)
        self.incarnations[worker] += 1
        simulation = self.simulation
        config = self.config if not self.plan.static else _with_identity(self.config, worker)
        engine = Engine(
            config,
            lambda partition, count: self._processor(worker, partition, count),
            _Eye(self, worker),
            clock=simulation.clock(worker),
            chance=simulation.chance(worker),
        )
        self.engines[worker] = engine
        self._note(worker, "started")
        simulation.spawn(worker, engine.run())

    def _stop(self, worker: str) -> None:
        engine = self.engines.get(worker)
        if engine is not None and self.simulation.running(worker):
            self._note(worker, "told to stop")
            self.figures["clean stops"] += 1
            self.stopping.add(worker)
            self.simulation.spawn(worker, engine.stop())
            self._watch_stop(worker, engine, STOP_SECONDS_MAX)

    def _watch_stop(self, worker: str, engine: Engine, left_seconds: float) -> None:
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
        self.figures["crashes"] += 1
        self._note(worker, "crashed")
        after = self.plan.restart_seconds(worker, self.incarnations[worker])
        self.simulation.after(after, lambda: self._start(worker))

    def _act(self, action: Action) -> None:
        simulation = self.simulation
        self._note("operator", str(action))
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

    def _heal(self) -> None:
        """The surroundings are in order again, and the operator sees to the rest."""
        self._note("operator", "all is calm")
        self.mended = True
        self.poisoned.clear()
        for worker in self.plan.workers:
            self._start(worker)

    def _operate(self) -> None:
        """Restart the workers whose partitions were halted, once that can help."""
        for worker, engine in self.engines.items():
            halted = [
                partition.reason or ""
                for partition in engine.status().partitions.values()
                if partition.state is PartitionState.HALTED
            ]
            if any(BREAKER in reason or (POISON in reason and self.mended) for reason in halted):
                self._stop(worker)
                self.simulation.after(7.0, lambda worker=worker: self._start(worker))  # type: ignore[misc]

    # -- what is looked at

    def _looked(self) -> bool:
        """Look when there is something to see, or it is long ago; whether that was so."""
        now = self.simulation.seconds
        if not self.dirty and now < self.look_at:
            return False
        self.dirty = False
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
        well = all(engine.status().ready for worker, engine in self.engines.items() if self.simulation.running(worker))
        if not well or not self.auditor.consumed:
            return False
        self.auditor.look()
        return self.auditor.consumed

    def _judge(self, *, calm: bool) -> None:
        auditor = self.auditor
        for worker, error in self.simulation.failures:
            auditor.find(Kind.CRASHED, None, f"{worker}: {error!r}")
        if auditor.findings:
            return
        if not calm and not auditor.lags():
            auditor.finish()
        if not calm and not auditor.findings:
            statuses = {worker: engine.status() for worker, engine in self.engines.items()}
            auditor.find(
                Kind.STUCK, None, f"{WITHIN_SECONDS:.0f} s after the last fault: left {auditor.lags()}, {statuses}"
            )
        if auditor.findings:
            return
        auditor.finish()
        for partition in range(self.plan.partitions):
            audit = auditor.partition(partition)
            for difference in differences(
                audit.model, self.simulation.committed(PREFIX + STATE, partition), PREFIX, self._rules()
            ):
                auditor.find(Kind.STATE, partition, difference)
            self._compare_with_told(partition, audit.positions or {})
            if self.plan.clean and not auditor.findings:
                self._compare_with_calm(partition, audit.books)

    def _compare_with_told(self, partition: int, positions: Mapping[str, Sequence[int]]) -> None:
        """Nothing is counted in the metrics that was not committed; a crash may keep something from being counted."""
        for (number, topic, outcome), count in self.told.items():
            committed = positions[topic][1 + OUTCOMES.index(outcome)] if number == partition else count
            if count > committed:
                message = f"{count} of {topic} were told to be {outcome}, and {committed} are"
                self.auditor.find(Kind.COUNTS, partition, message)

    def _compare_with_calm(self, partition: int, books: Books) -> None:
        """Any order of clean inputs ends alike (contract, invariant 4)."""
        inputs = self.auditor.partition(partition).inputs
        of_topics = [[sent.record for sent in inputs[topic].values()] for topic in INPUTS]
        calm = Model(partition, self.plan.partitions, PREFIX, self.plan.rules)
        for record in heapq.merge(*of_topics, key=lambda record: record.timestamp):
            calm.feed(record)
        for account_id, account in calm.accounts.items():
            for order_id in account.ground.orders:
                status = account.status(order_id)
                found = books.statuses.get(long_key(account_id, order_id), {})
                told = {name: found.get(name) for name in ("status", "placed", "eligible", "sub_orders")}
                if told != {name: status[name] for name in told}:
                    self.auditor.find(Kind.OUTPUT, partition, f"{order_id}: calm {status}, found {found}")
            for key, sums in account.ground.stock().items():
                level = sums.level(account.rules.buffer)
                found = books.levels.get(long_key(account_id, *key), {"frozen": 0, "on_hand": None})
                if (level["frozen"], level["on_hand"]) != (found["frozen"], found["on_hand"]):
                    self.auditor.find(Kind.OUTPUT, partition, f"{key}: calm {level}, found {found}")

    def _processor(self, worker: str, partition: int, count: int) -> Witnessed:
        return Witnessed(
            worker=worker,
            partition=partition,
            partition_count=count,
            prefix=PREFIX,
            rules=self._rules(),
            state_topic=PREFIX + STATE,
            testify=self.auditor.testify,
            poisoned=self.poisoned,
        )

    def _rules(self) -> Rules:
        return rules_of(self.plan.rules)

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

    def _note(self, who: str, what: str) -> None:
        if self.tracing:
            self.events.append(TraceEvent(self.simulation.seconds, who, what))


class _Eye(SilentObserver):
    """Hears what an engine tells."""

    def __init__(self, run_: _Run, worker: str) -> None:
        self._run = run_
        self._worker = worker

    def batch_committed(self, report: BatchReport) -> None:
        """A commit was answered: time to look."""
        self._run.dirty = True
        self._run.told.update({(report.partition, *what): count for what, count in report.outcomes.items()})
        if self._run.tracing:
            outcomes = ", ".join(f"{n} {outcome} of {topic}" for (topic, outcome), n in report.outcomes.items())
            self._run._note(self._worker, f"partition {report.partition} committed: {outcomes}")

    def task_restarted(self, partition: int, cause: str) -> None:
        """A task began anew."""
        self._run.figures[f"restarts: {cause}"] += 1
        self._run._note(self._worker, f"partition {partition} starts again: {cause}")

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """A state was read."""
        self._run.figures["restores"] += 1
        self._run._note(self._worker, f"partition {partition} restored {records} records in {seconds:.3f} s")

    def partition_halted(self, partition: int, reason: str) -> None:
        """Halting is right only where the scenario gives cause."""
        run_ = self._run
        run_.figures["halts"] += 1
        run_._note(self._worker, f"partition {partition} halted: {reason}")
        if not (POISON in reason or (BREAKER in reason and run_.plan.breaker_bad_max)):
            run_.auditor.find(Kind.HALTED, partition, f"{self._worker}: {reason}")

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """A rebalance ended."""
        self._run.figures["rebalances"] += 1
        self._run._note(self._worker, f"was given the partitions {sorted(partitions)}")


class _Complaints(logging.Handler):
    """Hears what the engine logs: errors of the worker's code are findings, however well it recovers."""

    def __init__(self, run_: _Run) -> None:
        super().__init__()
        self._run = run_

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, PROGRAM_ERRORS) and _is_ours(error):
            self._run.auditor.find(Kind.CRASHED, None, f"{record.getMessage()}: {error!r}")
        if self._run.tracing:
            told = {name: getattr(record, name) for name in ("partition", "error", "problem") if hasattr(record, name)}
            self._run._note("log", f"{record.getMessage()} {told}")


def config_of(plan: Plan, simulation: Simulation) -> EngineConfig:
    """The settings of the workers: the defaults, but for the pace."""
    config = EngineConfig(
        app_id=APP_ID,
        client=simulation.client_options,
        inputs=tuple(PREFIX + topic for topic in INPUTS),
        outputs=tuple(PREFIX + topic for topic in OUTPUTS),
        state_topic=PREFIX + STATE,
        breaker_bad_max=plan.breaker_bad_max,
        breaker_window=8,
        fetch_wait_ms_max=FETCH_WAIT_MS,
    )
    return replace(config, **{name: int(getattr(config, name) * plan.pace) for name in PACED})  # type: ignore[arg-type]


def _is_ours(error: BaseException) -> bool:
    """Whether an error comes from the worker's own code: the client's errors are what the engine is there to bear."""
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and "aiokafka" not in frame.tb_frame.f_code.co_filename


def rules_of(rules: AccountRules) -> Rules:
    """The worker's form of the model's rules."""
    return Rules(defaults=WorkerRules(**rules._asdict()))


def _with_identity(config: EngineConfig, worker: str) -> EngineConfig:
    return replace(config, group_instance_id=worker)


def _shown(value: bytes | None) -> str:
    return "nothing" if value is None else value.decode(errors="replace")[:300]
