"""The log: one JSON object a line for machines, readable lines for people, libraries included, and no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import structlog

from worker.ops.logging import configure_logging

LIBRARIES = ("aiohttp", "aiohttp.access", "aiokafka", "faust", "mode")


@pytest.fixture(autouse=True)
def _logging_of_this_test_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever other tests, and the libraries that they started, did to the loggers; and the way back."""
    root = logging.getLogger()
    loggers = [logging.getLogger(name) for name in LIBRARIES]
    handlers, levels = root.handlers[:], [logger.level for logger in (root, *loggers)]
    for logger in loggers:
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "propagate", True)
        monkeypatch.setattr(logger, "filters", [])
    yield
    root.handlers[:] = handlers
    for logger, level in zip((root, *loggers), levels, strict=True):
        logger.setLevel(level)
    structlog.reset_defaults()


def log_in(password: str) -> None:
    raise LookupError(len(password))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_json_log_has_one_object_a_line_with_the_fields_of_the_message() -> None:
    stream = io.StringIO()
    configure_logging("json", "info", stream=stream)
    structlog.get_logger("worker.test").info("first", partition=3)
    logging.getLogger("worker.stream").warning("second %s", "time", extra={"partition": 4})
    first, second = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert (first["event"], first["partition"], first["level"], first["logger"]) == ("first", 3, "info", "worker.test")
    assert (second["event"], second["partition"], second["level"]) == ("second time", 4, "warning")
    assert first["time"].endswith("Z")


def test_what_is_below_the_level_is_not_logged() -> None:
    stream = io.StringIO()
    configure_logging("json", "warning", stream=stream)
    structlog.get_logger("worker.test").info("quiet")
    logging.getLogger("worker.test").info("quiet")
    assert stream.getvalue() == ""


def test_libraries_are_heard_from_a_warning_up() -> None:
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    for library in ("aiokafka", "faust", "mode", "aiohttp.access"):
        logging.getLogger(library).info("about itself")
        logging.getLogger(library).warning("trouble")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["trouble"] * 4


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_is_logged_without_the_values_of_its_variables(log_format: str) -> None:
    stream = io.StringIO()
    configure_logging("json" if log_format == "json" else "console", "info", stream=stream)
    try:
        log_in("hunter" + str(2))
    except LookupError:
        structlog.get_logger("worker.test").exception("broken")
    assert "LookupError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()


def test_a_readable_line_begins_with_date_time_and_zone() -> None:
    stream = io.StringIO()
    configure_logging("console", "info", stream=stream)
    structlog.get_logger("worker.test").info("told")
    written_at = datetime.strptime(stream.getvalue()[:24], "%Y-%m-%d %H:%M:%S%z")
    assert abs(datetime.now(UTC) - written_at) < timedelta(minutes=10)


def test_auto_is_readable_on_a_terminal_and_json_elsewhere() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    configure_logging("auto", "info", stream=terminal)
    structlog.get_logger("worker.test").info("told", partition=3)
    configure_logging("auto", "info", stream=pipe)
    structlog.get_logger("worker.test").info("told", partition=3)
    assert not terminal.getvalue().startswith("{")
    assert "told" in terminal.getvalue()
    assert json.loads(pipe.getvalue())["partition"] == 3
