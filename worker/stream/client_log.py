"""The log of aiokafka, and of what is in its place or called by it: thinned out, and listened to.

In an outage they repeat a line for every attempt. And aiokafka's errors leave out what it only logs, such as that a
password was refused when it bootstraps. One filter does both. It also drops what asyncio complains of in the client's
place: a client that fails leaves futures that only it knew of, and what failed is told by what was asked of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from aiokafka.errors import KafkaError

ASYNCIO: Final = "asyncio"
CLIENT_LOGGERS = (
    "aiokafka",
    "aiokafka.admin.client",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
    "worker.stream.assignor",
    "worker.stream.producer",
)


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
            return record.exc_info is None or not isinstance(record.exc_info[1], KafkaError)
        arguments = record.args if isinstance(record.args, tuple) else ()
        for argument in arguments:
            if isinstance(argument, BaseException):
                self._last = (self._monotonic(), argument)
        if record.levelno < logging.WARNING:
            return True
        held_back = self._limit.passes((record.name, record.msg))
        if held_back:
            record.msg = f"{record.msg} (and {held_back} times before)"
        return held_back is not None

    def last_error(self, seconds_max: float) -> BaseException | None:
        """The last error the client logged, if it is not older than `seconds_max`."""
        if self._last is None or self._monotonic() - self._last[0] > seconds_max:
            return None
        return self._last[1]
