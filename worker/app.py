"""The composition root: a Faust app that hosts the engines of all roles and the pages, and the process around it.

Faust starts the services in order (pages first, so that health can be asked from the beginning; then the engines),
stops them in reverse, and runs the timer that logs the progress. Its own Kafka side is off: with neither agents nor
tables there is nothing it would read or write, so it makes no topic, joins no group, and needs no broker to start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import Coroutine, Sequence
from contextvars import copy_context
from importlib.metadata import version

import faust
import structlog
import uvloop
from mode import Service

from schemas.topics import LEDGER
from worker.clock import Chance, Clock
from worker.inspection.members import GroupDirectory, contact_data
from worker.ops.garbage import collect_little
from worker.ops.heap import keep_freed
from worker.ops.logging import configure_logging
from worker.ops.metrics import Metrics
from worker.roles import Hosted, Process, RoleMaker, host, maker_of
from worker.settings import Settings
from worker.web.server import NoLedgers, Pages

STOP_SECONDS_MAX = 9.0
"""A stop that takes longer is cut off, so that the process is gone within 10 seconds."""
TICK_SECONDS = 0.5

log = structlog.get_logger("worker.app")


class Engines(Service):
    """Runs the engines of all roles, and stops them together: mode would stop one service after the other.

    A role retries by itself whatever it meets. Where one ends all the same, the others stop and the process ends.
    """

    logger = logging.getLogger("mode.engines")

    def __init__(self, roles: Sequence[Hosted]) -> None:
        """Run these once started."""
        super().__init__()
        self._roles = roles

    @property
    def closed(self) -> bool:
        """Whether all were stopped in good order."""
        return all(role.closed for role in self._roles)

    @Service.task
    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for role in self._roles:
                group.create_task(role.run(), name=role.name)

    async def on_stop(self) -> None:
        """Stop all at the same time, so that the bound of one is that of all."""
        await asyncio.gather(*(role.stop() for role in self._roles))


class HostApp(faust.App):
    """The Faust app around the engines."""

    logger = logging.getLogger("faust.host")

    async def on_first_start(self) -> None:
        """Make no directories: there are no tables to keep in them."""


class Host:
    """One worker process: what it is made of, and its life from the start to the exit code."""

    def __init__(
        self, settings: Settings, roles: Sequence[RoleMaker] | None = None, *, clock: Clock | None = None
    ) -> None:
        """Make everything, start nothing. The roles are those of the settings, unless others are given."""
        self._settings = settings
        self._clock = clock or Clock()
        self._name = Chance().token()
        self._release = version("stockfreeze")
        self._metrics = Metrics(version=self._release)
        process = Process(settings, self._metrics, self._clock, self._contact)
        makers = [maker_of(name) for name in settings.roles] if roles is None else roles
        self._roles = host(process, makers)
        self._engines = Engines(self._roles)
        self._pages = Pages(
            host=settings.web_host,
            port=settings.web_port,
            ledgers=next((role.ledgers for role in self._roles if role.ledgers is not None), NoLedgers()),
            directory=GroupDirectory(
                settings.client_options(), settings.group_id(LEDGER.role), list(map(settings.topic, LEDGER.inputs))
            ),
            roles=lambda: {role.name: role.status() for role in self._roles},
            registry=self._metrics.registry,
            title=f"Stockfreeze {self._release}: {settings.app_id}",
            worker=self._name,
        )

    async def run(self) -> int:
        """Run until a signal; gives the exit code. Raises AddressInUse where the pages cannot listen."""
        stopping = asyncio.Event()
        self._listen(stopping, asyncio.get_running_loop())
        app = self._make_app()
        try:
            await app.start()
            self._announce()
            await app.add_runtime_dependency(self._engines)
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

    def _contact(self) -> bytes:
        """What the worker joins its groups with. Known once the pages listen."""
        return contact_data(self._name, self._settings.web_url, self._settings.web_host, self._pages.port)

    def _announce(self) -> None:
        log.info(
            "started",
            version=self._release,
            app_id=self._settings.app_id,
            roles=[role.name for role in self._roles],
            bootstrap_servers=self._settings.bootstrap_servers,
            topic_prefix=self._settings.topic_prefix,
            pages=self._pages.url,
        )

    async def _watch(self) -> None:
        """Measure how late the event loop is, and have each role log its progress."""
        while True:
            due = self._clock.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            self._metrics.loop_was_late(max(0.0, self._clock.monotonic() - due))
            for role in self._roles:
                role.report_progress()

    def _listen(self, stopping: asyncio.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Let SIGTERM and SIGINT stop the worker, and see to it that the process ends in time whatever hangs.

        The handlers are Python's own and not the loop's, so that the clock starts also while the loop is busy.
        """
        outside_of_engines = copy_context()  # the signal may come within a task of an engine, whose line it is not

        def stop(number: int, _frame: object) -> None:
            if not stopping.is_set():
                deadline = threading.Timer(STOP_SECONDS_MAX, self._end_now)
                deadline.daemon = True
                deadline.start()
                name = signal.Signals(number).name
                loop.call_soon_threadsafe(self._begin_stop, stopping, name, context=outside_of_engines)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)

    @staticmethod
    def _begin_stop(stopping: asyncio.Event, name: str) -> None:
        log.info("stopping", signal=name, seconds_max=STOP_SECONDS_MAX)
        stopping.set()

    def _end_now(self) -> None:
        """End the process where a library hangs. No log line: what hangs may be the log."""
        os._exit(0 if self._engines.closed else 1)


async def _first_of(*awaitables: Coroutine[object, object, object]) -> None:
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def run_worker(settings: Settings, roles: Sequence[RoleMaker] | None = None) -> int:
    """Run a worker in this process until SIGTERM or SIGINT, and return its exit code: 0, or 1 when a part of it failed.

    Raises AddressInUse where the pages cannot listen.
    """
    configure_logging(settings.log_format, settings.log_level)
    collect_little()
    keep_freed()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(Host(settings, roles).run())
