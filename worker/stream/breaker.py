"""The dead-letter breaker: rather stop a partition than dead-letter a topic. Pure.

Records are counted as they are decided, across batches; the count begins anew whenever the partition starts.
"""

from __future__ import annotations

from collections import deque


class Breaker:
    """Opens when `bad_max` of the last `window` records were bad. `bad_max` 0: never."""

    def __init__(self, bad_max: int, window: int) -> None:
        self._bad_max = bad_max
        self._window = window
        self._seen = 0
        self._bad: deque[int] = deque()

    def open_after(self, *, bad: bool) -> bool:
        """Count a record, and say whether the breaker is open now."""
        self._seen += 1
        if bad:
            self._bad.append(self._seen)
        while self._bad and self._bad[0] <= self._seen - self._window:
            self._bad.popleft()
        return bad and 0 < self._bad_max <= len(self._bad)
