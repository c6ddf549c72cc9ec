"""Time and randomness, passed in: nothing else in the worker looks at a clock or draws a number.

A test or a simulation replaces them, so a run can be repeated exactly.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field


def wall_clock_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True)
class Clock:
    """Seconds of a clock that never goes back, and milliseconds since the epoch."""

    monotonic: Callable[[], float] = time.monotonic
    now_ms: Callable[[], int] = wall_clock_ms


@dataclass(frozen=True)
class Chance:
    """Randomness. It spreads the retries of many tasks in time."""

    source: random.Random = field(default_factory=random.Random)

    def spread(self, wait_ms: int) -> float:
        """Seconds between a half of `wait_ms` and all of it."""
        return wait_ms * (0.5 + self.source.random() / 2) / 1000

    def token(self) -> str:
        """Draw 32 hexadecimal digits, for a name that nothing else has."""
        return f"{self.source.getrandbits(128):032x}"
