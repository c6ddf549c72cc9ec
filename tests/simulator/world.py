"""The simulated world, as a test sees it: topics, processes, faults and virtual time, all from one seed.

What runs in it is real: the engine, the domain, and aiokafka with all its habits. Simulated is what lies below the
client's connections (`aiokafka.client.create_conn`): the network, and a cluster that answers requests as Apache Kafka
does. So nothing is injected into an engine but its clock and its chance, and its client options name the cluster:

    simulation = Simulation(seed, faults=FaultPlan.drawn(seed))
    simulation.create_topic("orders", 2)
    config = EngineConfig(client=simulation.client_options, ...)

    async def worker() -> None:
        engine = Engine(config, processors, observer, clock=simulation.clock("w1"), chance=simulation.chance("w1"))
        await engine.run()

    simulation.spawn("w1", worker())
    simulation.append("orders", 0, b"key", b"value", timestamp_ms=simulation.now_ms)
    assert simulation.run(lambda: len(simulation.committed("out", 0)) == 1, within_seconds=30)
    simulation.close()

aiokafka goes through sets of topics, so a run is the same again only where strings have the same hashes (see `hashes`).

While `run` turns the loop, `time.time`, `time.monotonic` and the module `random` are the simulation's; outside of it
they are what they were. A simulation must be closed, or used as a context manager.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import copy_context
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.simulator.faults.faults import FaultPlan
from tests.simulator.faults.injection import Course
from tests.simulator.kafka.api import Api
from tests.simulator.kafka.cluster import Cluster
from tests.simulator.kafka.network import Network
from tests.simulator.kafka.partition_log import PartitionLog
from tests.simulator.kafka.record_batch import Record, batch_of
from tests.simulator.loop import PROCESS, Process, SimulatedLoop
from worker.clock import Chance, Clock

Headers = Sequence[tuple[str, bytes]]


NODES = (1, 1, 2, 3)


class SimRecord(NamedTuple):
    """A record as a read_committed reader sees it."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int


class Fate(StrEnum):
    """What became of a record that was written."""

    COMMITTED = "committed"
    ABORTED = "aborted"
    OPEN = "open"


class WrittenRecord(NamedTuple):
    """A record as it was appended, whatever became of it, compacted away or not."""

    fate: Fate
    producer_id: int
    """-1: written without a transaction."""
    record: SimRecord


class TraceEvent(NamedTuple):
    """Something that happened; `str` makes a line of it."""

    seconds: float
    process: str
    """The name of the process it happened to; "cluster" for what has none."""
    what: str

    def __str__(self) -> str:
        return f"{self.seconds:10.4f} {self.process:>10} {self.what}"


