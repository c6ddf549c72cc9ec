"""The log: one JSON object a line for machines, or readable lines on a terminal. It goes to stderr.

Our own messages and those of the libraries pass through the same renderer; what a message is about stands in named
fields (structlog's, or `extra` of the standard library's loggers). A line of an engine has its role.
"""

from __future__ import annotations

import logging
import sys
from typing import IO, Literal, assert_never

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from worker.stream.kafka.client_log import current_engine

LogFormat = Literal["auto", "json", "console"]

_QUIET = ("aiohttp", "aiokafka", "faust", "mode")
"""What these libraries log below a warning is about themselves."""


def configure_logging(log_format: LogFormat, log_level: str, *, stream: IO[str] | None = None) -> None:
    """Send everything that is logged in this process to the stream (stderr) in one format, from this level up."""
    stream = sys.stderr if stream is None else stream
    shared: list[Processor] = [structlog.stdlib.add_logger_name, structlog.stdlib.add_log_level, _add_role]
    handler = logging.StreamHandler(stream)
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
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _add_role(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Name the role whose engine logs, because a process may have several."""
    role = current_engine()
    if role is not None:
        event.setdefault("role", role)
    return event


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


def _json() -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(serializer=_dumps),
    ]


def _dumps(event: EventDict, **_options: object) -> str:
    first = {key: event.pop(key) for key in ("time", "level", "event") if key in event}
    return orjson.dumps({**first, **event}, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _console(stream: IO[str]) -> list[Processor]:
    return [
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S%z", utc=False, key="time"),
        structlog.dev.ConsoleRenderer(
            colors=stream.isatty(),
            timestamp_key="time",
            # Plain tracebacks: rich ones print the values of local variables, passwords included.
            exception_formatter=structlog.dev.plain_traceback,
        ),
    ]
