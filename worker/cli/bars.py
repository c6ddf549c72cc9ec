"""Progress bars on stderr, for commands that read or send for long. Without a terminal there are none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """A bar of offsets or events, in a `with` block. It appears with the first progress that is not the last.

    So a command that is done immediately shows none, and need not wait until rich's bars are imported.
    """

    def __init__(self, unit: str) -> None:
        self._unit = unit
        self._is_shown = sys.stderr.isatty()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, description: str, completed: int, total: int) -> None:
        """Show that `completed` of `total` are done."""
        if not self._is_shown or (self._progress is None and completed >= total):
            return
        if self._progress is None or self._task is None:
            self._progress = _new_progress(self._unit)
            self._task = self._progress.add_task(description, total=total, completed=completed)
            self._progress.start()
        self._progress.update(self._task, description=description, total=total, completed=completed)


class ReadingBar(Bar):
    """A bar for one read of a partition after the other."""

    def __init__(self) -> None:
        super().__init__("offsets")

    def __call__(self, topic: str, partition: int, start: int, position: int, end: int) -> None:
        """Show how far the read of a partition is."""
        self.show(f"{topic}/{partition}", position - start, end - start)


class CountingBar(Bar):
    """A bar over a number that is known beforehand."""

    def __init__(self, description: str, unit: str, total: int) -> None:
        super().__init__(unit)
        self._description = description
        self._total = total
        self._done = 0

    def advance(self, count: int) -> None:
        """Show that so many more are done, never more than all."""
        self._done = min(self._total, self._done + count)
        self.show(self._description, self._done, self._total)


def _new_progress(unit: str) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=Console(stderr=True), transient=True)
