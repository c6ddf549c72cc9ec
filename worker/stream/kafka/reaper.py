"""Ends clients in the background: that may hang for as long as their broker does, and cancelling it leaks them."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

log = logging.getLogger(__name__)


class Stoppable(Protocol):
    """A consumer or a producer."""

    async def stop(self) -> None:
        """End it."""


class Reaper:
    """Holds the clients that are ending."""

    def __init__(self) -> None:
        self._endings: set[asyncio.Task[None]] = set()

    def bury(self, client: Stoppable) -> None:
        """Begin to end a client."""
        ending = asyncio.get_running_loop().create_task(self._end(client), name="end of a client")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def wait(self, seconds_max: float) -> bool:
        """Wait for all endings, but no longer than `seconds_max`; whether all have ended."""
        if self._endings:
            await asyncio.wait(set(self._endings), timeout=max(0.0, seconds_max))
        return not self._endings

    async def _end(self, client: Stoppable) -> None:
        try:
            await client.stop()
        except Exception as error:  # noqa: BLE001 - it is given up, whatever it says
            log.debug("a client ended with an error", extra={"error": repr(error)})
