"""What falls due with time: orders that leave, ids and adjustments that are forgotten. Contract section 8.

A deadline is a reminder alone: `worker.domain.retention` decides what leaves.

Time here is stream time, the greatest record timestamp read in the partition: a replay of the same records retires the
same orders.
"""

from __future__ import annotations

import heapq
from typing import Literal, NamedTuple

Kind = Literal["order", "retired", "adjustment"]


class Deadline(NamedTuple):
    """Something that may be due at a time in milliseconds; what it really is due at is looked up then.

    `id` is hexadecimal for an adjustment.
    """

    due_at: int
    kind: Kind
    account_id: str
    id: str


class DeadlineHeap:
    """A heap of deadlines. An entry may be out of date: it is a reminder to look, never the truth."""

    def __init__(self) -> None:
        self._heap: list[Deadline] = []

    def add(self, deadline: Deadline) -> None:
        """Remind at `due_at`."""
        heapq.heappush(self._heap, deadline)

    def any_due(self, stream_time_ms: int) -> bool:
        """Whether anything is due."""
        return bool(self._heap) and self._heap[0].due_at <= stream_time_ms

    def due(self, stream_time_ms: int, entries_max: int) -> list[Deadline]:
        """Take what is due, at most `entries_max` of it: the rest is taken with later records."""
        taken: list[Deadline] = []
        while self._heap and len(taken) < entries_max and self._heap[0].due_at <= stream_time_ms:
            taken.append(heapq.heappop(self._heap))
        return taken
