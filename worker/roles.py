"""The roles of a worker: what each is made of, and how its engine is started, observed and stopped.

A role is a processor on an engine of its own: its topics, its consumer group, its metrics and its health. The app
composes the roles that the setting `ROLES` names, and knows no more of them than `Hosted`. To add one, declare its
topics (`schemas.topics`), its name (`worker.settings.RoleName`) and a function like `host_ledger` here.

Three things belong to the process, so all its roles share them:

- aiokafka's loggers: one filter knows the engine of each line (`worker.stream.kafka.client_log`).
- aiokafka's record classes: `read_as_input_records` replaces them for every consumer, also for those outside the
  engines.
- the registry of metrics: the metrics of engines have a label `role` (`worker.ops.metrics`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, assert_never

from schemas.topics import LEDGER, RoleTopics
from worker.clock import Clock
from worker.domain.ledger import Ledger
from worker.domain.policies import Policies
from worker.ops.dead_letter_log import RefusalLog
from worker.ops.garbage import set_apart
from worker.ops.metrics import C, Metrics, RoleMetrics
from worker.ops.progress import Progress
from worker.processors.ledger import PartitionProcessor
from worker.settings import RoleName, Settings
from worker.stream import BatchReport, Engine, NotAssigned
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.status import EngineStatus
from worker.web.server import Ledgers

Answer = TypeVar("Answer")


class Hosted(Protocol):
    """A role as the app sees it. All methods are called on the event loop."""

    @property
    def name(self) -> str:
        """As the setting `ROLES` names it."""

    @property
    def closed(self) -> bool:
        """Whether it was stopped in good order."""

    def status(self) -> EngineStatus | None:
        """The status of its engine; None before it runs."""

    async def run(self) -> None:
        """Work until `stop`. Called once.

        It retries after errors of brokers and topics. An error that it raises all the same is a defect, and ends the
        process.
        """

    async def stop(self) -> None:
        """End the batches in hand and leave the group, within 6 s. Called at most once, whether it runs or not."""

    def report_progress(self) -> None:
        """Log what changed. Called about twice a second."""

    @property
    def ledgers(self) -> Ledgers | None:
        """What the pages answer from; None: the role has no ledgers."""


@dataclass(frozen=True)
class Process:
    """What all roles of a process share."""

    settings: Settings
    metrics: Metrics
    clock: Clock
    contact: Callable[[], bytes]
    """What the worker joins its groups with: its name, and the address of its pages once they listen."""


class RoleObserver(RoleMetrics[C]):
    """Observes the engine of a role: counts for the metrics, and starts garbage collection after a rebalance."""

    def __init__(
        self,
        metrics: Metrics,
        *,
        role: str,
        inputs: Sequence[str],
        processors: Callable[[], Mapping[int, C]],
        status: Callable[[], EngineStatus | None],
        committed: Callable[[BatchReport[C]], None] | None,
    ) -> None:
        """Count as the metrics do, and call `committed` after each transaction."""
        super().__init__(metrics, role=role, inputs=inputs, processors=processors, status=status)
        self._committed = committed

    def batch_committed(self, report: BatchReport[C]) -> None:
        """Count a transaction, and hand it on."""
        super().batch_committed(report)
        if self._committed is not None:
            self._committed(report)

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """Count a rebalance, and have the garbage collector free what the partitions before it left."""
        super().partitions_assigned(partitions)
        set_apart()


class HostedRole(Generic[C]):
    """A role of this process, with the engine of its processors."""

    def __init__(
        self,
        process: Process,
        topics: RoleTopics[str],
        processors: Callable[[int, int], C],
        *,
        committed: Callable[[BatchReport[C]], None] | None = None,
    ) -> None:
        """Make everything but the engine. `processors` makes the processor of (partition, partition count).

        `committed` is called after each transaction that was committed.
        """
        self.name = topics.role
        self.closed = False
        self.ledgers: Ledgers | None = None
        self._process = process
        self._topics = topics
        self._processors = processors
        self._engine: Engine[C] | None = None
        self._observer = RoleObserver(
            process.metrics,
            role=topics.role,
            inputs=[process.settings.topic(topic) for topic in topics.inputs],
            processors=self.processors,
            status=self.status,
            committed=committed,
        )
        self._progress = Progress(
            self.status,
            lambda: self._observer.records_committed,
            lambda: self._observer.dead_lettered,
            role=topics.role,
            monotonic=process.clock.monotonic,
        )

    def status(self) -> EngineStatus | None:
        """The status of the engine; None before it runs."""
        return None if self._engine is None else self._engine.status()

    def processors(self) -> Mapping[int, C]:
        """Those of the partitions that are being processed now."""
        return {} if self._engine is None else self._engine.processors()

    async def read(self, partition: int, look: Callable[[C], Answer]) -> Answer:
        """Let `look` see the committed state of a partition, between two transactions. Raises NotAssigned."""
        if self._engine is None:
            raise NotAssigned(f"partition {partition} is not processed by this worker")
        return await self._engine.read(partition, look)

    async def run(self) -> None:
        """Run the engine until `stop`. It is made only now, because the pages listen by now."""
        config = self._process.settings.engine_config(self._topics, member_data=self._process.contact())
        self._engine = Engine(config, self._processors, self._observer, clock=self._process.clock)
        await self._engine.run()

    async def stop(self) -> None:
        """Stop the engine: the batch in hand ends or is aborted, and the group is left."""
        if self._engine is not None:
            await self._engine.stop()
        self.closed = True

    def report_progress(self) -> None:
        """Log what changed."""
        self._progress.log_changes()


class LedgerPartitions:
    """Makes the ledger's processors, and remembers how many partitions there are in all."""

    def __init__(self, *, prefix: str, policies: Policies) -> None:
        """Make processors for topics with this prefix, and these policies."""
        self._prefix = prefix
        self._policies = policies
        self.count: int | None = None

    def make(self, partition: int, partition_count: int) -> PartitionProcessor:
        """Make the processor of a partition; the engine calls this."""
        self.count = partition_count
        return PartitionProcessor(
            partition=partition, partition_count=partition_count, prefix=self._prefix, policies=self._policies
        )


