"""The log of aiokafka, and of what replaces it or is called by it: thinned out, and explained by its last error.

In an outage aiokafka logs four lines for every attempt, and none of them names the problem as clearly as the engine's
own sentence. So all its complaints together may write one line an interval, and none while the engine has just written
such a sentence. aiokafka's errors also leave out what it only logs, such as a password that was refused during the
bootstrap. So the last logged error is remembered for that sentence.

aiokafka's loggers belong to the process, which may host several engines. So one filter listens to them. It knows the
engine of a line by a context variable: a task inherits it from the task that started it, and so does every callback of
a connection. A line outside of all engines (the pages ask Kafka, too) is thinned out and explains nothing.

The filter also drops asyncio's complaints about futures that a failed client leaves behind, because the engine meets
the same error where it called the client.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Final
from weakref import WeakSet

from aiokafka.errors import KafkaError

ASYNCIO: Final = "asyncio"
EXPLAINED_INTERVALS: Final = 2
"""How long a sentence of the engine replaces the client's lines, in intervals: it is repeated after about one."""
AIOKAFKA: Final = "aiokafka"
CLIENT_LOGGERS = (
    "aiokafka",
    "aiokafka.admin.client",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "worker.stream.kafka.assignor",
    "worker.stream.kafka.producer",
)
RAISED_TOO: Final = frozenset({'Unable connect to "%s:%s": %s'})
"""Lines of aiokafka before it raises an error for the same: its caller logs that one."""
ONCE: Final = frozenset({"Sending username and password in the clear"})
"""Lines that every connection repeats."""


class RateLimit:
    """Lets each key pass once per interval, and counts how often it was held back since."""

    def __init__(self, interval_ms: int, monotonic: Callable[[], float]) -> None:
        self._interval_seconds = interval_ms / 1000
        self._monotonic = monotonic
        self._seen: dict[object, tuple[float, int]] = {}

    def passes(self, key: object) -> int | None:
        """How many times `key` was held back since it last passed; None: it is held back now."""
        now = self._monotonic()
        passed_at, held_back = self._seen.get(key, (float("-inf"), 0))
        if now - passed_at < self._interval_seconds:
            self._seen[key] = (passed_at, held_back + 1)
            return None
        self._seen[key] = (now, 0)
        return held_back


class ClientLog:
    """The client's lines of one engine: limits its warnings and errors, and remembers the last error it named.

    `engine` is what log lines call the engine; an empty one is left out of them.
    """

    def __init__(self, interval_ms: int, monotonic: Callable[[], float], *, engine: str = "") -> None:
        self.engine = engine
        self._monotonic = monotonic
        self._limit = RateLimit(interval_ms, monotonic)
        self._explained_until = float("-inf")
        self._explained_seconds = EXPLAINED_INTERVALS * interval_ms / 1000
        self._said: set[str] = set()
        self._last: tuple[float, BaseException] | None = None

    def install(self) -> None:
        """Listen to the lines of this task, and of all tasks that it starts from now on."""
        _PROCESS.add(self)
        _CURRENT.set(self)

    def remove(self) -> None:
        """Listen no more. With the last engine, the loggers become as they were."""
        _CURRENT.set(None)
        _PROCESS.discard(self)

    def passes(self, record: logging.LogRecord, *, is_own: bool) -> bool:
        """Whether the line is written. One that is not the engine's own explains nothing of it."""
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if is_own and isinstance(argument, BaseException):
                self._last = (self._monotonic(), argument)
        if record.exc_info and isinstance(record.exc_info[1], KafkaError | OSError):
            record.exc_info = None  # the line names the error, and its trace leads through the client alone
        if record.levelno < logging.WARNING:
            return True
        return self._complaint_passes(record)

    def explained(self) -> None:
        """The engine has logged what keeps it from its work: the client's complaints add nothing to it for a while."""
        self._explained_until = self._monotonic() + self._explained_seconds

    def _complaint_passes(self, record: logging.LogRecord) -> bool:
        if record.msg in RAISED_TOO:
            return False
        if record.msg in ONCE:
            is_first = record.msg not in self._said
            self._said.add(record.msg)
            return is_first
        if not _is_aiokafka(record.name):
            return self._passes(record, (record.name, record.msg), "times before")
        if self._monotonic() < self._explained_until:
            return False
        return self._passes(record, AIOKAFKA, "more lines of the client before")

    def _passes(self, record: logging.LogRecord, key: object, held_back_are: str) -> bool:
        held_back = self._limit.passes(key)
        if held_back:
            record.msg = f"{record.msg} (and {held_back} {held_back_are})"
        return held_back is not None

    def last_error(self, seconds_max: float) -> BaseException | None:
        """The last error the client logged, if it is not older than `seconds_max`."""
        if self._last is None or self._monotonic() - self._last[0] > seconds_max:
            return None
        return self._last[1]


class _ProcessFilter(logging.Filter):
    """The one filter of the process. It asks the engine of each line.

    Engines are held weakly: one that was thrown away without its end (a simulated crash) must not stay for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._logs: WeakSet[ClientLog] = WeakSet()

    def add(self, log: ClientLog) -> None:
        """Have the lines of an engine asked for."""
        self._logs.add(log)
        for name in (*CLIENT_LOGGERS, ASYNCIO):
            logging.getLogger(name).addFilter(self)

    def discard(self, log: ClientLog) -> None:
        """The engine has ended."""
        self._logs.discard(log)
        if not self._logs:
            for name in (*CLIENT_LOGGERS, ASYNCIO):
                logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name == ASYNCIO:
            # Where there is no exception, the loop passes False.
            return not record.exc_info or not isinstance(record.exc_info[1], KafkaError)
        own = _CURRENT.get()
        if own is not None:
            return own.passes(record, is_own=True)
        other = next(iter(self._logs), None)
        return other is None or other.passes(record, is_own=False)


_CURRENT: ContextVar[ClientLog | None] = ContextVar("client_log", default=None)
"""Of the engine whose task this is."""
_PROCESS: Final = _ProcessFilter()


def current_engine() -> str | None:
    """The name of the engine whose task this is; None: of none, or of one without a name."""
    log = _CURRENT.get()
    return None if log is None else log.engine or None


def _is_aiokafka(logger: str) -> bool:
    return logger == AIOKAFKA or logger.startswith(f"{AIOKAFKA}.")
