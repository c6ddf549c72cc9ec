"""Long work of a processor in steps, so that one partition does not block the event loop for all others."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from worker.clock import Clock


async def take_steps(steps: Iterator[None], clock: Clock, slice_ms: int) -> None:
    """Take all steps, and let other tasks run after each `slice_ms`. Raises what a step raises."""
    monotonic, slice_seconds = clock.monotonic, slice_ms / 1000
    yield_at = monotonic() + slice_seconds
    for _ in steps:
        if monotonic() >= yield_at:
            await asyncio.sleep(0)
            yield_at = monotonic() + slice_seconds
