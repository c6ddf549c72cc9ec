"""The log of aiokafka, and of what is in its place or called by it: thinned out, and listened to.

In an outage aiokafka logs four lines for every attempt, of which none says what is wrong as clearly as the engine's own
sentence does. So all of its complaints together may write one line an interval, and none while the engine has just
written such a sentence. And aiokafka's errors leave out what it only logs, such as that a password was refused when it
bootstraps: so the last one is remembered for that sentence. One filter does both. It also drops what asyncio complains
of in the client's place: a client that fails leaves futures that only it knew of, and what failed is told by what was
asked of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from aiokafka.errors import KafkaError

ASYNCIO: Final = "asyncio"
EXPLAINED_INTERVALS: Final = 2
"""How long a sentence of the engine speaks for the client, in intervals: it comes again after about one."""
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
"""Lines of aiokafka before it raises an error for the same: that one is logged by who gets it."""
ONCE: Final = frozenset({"Sending username and password in the clear"})
"""Lines that say the same of every connection."""


class RateLimit:
    """Lets each key pass once per interval, and tells how often it was held back since."""

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


class ClientLog(logging.Filter):
    """Rate-limits the client's warnings and errors, and remembers the last error it spoke of."""

    def __init__(self, interval_ms: int, monotonic: Callable[[], float]) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._limit = RateLimit(interval_ms, monotonic)
        self._explained_until = float("-inf")
        self._explained_seconds = EXPLAINED_INTERVALS * interval_ms / 1000
        self._said: set[str] = set()
        self._last: tuple[float, BaseException] | None = None

    def install(self) -> None:
        """Listen to the loggers of aiokafka, and to asyncio's."""
        for name in (*CLIENT_LOGGERS, ASYNCIO):
            logging.getLogger(name).addFilter(self)

    def remove(self) -> None:
        """Leave the loggers as they were."""
        for name in (*CLIENT_LOGGERS, ASYNCIO):
            logging.getLogger(name).removeFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name == ASYNCIO:
            # Where there is no exception, the loop says False.
            return not record.exc_info or not isinstance(record.exc_info[1], KafkaError)
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, BaseException):
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


def _is_aiokafka(logger: str) -> bool:
    return logger == AIOKAFKA or logger.startswith(f"{AIOKAFKA}.")
