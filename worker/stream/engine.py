"""The engine: session after session until it is stopped, and the status that it reports meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from aiokafka.errors import KafkaError

from worker.clock import Chance, Clock
from worker.stream.config import EngineConfig
from worker.stream.errors import NotAssigned, NotReady, StepTimeout
from worker.stream.kafka.client_log import ClientLog, RateLimit
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.kafka.reaper import Reaper
from worker.stream.observer import Observer
from worker.stream.processor import P
from worker.stream.session import Session
from worker.stream.start.topic_check import TopicCheck
from worker.stream.status import ENGINE_TRANSITIONS, EngineState, EngineStatus, PartitionState
from worker.stream.surroundings import Surroundings
from worker.stream.task import PartitionTask
from worker.stream.transitions import ForbiddenTransition, next_state

log = logging.getLogger(__name__)

T = TypeVar("T")

SESSION_MS_LONG = 30_000
"""A session that lasted so long worked: what ended it is a new failure."""

EXPECTED = (KafkaError, NotReady, StepTimeout, OSError)


class Engine(Generic[P]):
    """Processes the partitions that the consumer group gives this worker, each exactly once.

    `processors` makes the processor of (partition, partition count), empty: it is restored. An engine runs once.
    """

    def __init__(
        self,
        config: EngineConfig,
        processors: Callable[[int, int], P],
        observer: Observer[P],
        *,
        clock: Clock | None = None,
        chance: Chance | None = None,
    ) -> None:
        read_as_input_records()
        clock = clock or Clock()
        self._config = config
        self._surroundings = Surroundings(
            config=config,
            processors=processors,
            observer=observer,
            clock=clock,
            chance=chance or Chance(),
            reaper=Reaper(),
            client_log=ClientLog(config.log_interval_ms, clock.monotonic, engine=config.name),
            complaints=RateLimit(config.log_interval_ms, clock.monotonic),
        )
        self._state = EngineState.NEW
        self._session: Session[P] | None = None
        self._problem: str | None = None
        self._halted: dict[int, PartitionTask[P]] = {}
        self._unreadable_policies: set[str] = set()
        self._work: asyncio.Task[None] | None = None
        self._stopping = False

    async def run(self) -> None:
        """Process until `stop` is called. Errors of the broker are retried for ever, with back-off."""
        self._surroundings.client_log.install()
        self._work = asyncio.get_running_loop().create_task(self._sessions(), name="engine")
        if self._stopping:
            self._work.cancel()
        try:
            await asyncio.wait({self._work})
        except asyncio.CancelledError:
            await self.stop()
            raise
        finally:
            self._surroundings.client_log.remove()
            self._enter(EngineState.ENDED)
        if not self._work.cancelled():
            self._work.result()

    async def stop(self) -> None:
        """Finish or abort the batches in hand, leave the group, and end; bounded by `stop_ms_max` in all."""
        work, first = self._work, not self._stopping
        self._stopping = True
        if work is None:
            return
        if first and not work.done():
            self._enter(EngineState.STOPPING)
            work.cancel()
        began_at = self._surroundings.clock.monotonic()
        bound = self._config.stop_ms_max / 1000
        await asyncio.wait({work}, timeout=bound)
        left = bound - (self._surroundings.clock.monotonic() - began_at)
        if not (await self._surroundings.reaper.wait(left) and work.done()):
            log.warning(
                "the engine did not end in time",
                extra={"app_id": self._config.app_id, "bound_ms": self._config.stop_ms_max},
            )

    def status(self) -> EngineStatus:
        """What the engine does now."""
        session = self._session
        if session is None:
            return EngineStatus(joined=False, problem=self._problem, partitions={}, state=self._state)
        partitions = {partition: task.status() for partition, task in sorted(session.tasks.items())}
        return EngineStatus(joined=session.joined, problem=session.problem, partitions=partitions, state=self._state)

    def processors(self) -> dict[int, P]:
        """What holds the state of each partition that is being processed; a transaction may be under way in it."""
        tasks = {} if self._session is None else self._session.tasks
        return {number: task.processor for number, task in tasks.items() if task.state is PartitionState.RUNNING}

    async def read(self, partition: int, look: Callable[[P], T]) -> T:
        """Let `look` see the committed state of a partition, between two transactions.

        Raises NotAssigned when this worker does not process the partition at the moment.
        """
        task = self._session.tasks.get(partition) if self._session is not None else None
        if task is None:
            raise NotAssigned(f"partition {partition} is not processed by this worker")
        return await task.read(look)

    async def _sessions(self) -> None:
        failures = 0
        while True:
            began_at = self._surroundings.clock.monotonic()
            try:
                await self._run_session()
            except ForbiddenTransition:
                raise
            except Exception as error:  # noqa: BLE001 - every error is logged, and the session tried again
                lasted_ms = (self._surroundings.clock.monotonic() - began_at) * 1000
                failures = 0 if lasted_ms > SESSION_MS_LONG else failures + 1
                await self._back_off(_first_of(error), failures)

    def _enter(self, state: EngineState) -> None:
        """Change the state. Once the engine stops, what still happens in its session is a part of that.

        Raises ForbiddenTransition, which ends the engine, if that is a defect.
        """
        if self._stopping and state not in (EngineState.STOPPING, EngineState.ENDED):
            return
        self._state = next_state("the engine", self._state, state, ENGINE_TRANSITIONS)

    async def _run_session(self) -> None:
        self._enter(EngineState.CHECKING)
        check = TopicCheck(self._config, self._surroundings.reaper, self._unreadable_policies)
        try:
            await check.start()
            topics = await check.look()
            await check.check_policies()
            await check.check_recorded(topics.partition_count)
            session = Session(self._surroundings, check, topics, self._halted)
            self._session, self._problem = session, None
            self._enter(EngineState.IN_SESSION)
            try:
                await session.run()
            finally:
                self._enter(EngineState.LEAVING)
                try:
                    await _to_its_end(session.close())
                finally:
                    self._session = None
                # The next session of this worker joins once this one has left; but leaving may hang.
                await self._surroundings.reaper.wait(self._config.leave_ms_max / 1000)
        finally:
            check.close()

    async def _back_off(self, error: BaseException, failures: int) -> None:
        self._problem = self._surroundings.explain(error)
        self._enter(EngineState.BACKING_OFF)
        self._surroundings.client_log.explained()
        wait_ms = min(self._config.backoff_ms_max, self._config.backoff_ms_min << min(failures, 10))
        if self._surroundings.complaints.passes(("engine", self._problem)) is not None:
            log.warning(
                "cannot work yet, trying again",
                extra={"problem": self._problem},
                exc_info=None if isinstance(error, EXPECTED) else error,
            )
        await asyncio.sleep(self._surroundings.chance.spread(wait_ms))


async def _to_its_end(step: Coroutine[Any, Any, None]) -> None:
    """Await a step that is bounded by itself, also where this is cancelled meanwhile: half of it is no good."""
    task = asyncio.ensure_future(step)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await task
        raise


def _first_of(error: Exception) -> BaseException:
    """The first error of a group of tasks: it is why the others were cancelled."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
