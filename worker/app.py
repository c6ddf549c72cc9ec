"""The composition root: a Faust app that hosts the engine and its pages, and the process around it.

Faust starts the services in order (pages first, so that health is told from the beginning; then the engine), stops them
in reverse, and runs the timer that tells the progress. Its own Kafka side is off: with neither agents nor tables there
is nothing it would read or write, so it makes no topic, joins no group, and needs no broker to start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from importlib.metadata import version
from typing import TypeVar, cast

import faust
import structlog
import uvloop
from mode import Service

from schemas.topics import INPUTS
from worker.domain.ledger import Ledger
from worker.domain.policies import Rules
from worker.inspection.members import GroupDirectory, contact_data
from worker.ops.dead_letter_log import RefusalLog
from worker.ops.garbage import collect_little, set_apart
from worker.ops.heap import keep_freed
from worker.ops.logging import configure_logging
from worker.ops.metrics import Counted, Metrics
from worker.ops.progress import Progress
from worker.processors.ledger import PartitionProcessor
from worker.settings import Settings
from worker.stream import BatchReport, Engine, NotAssigned
from worker.stream.processor import Processor
from worker.stream.status import EngineStatus
from worker.web.server import Pages

STOP_SECONDS_MAX = 9.0
"""A stop that takes longer is cut off, so that the process is gone within 10 seconds."""
TICK_SECONDS = 0.5

Answer = TypeVar("Answer")
log = structlog.get_logger("worker.app")


class Partitions:
    """Makes the engine's processors, and remembers how many partitions there are in all."""

    def __init__(self, *, prefix: str, rules: Rules) -> None:
        """Make processors for topics with this prefix, and these rules."""
        self._prefix = prefix
        self._rules = rules
        self.count: int | None = None

    def make(self, partition: int, partition_count: int) -> PartitionProcessor:
        """Make the processor of a partition; the engine calls this."""
        self.count = partition_count
        return PartitionProcessor(
            partition=partition, partition_count=partition_count, prefix=self._prefix, rules=self._rules
        )


class EngineService(Service):
    """Runs the engine. It retries by itself whatever it meets: where it ends all the same, so does the process."""

    logger = logging.getLogger("mode.engine")

    def __init__(self, make_engine: Callable[[], Engine], partitions: Partitions) -> None:
        """Run what `make_engine` makes, once started: the metrics that it needs ask this service."""
        super().__init__()
        self._make_engine = make_engine
        self._partitions = partitions
        self._engine: Engine | None = None
        self.closed = False
        """Whether the engine was stopped in good order."""

    @property
    def partition_count(self) -> int | None:
        """How many partitions there are; None before one of them was here."""
        return self._partitions.count

    def status(self) -> EngineStatus | None:
        """The engine's status; None while there is no engine."""
        return None if self._engine is None else self._engine.status()

    def processors(self) -> Mapping[int, PartitionProcessor]:
        """Those of the partitions that are being processed now."""
        found = {} if self._engine is None else self._engine.processors()
        return {number: _ours(processor) for number, processor in found.items()}

    async def read(self, partition: int, question: Callable[[Ledger], Answer]) -> Answer:
        """Ask the ledger of a partition between two transactions. Raises NotAssigned."""
        if self._engine is None:
            raise NotAssigned(partition)
        return await self._engine.read(partition, lambda processor: question(_ours(processor).ledger))

    @Service.task
    async def _run(self) -> None:
        self._engine = self._make_engine()
        await self._engine.run()

    async def on_stop(self) -> None:
        """Stop the engine: the batch in hand ends or is aborted, and the group is left."""
        if self._engine is not None:
            await self._engine.stop()
        self.closed = True


class WorkerMetrics(Metrics):
    """The metrics of the process, and the log of what was refused; with a rebalance, the garbage collector looks at
    everything once.
    """

    def __init__(
        self,
        *,
        version: str,
        inputs: Sequence[str],
        processors: Callable[[], Mapping[int, Counted]],
        status: Callable[[], EngineStatus | None],
    ) -> None:
        """As the metrics it adds to."""
        super().__init__(version=version, inputs=inputs, processors=processors, status=status)
        self._refusals = RefusalLog()

    def batch_committed(self, report: BatchReport) -> None:
        """Count a transaction, and log what was dead-lettered in it."""
        super().batch_committed(report)
        self._refusals.tell(_ours(report.processor).refusals)

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """Count a rebalance, and let the collector find what ended with it, or with the session before."""
        super().partitions_assigned(partitions)
        set_apart()