class HostedLedgers:
    """The ledgers of the partitions that are here, for the pages."""

    def __init__(self, role: HostedRole[PartitionProcessor], partitions: LedgerPartitions) -> None:
        """Read from the role's engine."""
        self._role = role
        self._partitions = partitions

    @property
    def partition_count(self) -> int | None:
        """How many partitions there are; None before one of them was here."""
        return self._partitions.count

    def status(self) -> EngineStatus | None:
        """The engine's status; None before it runs."""
        return self._role.status()

    async def read(self, partition: int, question: Callable[[Ledger], Answer]) -> Answer:
        """Ask the ledger of a partition between two transactions. Raises NotAssigned."""
        return await self._role.read(partition, lambda processor: question(processor.ledger))


def host_ledger(process: Process) -> HostedRole[PartitionProcessor]:
    """Make the role `ledger`: events to movements, levels and statuses."""
    settings = process.settings
    partitions = LedgerPartitions(prefix=settings.topic_prefix, policies=settings.policies())
    refusals = RefusalLog(process.clock)

    def log_refusals(report: BatchReport[PartitionProcessor]) -> None:
        refusals.tell(report.processor.refusals)

    role = HostedRole(process, LEDGER, partitions.make, committed=log_refusals)
    role.ledgers = HostedLedgers(role, partitions)
    return role


RoleMaker = Callable[[Process], Hosted]


def host(process: Process, makers: Iterable[RoleMaker]) -> list[Hosted]:
    """Make the roles of a process, after replacing aiokafka's record classes for all of them."""
    read_as_input_records()
    return [make(process) for make in makers]


def maker_of(name: RoleName) -> RoleMaker:
    """Find what makes a role."""
    match name:
        case "ledger":
            return host_ledger
        case _:
            assert_never(name)
