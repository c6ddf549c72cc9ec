"""The calendar on which the demo's events happen, and the events before they are encoded."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import NamedTuple

from schemas.topics import Topic
from worker.demo.shelves import Shelves

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


class PlannedEvent(NamedTuple):
    """An input event before it is encoded, and when it happened (Unix milliseconds)."""

    topic: Topic
    account_id: str
    value: dict[str, object]
    occurred_at_ms: int


class Calendar:
    """Runs steps in the order of their times, and collects their events. Steps after `until_ms` never happen."""

    def __init__(self, seed: int, until_ms: int, shelves: Shelves, default_warehouse: str) -> None:
        self.seed = seed
        self.until_ms = until_ms
        self.shelves = shelves
        self.default_warehouse = default_warehouse
        self.events: list[PlannedEvent] = []
        self._steps: list[tuple[int, int, int, Callable[[int], None]]] = []
        self._number = 0

    def at(self, time_ms: int, step: Callable[[int], None], *, after_others: bool = False) -> None:
        """Have `step(time_ms)` run at its time; `after_others`: after all other steps of that millisecond."""
        self._number += 1
        if time_ms <= self.until_ms:
            heapq.heappush(self._steps, (time_ms, int(after_others), self._number, step))

    def run(self) -> None:
        """Let everything happen."""
        while self._steps:
            time_ms, _, _, step = heapq.heappop(self._steps)
            step(time_ms)

    def emit(self, topic: Topic, kind: str, account_id: str, event_id: str, time_ms: int, **fields: object) -> None:
        """Add an event; fields that are None are left out."""
        common = {
            "type": kind,
            "event_id": event_id,
            "account_id": account_id,
            "occurred_at": rfc3339(time_ms),
            "source": "shop",
        }
        given = {name: value for name, value in fields.items() if value is not None}
        self.events.append(PlannedEvent(topic, account_id, common | given, time_ms))


def rfc3339(time_ms: int) -> str:
    """Unix milliseconds as the events write times."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def seeded(name: str) -> Random:
    """Return random numbers that are the same for the same name, so that a story can be repeated."""
    return Random(name)  # noqa: S311 - not for cryptography
