"""What a benchmark measured, beside what is asked of it. No target is ever asserted: a machine has its moods."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple

from rich.table import Table
from rich.text import Text


class Bound(Enum):
    """On which side of a target is well."""

    AT_LEAST = "≥"
    AT_MOST = "≤"


class Target(NamedTuple):
    """What is asked, in the unit of its figure."""

    bound: Bound
    value: float

    def met_by(self, measured: float) -> bool:
        """Whether a measured value is as asked."""
        match self.bound:
            case Bound.AT_LEAST:
                return measured >= self.value
            case Bound.AT_MOST:
                return measured <= self.value


class Figure(NamedTuple):
    """One measured value. Without a target it is there to explain the others."""

    name: str
    measured: float
    unit: str
    target: Target | None = None
    note: str = ""
    """How it came about, or what belongs to it."""

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None: there is none."""
        return None if self.target is None else self.target.met_by(self.measured)


def at_least(value: float) -> Target:
    """The more the better."""
    return Target(Bound.AT_LEAST, value)


def at_most(value: float) -> Target:
    """The less the better."""
    return Target(Bound.AT_MOST, value)


def as_table(figures: Sequence[Figure], title: str) -> Table:
    """All figures for people."""
    table = Table(title=title, title_justify="left")
    table.add_column("figure", overflow="fold")
    table.add_column("measured", justify="right", no_wrap=True)
    table.add_column("target", justify="right", no_wrap=True)
    table.add_column("met")
    table.add_column("how", overflow="fold", style="dim")
    for figure in figures:
        target = "" if figure.target is None else f"{figure.target.bound.value} {_number(figure.target.value)}"
        measured = f"{_number(figure.measured)} {figure.unit}"
        table.add_row(figure.name, measured, target, _MET[figure.met], figure.note)
    return table


def as_data(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """All figures for programs."""
    return [
        {
            "figure": figure.name,
            "measured": figure.measured,
            "unit": figure.unit,
            "target": None if figure.target is None else figure.target.value,
            "bound": None if figure.target is None else figure.target.bound.name.lower(),
            "met": figure.met,
            "note": figure.note,
        }
        for figure in figures
    ]


_MET = {None: Text(""), True: Text("yes", style="green"), False: Text("no", style="bold red")}


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
