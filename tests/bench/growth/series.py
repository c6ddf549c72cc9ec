"""A cost measured at several sizes, and the slope at which it grows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import msgspec

FLAT_MAX: Final = 0.15
"""A greater exponent is growth: a cost that caches and a larger heap explain stays below it."""


class Point(msgspec.Struct, frozen=True):
    """One size and what it cost."""

    size: int
    us_per_event: float
    events_per_s: float | None = None
    """Where a broker took part."""


class Series(msgspec.Struct, frozen=True):
    """How a cost follows a size."""

    name: str
    size: str
    """What the size is of."""
    touched: str
    """What an event touches: its cost may grow as this does. "nothing more": not at all."""
    points: list[Point]
    note: str = ""

    @property
    def slope(self) -> float:
        """The exponent k of cost ~ size^k, by least squares over the logarithms of the upper half of the sizes.

        The lower half is left out: there what every event costs hides what it costs more.
        """
        upper = self.points[len(self.points) // 2 - (len(self.points) <= 3) :]
        return exponent([point.size for point in upper], [point.us_per_event for point in upper])

    @property
    def allowed(self) -> float:
        """The greatest slope that is no finding."""
        return FLAT_MAX + (0.0 if self.touched == NOTHING_MORE else 1.0)

    @property
    def verdict(self) -> str:
        """The slope, named."""
        slope = self.slope
        if slope > self.allowed:
            return f"GROWS: cost ~ size^{slope:.2f}"
        if slope > FLAT_MAX:
            return f"with what it touches: cost ~ size^{slope:.2f}"
        return f"flat: cost ~ size^{slope:.2f}" if slope > -FLAT_MAX else f"falls: cost ~ size^{slope:.2f}"


NOTHING_MORE: Final = "nothing more"


class Stretch(msgspec.Struct, frozen=True):
    """The longest that one thing keeps all other partitions of a worker waiting."""

    name: str
    step: str
    cpu_ms: float
    records: int


class Findings(msgspec.Struct):
    """All that was measured."""

    machine: str
    series: list[Series]
    stretches: list[Stretch]


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """k of cost ~ size^k. Needs two different sizes."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - mean_x) ** 2 for x in xs)
    return sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True)) / spread
