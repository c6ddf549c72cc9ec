"""How soon the survivor of two workers takes over, on an otherwise calm cluster."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from tests.chaos.fleet import Fleet
from tests.chaos.watch import Watch

AFTER_KILL_SECONDS_MAX: Final = 3.0
"""Beyond the session's time-out."""
AFTER_STOP_SECONDS_MAX: Final = 2.0
SECONDS_MAX: Final = 60.0


@dataclass
class TakeOver:
    """Seconds from a signal until the survivor had committed records in each of the other's partitions."""

    signal: signal.Signals
    target_s: float
    seconds: list[float] = field(default_factory=list)

    @property
    def median_s(self) -> float:
        """The median of the seconds."""
        return median(self.seconds)

    @property
    def met(self) -> bool:
        """Whether each take-over was in time."""
        return max(self.seconds) <= self.target_s


async def measure(
    fleet: Fleet, watch: Watch, *, times: int, session_seconds: float, note: Callable[[str], None]
) -> list[TakeOver]:
    """Kill, then stop, each of two workers in turn, `times` in all. The others must not run. Raises TimeoutError."""
    clock = asyncio.get_running_loop().time
    measured = [
        TakeOver(signal.SIGKILL, session_seconds + AFTER_KILL_SECONDS_MAX),
        TakeOver(signal.SIGTERM, AFTER_STOP_SECONDS_MAX),
    ]
    for take_over in measured:
        for number in range(times):
            victim = fleet.slots[number % 2]
            lost = (await fleet.whole())[victim.number]
            await watch.recovered(clock())
            since = clock()
            os.kill(victim.process.pid, take_over.signal)
            async with asyncio.timeout(SECONDS_MAX):
                seconds = await watch.taken_over(lost, since) - since
            await victim.process.exited(SECONDS_MAX)
            take_over.seconds.append(seconds)
            note(f"     take-over after {take_over.signal.name}: {seconds:.1f} s, {len(lost)} partitions")
            victim.start()
    await fleet.whole()
    return measured