class HostApp(faust.App):
    """The Faust app around the engine."""

    logger = logging.getLogger("faust.host")

    async def on_first_start(self) -> None:
        """Make no directories: there are no tables to keep in them."""


class Host:
    """One worker process: what it is made of, and its life from the start to the exit code."""

    def __init__(self, settings: Settings) -> None:
        """Make everything, start nothing."""
        self._settings = settings
        self._name = uuid.uuid4().hex
        release = version("stockfreeze")
        partitions = Partitions(prefix=settings.topic_prefix, rules=settings.rules())
        self._engine = EngineService(self._make_engine, partitions)
        self._metrics = WorkerMetrics(
            version=release,
            inputs=[settings.topic(topic) for topic in INPUTS],
            processors=self._engine.processors,
            status=self._engine.status,
        )
        self._progress = Progress(
            self._engine.status, lambda: self._metrics.records_committed, lambda: self._metrics.dead_lettered
        )
        self._partitions = partitions
        self._pages = Pages(
            host=settings.web_host,
            port=settings.web_port,
            ledgers=self._engine,
            directory=GroupDirectory(
                settings.client_options(), settings.app_id, [settings.topic(topic) for topic in INPUTS]
            ),
            registry=self._metrics.registry,
            title=f"Stockfreeze {release}: {settings.app_id}",
            worker=self._name,
        )
        self._release = release

    async def run(self) -> int:
        """Run until a signal; gives the exit code. Raises AddressInUse where the pages cannot listen."""
        stopping = asyncio.Event()
        self._listen(stopping, asyncio.get_running_loop())
        app = self._make_app()
        try:
            await app.start()
            self._announce()
            await app.add_runtime_dependency(self._engine)
            await _first_of(stopping.wait(), app.wait_until_stopped())
        finally:
            await app.stop()
        if app.crashed:
            log.error("the worker ends, as a part of it failed", reason=repr(app.crash_reason))
            return 1
        log.info("stopped")
        return 0

    def _make_app(self) -> HostApp:
        app = HostApp(f"{self._settings.app_id}-host", autodiscover=False)
        app.boot_strategy.enable_kafka = False
        app.boot_strategy.enable_sensors = False
        app.web_server(self._pages)
        app.task(self._watch)
        return app

    def _make_engine(self) -> Engine:
        """The pages listen by now, so it is known where."""
        settings = self._settings
        contact = contact_data(self._name, settings.web_url, settings.web_host, self._pages.port)
        return Engine(settings.engine_config(contact), self._partitions.make, self._metrics)

    def _announce(self) -> None:
        log.info(
            "started",
            version=self._release,
            app_id=self._settings.app_id,
            bootstrap_servers=self._settings.bootstrap_servers,
            topic_prefix=self._settings.topic_prefix,
            pages=self._pages.url,
        )

    async def _watch(self) -> None:
        """Measure how late the event loop is, and tell the log how things go."""
        while True:
            due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._metrics.loop_was_late(max(0.0, time.monotonic() - due))
            self._progress.tell()

    def _listen(self, stopping: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Let SIGTERM and SIGINT stop the worker, and see to it that the process ends in time whatever hangs.

        The handlers are Python's own and not the loop's, so that the clock starts also while the loop is busy.
        """

        def stop(number: int, _frame: object) -> None:
            if not stopping.is_set():
                deadline = threading.Timer(STOP_SECONDS_MAX, self._end_now)
                deadline.daemon = True
                deadline.start()
                loop.call_soon_threadsafe(self._begin_stop, stopping, signal.Signals(number).name)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    @staticmethod
    def _begin_stop(stopping: asyncio.Event, name: str) -> None:
        log.info("stopping", signal=name, seconds_max=STOP_SECONDS_MAX)
        stopping.set()

    def _end_now(self) -> None:
        """End the process where a library hangs. No log line: what hangs may be the log."""
        os._exit(0 if self._engine.closed else 1)


async def _first_of(*awaitables: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _ours(processor: Processor) -> PartitionProcessor:
    return cast("PartitionProcessor", processor)  # the engine has no others: `Partitions` made them


def run_worker(settings: Settings) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, and return its exit code: 0, or 1 when a part of it failed.

    Raises AddressInUse where the pages cannot listen.
    """
    configure_logging(settings.log_format, settings.log_level)
    collect_little()
    keep_freed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Host(settings).run())
