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

While `run` turns the loop, `time.time`, `time.monotonic` and the module `random` are the simulation's; outside of it
they are what they were. A simulation must be closed, or used as a context manager.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from enum import StrEnum
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.simulation.faults import FaultPlan
from worker.stream import Chance, Clock

Headers = Sequence[tuple[str, bytes]]


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

    `nodes` brokers; `tracing` fills `trace` (and costs about as much again as the run).
    """

    trace: list[TraceEvent]

    def __init__(self, seed: int, *, faults: FaultPlan | None = None, nodes: int = 1, tracing: bool = False) -> None:
        raise NotImplementedError

    # -- topics; any time, at once and without faults

    def create_topic(self, name: str, partitions: int, *, compact: bool = False) -> None:
        """Make a topic."""
        raise NotImplementedError

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
        raise NotImplementedError

    def committed(self, topic: str, partition: int) -> list[SimRecord]:
        """What a read_committed reader sees now, from the first offset there is to the last stable one."""
        raise NotImplementedError

    def written(self, topic: str, partition: int) -> list[WrittenRecord]:
        """Everything that was ever appended, in offset order, aborted, open and compacted records included."""
        raise NotImplementedError

    def compact(self, topic: str) -> None:
        """Let the log cleaner run over a compacted topic now."""
        raise NotImplementedError

    def truncate(self, topic: str, partition: int, before_offset: int) -> None:
        """Delete the records before an offset, as retention does."""
        raise NotImplementedError

    def committed_offset(self, group: str, topic: str, partition: int) -> int | None:
        """What the group coordinator has for lag tools."""
        raise NotImplementedError

    # -- processes

    @property
    def client_options(self) -> Mapping[str, object]:
        """Connection options of the clients: where the cluster is."""
        raise NotImplementedError

    def clock(self, process: str) -> Clock:
        """The clock of a process: virtual time, plus what its wall clock was moved by."""
        raise NotImplementedError

    def chance(self, process: str) -> Chance:
        """The randomness of a process."""
        raise NotImplementedError

    def spawn(self, process: str, work: Coroutine[Any, Any, object]) -> None:
        """Let a coroutine, and all that it starts, run in a process.

        A name that crashed begins a new incarnation. An exception of `work` is kept for `failures`.
        """
        raise NotImplementedError

    @property
    def failures(self) -> list[tuple[str, BaseException]]:
        """The exceptions that ended spawned coroutines, by process."""
        raise NotImplementedError

    def running(self, process: str) -> bool:
        """Whether a process was spawned, has not crashed, and has work that has not ended."""
        raise NotImplementedError

    def crash(self, process: str) -> None:
        """kill -9: none of its code ever runs again, no `finally`; its connections are cut. Then `on_crash` is told."""
        raise NotImplementedError

    def freeze(self, process: str, seconds: float) -> None:
        """SIGSTOP, and SIGCONT after so long: its code does not run, but it still has its connections and its plans."""
        raise NotImplementedError

    def move_wall_clock(self, process: str, seconds: float) -> None:
        """Let `now_ms` of a process jump; its monotonic clock goes on."""
        raise NotImplementedError

    on_crash: Callable[[str], None]
    """Called with the name of a process that crashed, by a fault or by `crash`; for instance to spawn it again later
    (`simulation.after(seconds, ...)`). Does nothing by default."""

    # -- time

    @property
    def seconds(self) -> float:
        """Virtual seconds since the beginning."""
        raise NotImplementedError

    @property
    def now_ms(self) -> int:
        """The cluster's wall clock: milliseconds since the epoch."""
        raise NotImplementedError

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Do something so much later, outside of all processes; `action` may call anything here but `run`."""
        raise NotImplementedError

    def run(self, until: Callable[[], bool], within_seconds: float) -> bool:
        """Let virtual time pass until a condition holds, looked at whenever time moves; False when it did not in time.

        May be called again to go on.
        """
        raise NotImplementedError

    # -- the end

    def close(self) -> None:
        """Throw everything away, without letting any of it run."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
