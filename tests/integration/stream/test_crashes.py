"""Crashes and zombies: what was not committed never happened, what was committed is not done again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest

from tests.brokers import Broker, Names
from tests.integration.stream.expectations import check_once, expected, numbers
from tests.integration.stream.toy import Toy
from tests.integration.stream.world import World, until
from worker.stream.transactions.transaction import TransactionWriter

NUMBERS = numbers(300)

Call = Callable[..., Awaitable[object]]


class _Trap:
    """Lets one call of a method of the producer be the last thing a partition's task does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, method: str, *, after: bool, at: int) -> None:
        self.sprung = asyncio.Event()
        self._left = at
        self._monkeypatch = monkeypatch
        original = TransactionWriter.__init__

        def rigged(writer: TransactionWriter, *arguments: Any) -> None:  # noqa: ANN401 - passed on as they are
            original(writer, *arguments)
            call = getattr(writer._producer, method)
            setattr(writer._producer, method, self._rig(call, after=after))
            writer.discard = self._leave(writer)  # type: ignore[method-assign]

        monkeypatch.setattr(TransactionWriter, "__init__", rigged)

    def _rig(self, call: Call, *, after: bool) -> Call:
        async def trapped(*arguments: object, **named: object) -> object:
            self._left -= 1
            if self._left or self.sprung.is_set():
                return await call(*arguments, **named)
            if after:
                await call(*arguments, **named)
            self.sprung.set()
            raise ConnectionError("the trap")

        return trapped

    def _leave(self, writer: TransactionWriter) -> Callable[[], Coroutine[Any, Any, None]]:
        async def leave_it_open() -> None:
            # A process that dies aborts nothing: its transaction stays open until its successor fences it.
            writer._reaper.close_later(writer._producer)

        return leave_it_open


CRASHES = {
    "before anything was sent": ("begin", False),
    "between its beginning and the records": ("write", False),
    "between the records and the commit": ("end", False),
    "after the commit, before its answer was seen": ("end", True),
}


@pytest.mark.parametrize("moment", CRASHES)
async def test_a_crash_at_any_moment_of_a_transaction_loses_and_doubles_nothing(
    broker: Broker, names: Names, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    method, after = CRASHES[moment]
    world = await World(broker, names, partitions=1).create()
    await world.send(world.a, NUMBERS)
    # The first transactions are the fence record and the first positions, the third and the fourth have records.
    trap = _Trap(monkeypatch, method, after=after, at=4)
    async with world.running(batch_records_max=100, ready=False) as engine:
        await world.processed(len(NUMBERS), engine)
        assert trap.sprung.is_set()
    assert await world.sums() == expected(NUMBERS)
    await check_once(world, len(NUMBERS))


async def test_a_task_cancelled_within_a_batch_leaves_nothing_behind(broker: Broker, names: Names) -> None:
    world = await World(broker, names, partitions=1).create()
    started = asyncio.Event()
    await world.send(world.a, NUMBERS)
    toys = lambda _partition, _count: Toy(world.topics, lambda _record: started.set())  # noqa: E731
    async with world.running(processors=toys, ready=False) as engine:
        await until(started.is_set, engine)
        assert engine._session is not None
        task = engine._session.tasks[0]._running
        assert task is not None
        task.cancel()
    async with world.running() as engine:
        await world.processed(len(NUMBERS), engine)
    assert await world.sums() == expected(NUMBERS)
    await check_once(world, len(NUMBERS))


async def test_a_fenced_task_recovers_and_its_usurper_changes_nothing(broker: Broker, names: Names) -> None:
    """A second producer of the partition's id takes its epoch, as a zombie that wakes up does."""
    world = await World(broker, names, partitions=1).create()
    async with world.running() as engine:
        await world.send(world.a, NUMBERS)
        await world.processed(len(NUMBERS), engine)
        surroundings = engine._surroundings
        usurper = TransactionWriter(world.config, 0, surroundings.clock, surroundings.reaper)
        await usurper.start()
        await usurper.fence()
        await world.send(world.b, NUMBERS)
        await world.processed(2 * len(NUMBERS), engine)
        with pytest.raises(Exception, match=r"Fenced|fenced|epoch|Unexpected|Invalid"):
            await usurper.fence()
        await usurper.discard()
        await until(lambda: engine.status().ready, engine)
    assert await world.sums() == expected(NUMBERS, NUMBERS)
    await check_once(world, 2 * len(NUMBERS))
