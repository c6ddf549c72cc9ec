"""Reading the lines of a file twice: to check all of them, and to send them."""

from __future__ import annotations

import shutil
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO

import click

from schemas.topics import Topic
from worker.administration.sending import BadLine, Checking

BAD_SHOWN = 20
SPOOLED_BYTES_MAX = 64 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that cannot be sent, by its number from 1, and why not."""

    line: int
    reason: str


@dataclass(slots=True)
class Checked:
    """The result of checking a file: the times of its events by topic, and its bad lines.

    Of these the first `BAD_SHOWN` are kept. `old`: events that the worker refuses unless it knows their orders.
    """

    times_ms: dict[Topic, array[int]] = field(default_factory=dict)
    bad: list[LineProblem] = field(default_factory=list)
    bad_count: int = 0
    old: int = 0

    @property
    def count(self) -> int:
        """Count the events."""
        return sum(map(len, self.times_ms.values()))


@contextmanager
def opened(path: str) -> Iterator[IO[bytes]]:
    """Open a file that can be read from its beginning several times; a stream is copied first."""
    with click.open_file(path, "rb") as stream:
        if path != "-" and stream.seekable():
            yield stream
            return
        with tempfile.SpooledTemporaryFile(max_size=SPOOLED_BYTES_MAX) as kept:
            shutil.copyfileobj(stream, kept)
            yield kept


def lines_of(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Read the lines of a file that are not empty, each with its number from 1."""
    file.seek(0)
    for number, line in enumerate(file, start=1):
        value = (line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line).strip()
        if value:
            yield number, value


def check(file: IO[bytes], checking: Checking) -> Checked:
    """Check every line."""
    checked = Checked()
    for number, value in lines_of(file):
        try:
            line = checking.check(value)
        except BadLine as why:
            checked.bad_count += 1
            if len(checked.bad) < BAD_SHOWN:
                checked.bad.append(LineProblem(number, str(why)))
            continue
        checked.times_ms.setdefault(line.topic, array("q")).append(line.occurred_ms)
        checked.old += checking.is_old(line)
    return checked
