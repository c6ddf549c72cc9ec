"""Waiting in tests that are no coroutines, for what tells nobody that it has come."""

from __future__ import annotations

import time
from collections.abc import Callable

INTERVAL_SECONDS = 0.01


def eventually(condition: Callable[[], bool], seconds_max: float = 10.0) -> bool:
    """Whether the condition comes to hold within so long."""
    deadline = time.monotonic() + seconds_max
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(INTERVAL_SECONDS)
    return True
