"""Progress bars on stderr."""

from __future__ import annotations

import io
import re
import sys

import pytest

from worker.cli.bars import CountingBar, ReadingBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.getvalue())


def terminal_on_stderr(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Called by the test itself, as pytest puts its own stderr in place after the fixtures."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return terminal


def test_a_read_that_takes_long_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with ReadingBar() as bar:
        bar("orders.events.v1", 3, 100, 150, 300)
        bar("orders.events.v1", 3, 100, 300, 300)
    written = terminal.text
    assert "orders.events.v1/3" in written
    assert "200/200 offsets" in written


def test_a_read_that_is_done_at_once_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with ReadingBar() as bar:
        bar("orders.events.v1", 3, 100, 300, 300)
    assert terminal.getvalue() == ""


def test_what_is_counted_twice_does_not_go_beyond_all(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_on_stderr(monkeypatch)
    with CountingBar("verify", "offsets", 10) as bar:
        bar.advance(6)
        bar.advance(6)
    assert "10/10 offsets" in terminal.text


def test_without_a_terminal_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    with CountingBar("send", "events", 10) as bar:
        bar.advance(1)
    assert capsys.readouterr() == ("", "")
