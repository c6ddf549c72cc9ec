"""A deterministic event loop on virtual time, and the processes whose code runs on it.

When nothing is ready, time jumps to the next timer. Every callback belongs to the process in whose context it was made
(or to none: the network and the cluster); so a process can be ended or held up between any two of its steps.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import random
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar, copy_context
from typing import Any
from unittest import mock

EPOCH_MS = 1_700_000_000_000
"""What the wall clocks show at virtual second 0."""

TURN_SECONDS = 1e-6

Answers = Callable[..., Coroutine[Any, Any, object]]


class Process:
    """One incarnation of a simulated process."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dead = False
        self.frozen = 0
        self.held: list[Handle] = []
        """What would have run while it was frozen, in order."""
        self.clock_offset_ms = 0
        self.steps = 0
        """How many of its callbacks have run."""
        self.ends_at_step = -1

    def successor(self) -> Process:
        """The process that is started in its place, on the same machine."""
        process = Process(self.name)
        process.clock_offset_ms = self.clock_offset_ms
        return process


PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
"""Whose code is running."""


class Handle:
    """What asyncio asks of a handle and of a timer, and nothing else: there are many of them."""

    __slots__ = ("args", "callback", "context", "gone", "seconds")

    def __init__(
        self, callback: Callable[..., object], args: tuple[object, ...], context: Context | None, seconds: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = copy_context() if context is None else context
        self.gone = False
        self.seconds = seconds

    def cancel(self) -> None:
        """Do not run it."""
        self.gone = True

    def cancelled(self) -> bool:
        """Whether it will not run."""
        return self.gone

    def when(self) -> float:
        """When it is due."""
        return self.seconds


class _Future(asyncio.Future[Any]):
    """A future with a number for its hash: sets of futures have the same order in every run of a seed."""

    number: int

    def __hash__(self) -> int:
        return self.number


class _Task(asyncio.Task[Any]):
    """A task, likewise."""

    number: int

    def __hash__(self) -> int:
        return self.number


class SimulatedLoop(asyncio.BaseEventLoop):
    """Runs callbacks in the order in which they were made ready, and time as fast as it can.

    `random.Random(seed)` takes the place of the module `random` while the loop runs.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now = 0.0
        self._ready: Any  # of the base class: what is to run next
        self._timers: list[tuple[float, int, Handle]] = []
        """A heap. The number keeps the order of what is due at the same time."""
        self._timers_made = 0
        self._futures_made = 0
        self.set_task_factory(self._make_task)  # type: ignore[arg-type] # the context is passed by name
        self._random_state = random.Random(f"random/{seed}").getstate()
        self._tasks: list[asyncio.Task[Any]] = []
        """All that were ever made. Held on to: a coroutine that is collected runs its `finally`."""
        self.environment: Context = copy_context()
        """The context of everything that belongs to no process."""
        self.environment.run(PROCESS.set, None)
        self.connect: Answers | None = None
        """Takes the place of `aiokafka.client.create_conn` while the loop runs."""
        self.looked: Callable[[], None] = lambda: None
        """Called before time moves."""
        self.ended: Callable[[Process], None] = lambda _process: None
        """Called when a process comes to the step that is its last."""
        self.late: list[dict[str, Any]] = []
        """The errors that reached the loop's exception handler."""
        self.set_exception_handler(lambda _loop, context: self.late.append(context))

    # -- what asyncio asks of a loop

    def time(self) -> float:
        """Virtual seconds."""
        return self._now

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        self._futures_made += 1
        future = _Future(loop=self)
        future.number = self._futures_made
        return future

    def _make_task(
        self, _loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], *, context: Context | None = None
    ) -> asyncio.Task[Any]:
        self._futures_made += 1
        # The task enters itself in a set immediately, but that one is never gone through in order.
        _Task.number = self._futures_made
        task = _Task(work, loop=self, context=context)
        task.number = self._futures_made
        self._tasks.append(task)
        return task

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Handle:
        """Run a callback after those that are ready already."""
        handle = Handle(callback, args, context, self._now)
        self._ready.append(handle)
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Handle:
        """Run a callback when it is that late."""
        handle = Handle(callback, args, context, when)
        self._timers_made += 1
        heapq.heappush(self._timers, (when, self._timers_made, handle))
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> Handle:
        """Run a callback after so many seconds."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        """Turn until the loop is to stop. What asyncio would call for each turn is most of what a turn costs."""
        ready, timers = self._ready, self._timers
        while True:
            if not ready:
                self.looked()
                if self._stopping:  # type: ignore[attr-defined]
                    return
                self._advance()
            # Code takes time too. Without it, a wait for the shortest time would never end.
            self._now += TURN_SECONDS
            for _ in range(len(ready)):
                handle = ready.popleft()
                if not handle.gone:
                    self._run(handle)
            if timers and timers[0][0] <= self._now:
                self._take_due()
            if self._stopping:  # type: ignore[attr-defined]
                return

    def _run(self, handle: Handle) -> None:
        process = handle.context.get(PROCESS)
        if process is not None:
            if process.dead:
                return
            if process.frozen:
                process.held.append(handle)
                return
            process.steps += 1
            if process.steps == process.ends_at_step:
                self.ended(process)
                return
        try:
            handle.context.run(handle.callback, *handle.args)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - as asyncio does it
            self.call_exception_handler({"message": f"in {handle.callback}", "exception": error})

    def _advance(self) -> None:
        timers = self._timers
        while timers and timers[0][2].gone:
            heapq.heappop(timers)
        if not timers:
            raise RuntimeError("nothing is ever going to happen: every task waits for another")
        self._now = max(self._now, timers[0][0])
        self._take_due()

    def _take_due(self) -> None:
        timers, now = self._timers, self._now
        while timers and timers[0][0] <= now:
            handle = heapq.heappop(timers)[2]
            if not handle.gone:
                self._ready.append(handle)

    def _process_events(self, event_list: object) -> None:
        """Nothing: there is no input or output."""

    def _write_to_self(self) -> None:
        """Nothing: there are no threads."""

    def _asyncgen_finalizer_hook(self, agen: object) -> None:
        """Nothing: what was thrown away is not run."""

    def run_forever(self) -> None:
        """Run, with the world outside replaced."""
        with self._replaced():
            super().run_forever()

    # -- processes

    def freeze(self, process: Process, seconds: float) -> None:
        """Hold all callbacks of a process back for so long."""
        process.frozen += 1
        self.later(seconds, lambda: self._thaw(process))

    def _thaw(self, process: Process) -> None:
        process.frozen -= 1
        if not process.frozen:
            self._ready.extend(process.held)
            process.held.clear()

    def kill(self, process: Process) -> None:
        """Run none of its callbacks again. Its coroutines stay where they are, without a `finally`."""
        process.dead = True
        process.held.clear()

    def later(self, seconds: float, action: Callable[[], object]) -> Handle:
        """Do something after so long, outside of all processes."""
        return self.call_at(self._now + seconds, action, context=self.environment)

    def throw_away(self) -> None:
        """End without letting anything go on: every coroutine is closed where it stands, in silence."""
        self._ready.clear()
        self._timers.clear()
        with mock.patch("sys.unraisablehook"), _muted_log(), warnings.catch_warnings(), self._at_hand():
            # What is thrown away may have made a coroutine that it never came to await.
            warnings.simplefilter("ignore", RuntimeWarning)
            for task in self._tasks:
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                # Whatever it raises: its process is gone.
                with contextlib.suppress(BaseException):
                    task.get_coro().close()
            self._tasks.clear()
            self._ready.clear()
            self._timers.clear()
        self.close()

    @contextlib.contextmanager
    def _at_hand(self) -> Iterator[None]:
        """Be the loop that a `finally` asks for: asyncio's own would keep its tasks, and all they know, for ever."""
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    @contextlib.contextmanager
    def _replaced(self) -> Iterator[None]:
        def wall_clock() -> float:
            process = PROCESS.get()
            offset_ms = 0 if process is None else process.clock_offset_ms
            return (EPOCH_MS + offset_ms) / 1000 + self._now

        outside = random.getstate()
        random.setstate(self._random_state)
        replaced = {
            "time": wall_clock,
            "time_ns": lambda: int(wall_clock() * 1_000_000) * 1000,
            "monotonic": self.time,
            "perf_counter": self.time,
        }
        try:
            with mock.patch.multiple(time, **replaced):  # type: ignore[call-overload]
                if self.connect is None:
                    yield
                else:
                    with mock.patch("aiokafka.client.create_conn", self.connect):
                        yield
        finally:
            self._random_state = random.getstate()
            random.setstate(outside)


@contextlib.contextmanager
def _muted_log() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