class Simulation:
    """A world of its own, begun at virtual second 0. Everything in it follows from `seed` and `faults`.

    `nodes` brokers, or as many as the seed draws; `tracing` fills `trace`.
    """

    def __init__(
        self, seed: int, *, faults: FaultPlan | None = None, nodes: int | None = None, tracing: bool = False
    ) -> None:
        self._seed = seed
        self.loop = SimulatedLoop(seed)
        api = Api()
        self.cluster = api.cluster = Cluster(
            self.loop, seed, random.Random(f"nodes/{seed}").choice(NODES) if nodes is None else nodes, api.serve
        )
        self.network = Network(self.loop, seed, self.cluster.node_at)
        self.network.versions = api.versions
        self.cluster.cut = self.network.cut
        self.trace: list[TraceEvent] = []
        self.failures: list[tuple[str, BaseException]] = []
        """The exceptions that ended spawned coroutines, by process."""
        self.on_crash: Callable[[str], None] = lambda _process: None
        """Called with the name of a process that crashed, by a fault or by `crash`; for instance to spawn it again
        later (`simulation.after(seconds, ...)`)."""
        self._tracing = tracing
        self._processes: dict[str, Process] = {}
        self._works: dict[Process, set[asyncio.Task[object]]] = {}
        self.loop.ended = lambda process: self.crash(process.name)
        if tracing:
            self.cluster.on_event = self.cluster.transactions.on_event = lambda what: self.note("cluster", what)
        self._course = Course(faults or FaultPlan.none(), self)

    # -- topics; any time, immediately and without faults

    def create_topic(self, name: str, partitions: int, *, compact: bool = False) -> None:
        """Make a topic."""
        self.cluster.create_topic(name, partitions, compact=compact)

    def append(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        timestamp_ms: int,
        headers: Headers = (),
    ) -> int:
        """Append a record outside of any transaction, as an upstream producer does, and give its offset."""
        return self._log(topic, partition).append(batch_of(key, value, list(headers), timestamp_ms))[1]

    def committed(self, topic: str, partition: int) -> list[SimRecord]:
        """What a read_committed reader sees now, from the first offset there is to the last stable one."""
        log = self._log(topic, partition)
        stable = log.stable_offset
        return [
            _sim_record(record)
            for batch in log.batches
            if batch.committed and not batch.control and batch.last_offset < stable
            for record in batch.records()
            if record.offset >= log.start_offset
        ]

    def written(self, topic: str, partition: int) -> list[WrittenRecord]:
        """Everything that was ever appended, in offset order, aborted, open and compacted records included."""
        return [
            WrittenRecord(FATES[batch.committed], batch.producer_id, _sim_record(record))
            for batch in self._log(topic, partition).everything
            if not batch.control
            for record in batch.records()
        ]

    def compact(self, topic: str) -> None:
        """Let the log cleaner run over a compacted topic now."""
        for log in self.cluster.logs[topic]:
            log.clean()

    def truncate(self, topic: str, partition: int, before_offset: int) -> None:
        """Delete the records before an offset, as retention does."""
        self._log(topic, partition).truncate(before_offset)

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """What the group coordinator has for lag tools."""
        return self.cluster.group(group).offsets.committed.get((topic, partition))

    def _log(self, topic: str, partition: int) -> PartitionLog:
        return self.cluster.logs[topic][partition]

    # -- processes

    @property
    def client_options(self) -> Mapping[str, object]:
        """Connection options of the clients: where the cluster is."""
        return {"bootstrap_servers": self.cluster.bootstrap_servers}

    def clock(self, process: str) -> Clock:
        """The clock of a process: virtual time, plus what its wall clock was moved by."""

        def now_ms() -> int:
            return self.cluster.now_ms + self._process(process).clock_offset_ms

        return Clock(monotonic=self.loop.time, now_ms=now_ms)

    def chance(self, process: str) -> Chance:
        """The randomness of a process."""
        return Chance(random.Random(f"{process}/{self._seed}"))

    def spawn(self, process: str, work: Coroutine[Any, Any, object]) -> None:
        """Let a coroutine, and all that it starts, run in a process.

        A name that crashed begins a new incarnation. An exception of `work` is kept in `failures`.
        """
        incarnation = self._process(process)
        if incarnation.dead:
            incarnation = self._processes[process] = incarnation.successor()
        context = copy_context()
        context.run(PROCESS.set, incarnation)
        task = self.loop.create_task(work, context=context)
        self._works.setdefault(incarnation, set()).add(task)
        task.add_done_callback(lambda done: self._ended(incarnation, done), context=self.loop.environment)

    def _ended(self, process: Process, task: asyncio.Task[object]) -> None:
        self._works[process].discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self.failures.append((process.name, error))

    def running(self, process: str) -> bool:
        """Whether a process was spawned, has not crashed, and has work that has not ended."""
        incarnation = self._process(process)
        return not incarnation.dead and bool(self._works.get(incarnation))

    def frozen(self, process: str) -> bool:
        """Whether a process is held up at the moment."""
        return bool(self._process(process).frozen)

    def steps(self, process: str) -> int:
        """How many callbacks of this incarnation of a process have run."""
        return self._process(process).steps

    def crash_at_step(self, process: str, step: int) -> None:
        """Let this incarnation of a process crash in place of its so-many-th callback."""
        self._process(process).ends_at_step = step

    def crash(self, process: str) -> None:
        """kill -9: none of its code ever runs again, no `finally`, and its connections are cut. Calls `on_crash`."""
        incarnation = self._process(process)
        if incarnation.dead:
            return
        self.note(process, f"crashes after {incarnation.steps} steps")
        self.loop.kill(incarnation)
        self.on_crash(process)

    def freeze(self, process: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long: its code does not run, but it still has its connections and its plans."""
        self.note(process, f"is held up for {seconds:.1f} s")
        self.loop.freeze(self._process(process), seconds)

    def move_wall_clock(self, process: str, seconds: float) -> None:
        """Let `now_ms` of a process jump; its monotonic clock goes on."""
        self.note(process, f"has its wall clock moved by {seconds:.1f} s")
        self._process(process).clock_offset_ms += int(seconds * 1000)

    def _process(self, name: str) -> Process:
        if name not in self._processes:
            self._processes[name] = Process(name)
        return self._processes[name]

    # -- time

    @property
    def seconds(self) -> float:
        """Virtual seconds since the beginning."""
        return self.loop.time()

    @property
    def now_ms(self) -> int:
        """The cluster's wall clock: milliseconds since the epoch."""
        return self.cluster.now_ms

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something so much later, outside of all processes; `action` may call anything here but `run`."""
        self.loop.later(seconds, action)

    def run(self, until: Callable[[], bool], within_seconds: float) -> bool:
        """Let virtual time pass until a condition holds, looked at whenever time moves; False when it did not in time.

        May be called again to go on.
        """
        ends_at = self.loop.time() + within_seconds
        over = self.loop.later(within_seconds, lambda: None)
        holds = False

        def look() -> None:
            nonlocal holds
            holds = until()
            if holds or self.loop.time() >= ends_at:
                self.loop.stop()

        self.loop.looked = look
        self.loop.run_forever()
        over.cancel()
        return holds

    @property
    def struck(self) -> set[int]:
        """The numbers of the faults that had a chance to do something; the others may be left out together."""
        return self._course.struck

    def note(self, process: str, what: str) -> None:
        """Write a line of the trace."""
        if self._tracing:
            self.trace.append(TraceEvent(self.loop.time(), process, what))

    # -- the end

    def close(self) -> None:
        """Throw everything away, without letting any of it run."""
        self.loop.throw_away()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


FATES = {True: Fate.COMMITTED, False: Fate.ABORTED, None: Fate.OPEN}


def _sim_record(record: Record) -> SimRecord:
    return SimRecord(record.offset, record.key, record.value, tuple(record.headers), record.timestamp)
