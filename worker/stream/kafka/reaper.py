"""Closes clients in the background, because that takes as long as a broker hangs, and cancelling it leaks them."""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

log = logging.getLogger(__name__)


class Stoppable(Protocol):
    """A client of Kafka, such as a consumer or a producer."""

    async def stop(self) -> None:
        """Close the connections. Called once. It may hang, and may raise any error, which is only logged."""


class Reaper:
    """Closes clients, and keeps those that are not closed yet."""

    def __init__(self) -> None:
        self._endings: set[asyncio.Task[None]] = set()

    def close_later(self, client: Stoppable) -> None:
        """Begin to close a client, without waiting for it."""
        ending = asyncio.get_running_loop().create_task(self._end(client), name="closing a client")
        self._endings.add(ending)
        ending.add_done_callback(self._endings.discard)

    async def wait(self, seconds_max: float) -> bool:
        """Wait until all clients are closed, at most `seconds_max`. Return whether they are."""
        if self._endings:
            await asyncio.wait(set(self._endings), timeout=max(0.0, seconds_max))
        return not self._endings

    async def _end(self, client: Stoppable) -> None:
        try:
            await client.stop()
        except Exception as error:  # noqa: BLE001 - the client is given up after any error
            log.debug("closing a client failed", extra={"error": repr(error)})
