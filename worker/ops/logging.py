"""The log: one JSON object a line for machines, or readable lines on a terminal. It goes to stderr.

Our own messages are structlog events with named fields. Those of the libraries pass through the same renderer, and
are limited in rate: aiokafka repeats a line for every attempt, dozens a second while a broker is away.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import IO, Any, Literal, assert_never

import orjson
import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["auto", "json", "console"]

REPEAT_INTERVAL_S = 10.0
"""A library's message of one kind is logged once in this time."""

KINDS_MAX = 1_000
"""Kinds remembered; some libraries put values into the template, so that each message is a kind of its own."""

_LIBRARIES = ("aiokafka", "faust", "mode", "aiohttp", "asyncio")
_QUIET = ("faust", "mode", "aiohttp")
"""What these tell below a warning is about themselves."""


class RepeatFilter(logging.Filter):
    """Lets a library's message of one kind (logger, level, template) pass once per interval, and counts the others."""

    def __init__(self, *, interval_s: float = REPEAT_INTERVAL_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._clock = clock
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record is to be logged; one that is carries the number held back before it as `held_back`."""
        if record.name.partition(".")[0] not in _LIBRARIES:
            return True
        kind = (record.name, record.levelno, str(record.msg))
        now = self._clock()
        if len(self._kinds) > KINDS_MAX:
            self._kinds.clear()
        last, held_back = self._kinds.get(kind, (-self._interval_s, 0))
        if now - last < self._interval_s:
            self._kinds[kind] = (last, held_back + 1)
            return False
        self._kinds[kind] = (now, 0)
        if held_back:
            record.held_back = held_back
        return True


def _dumps(event: EventDict, **_options: Any) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return orjson.dumps({**first, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _json() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _console(stream: IO[str]) -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False, key="time"),
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            timestamp_key="time",
            # Plain tracebacks: rich ones print the values of local variables, passwords included.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]


def _renderers(log_format: LogFormat, stream: IO[str]) -> list[Processor]:
    match log_format:
        case "json":
            return _json()
        case "console":
            return _console(stream)
        case "auto":
            return _console(stream) if stream.isatty() else _json()
        case _:
            assert_never(log_format)


def configure_logging(log_format: LogFormat, log_level: str, *, stream: IO[str] | None = None) -> None:
    """Send everything that is logged in this process to the stream (stderr) in one format, from this level up."""
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level]
    handler = logging.StreamHandler(stream)
    handler.addFilter(RepeatFilter())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(log_format, stream)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(log_level.upper())
    for library in _QUIET:
        logging.getLogger(library).setLevel(logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
