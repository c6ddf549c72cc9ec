"""Session after session, and the end of the engine at each moment. Sessions and the check of the topics are doubles."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from tests.unit.stream.fakes import CONFIG, Obedient
from worker.clock import Chance
from worker.stream import Engine, EngineState, NotAssigned
from worker.stream import engine as module
from worker.stream.errors import NotReady
from worker.stream.observer import SilentObserver
from worker.stream.start.topic_check import TopicsSeen
from worker.stream.status import ENGINE_TRANSITIONS
from worker.stream.task import PartitionTask
from worker.stream.transitions import ForbiddenTransition

SECONDS_MAX = 5
"""Nothing here waits for anything but what the test itself lets happen."""


class _Check:
    """Finds the topics in order."""

    def __init__(self, *_arguments: object) -> None:
        """Nobody is asked."""

    async def start(self) -> None:
        """Nothing to connect to."""

    async def look(self) -> TopicsSeen:
        return TopicsSeen(8, {})

    async def check_policies(self) -> None:
        """They keep what they must."""

    async def check_recorded(self, partition_count: int) -> None:
        assert partition_count == 8

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class _Course:
    """What sessions do, and what became of them."""

    error: Exception | None = None
    """What a session ends with; None: it goes on until it is cancelled."""
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    sessions: int = 0
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    may_close: asyncio.Event = field(default_factory=asyncio.Event)
    closed: int = 0


def _sessions(course: _Course) -> type:
    class _Session:
        def __init__(self, *_arguments: object) -> None:
            self.tasks: dict[int, PartitionTask[Obedient]] = {}
            self.joined = True
            self.problem = None

        async def run(self) -> None:
            course.sessions += 1
            course.begun.set()
            if course.error is not None:
                raise course.error
            await asyncio.Event().wait()

        async def close(self) -> None:
            course.closing.set()
            await course.may_close.wait()
            course.closed += 1

    return _Session


@pytest.fixture
async def course(monkeypatch: pytest.MonkeyPatch) -> _Course:
    course = _Course()
    course.may_close.set()
    monkeypatch.setattr(module, "TopicCheck", _Check)
    monkeypatch.setattr(module, "Session", _sessions(course))
    return course


@pytest.fixture
async def engine(course: _Course) -> AsyncIterator[Engine[Obedient]]:
    assert course.closed == 0, "sessions are doubled before an engine is made"
    engine: Engine[Obedient] = Engine(CONFIG, lambda _partition, _count: Obedient(), SilentObserver(), chance=_Soon())
    yield engine
    await engine.stop()


class _Soon(Chance):
    """Waits for no retry."""

    def spread(self, wait_ms: int) -> float:
        assert wait_ms > 0
        return 0.0


async def comes(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():  # noqa: ASYNC110 - what is waited for is told by nobody
            await asyncio.sleep(0)


async def test_an_engine_that_is_stopped_before_it_runs_ends_at_once(engine: Engine[Obedient], course: _Course) -> None:
    await engine.stop()
    await asyncio.wait_for(engine.run(), SECONDS_MAX)
    assert course.sessions == 0


async def test_a_stop_closes_the_session(engine: Engine[Obedient], course: _Course) -> None:
    running = asyncio.ensure_future(engine.run())
    await course.begun.wait()
    assert engine.status().joined
    await engine.stop()
    await asyncio.wait_for(running, SECONDS_MAX)
    assert (course.sessions, course.closed) == (1, 1)
    assert engine.status().partitions == {}


async def test_a_session_that_ends_by_an_error_is_followed_by_another(
    engine: Engine[Obedient], course: _Course
) -> None:
    course.error = NotReady("topics are missing: a")
    running = asyncio.ensure_future(engine.run())
    await comes(lambda: course.sessions > 2)
    await comes(lambda: engine.status().problem == "topics are missing: a")
    course.error = None
    await comes(lambda: engine.status().joined)
    await engine.stop()
    await asyncio.wait_for(running, SECONDS_MAX)
    assert course.closed == course.sessions


async def test_a_stop_while_a_session_closes_does_not_cut_that_short(engine: Engine[Obedient], course: _Course) -> None:
    course.error = NotReady("the group is gone")
    course.may_close.clear()
    running = asyncio.ensure_future(engine.run())
    await course.closing.wait()
    stopping = asyncio.ensure_future(engine.stop())
    for _ in range(10):
        await asyncio.sleep(0)
    assert not stopping.done()
    course.may_close.set()
    await asyncio.wait_for(asyncio.gather(stopping, running), SECONDS_MAX)
    assert (course.sessions, course.closed) == (1, 1)
    assert engine.status().problem is None


async def test_what_is_not_here_cannot_be_read(engine: Engine[Obedient]) -> None:
    with pytest.raises(NotAssigned, match="partition 3"):
        await engine.read(3, lambda processor: processor)


async def test_the_engine_reports_each_state_from_its_making_to_its_end(
    engine: Engine[Obedient], course: _Course
) -> None:
    assert engine.status().state is EngineState.NEW
    course.may_close.clear()
    course.error = NotReady("the group is gone")
    running = asyncio.ensure_future(engine.run())
    await course.closing.wait()
    assert engine.status().state is EngineState.LEAVING
    course.error = None
    course.may_close.set()
    await comes(lambda: engine.status().state is EngineState.IN_SESSION)
    course.may_close.clear()
    stopping = asyncio.ensure_future(engine.stop())
    await comes(lambda: engine.status().state is EngineState.STOPPING)
    course.may_close.set()
    await asyncio.wait_for(asyncio.gather(stopping, running), SECONDS_MAX)
    assert engine.status().state is EngineState.ENDED


@pytest.mark.parametrize("state", EngineState)
@pytest.mark.parametrize("following", EngineState)
def test_an_engine_enters_no_state_that_its_table_does_not_allow(
    engine_in: Callable[[EngineState], Engine[Obedient]], state: EngineState, following: EngineState
) -> None:
    engine = engine_in(state)
    if following in ENGINE_TRANSITIONS[state]:
        engine._enter(following)
        assert engine.status().state is following
    else:
        with pytest.raises(ForbiddenTransition, match=f"cannot go from {state} to {following}:"):
            engine._enter(following)
        assert engine.status().state is state


def test_every_state_of_an_engine_can_be_reached_and_left_but_the_last() -> None:
    assert ENGINE_TRANSITIONS.keys() == set(EngineState)
    reached, front = set(), {EngineState.NEW}
    while front:
        reached |= front
        front = {following for state in front for following in ENGINE_TRANSITIONS[state]} - reached
    assert reached == set(EngineState)
    assert [state for state in EngineState if not ENGINE_TRANSITIONS[state]] == [EngineState.ENDED]


@pytest.fixture
def engine_in() -> Callable[[EngineState], Engine[Obedient]]:
    """Gives an engine that was led to a state by the shortest way there is."""

    def led(state: EngineState) -> Engine[Obedient]:
        ways = {EngineState.NEW: [EngineState.NEW]}
        while state not in ways:
            for reached, way in list(ways.items()):
                for following in sorted(ENGINE_TRANSITIONS[reached]):
                    ways.setdefault(following, [*way, following])
        engine: Engine[Obedient] = Engine(CONFIG, lambda _partition, _count: Obedient(), SilentObserver())
        for step in ways[state][1:]:
            engine._enter(step)
        return engine

    return led
