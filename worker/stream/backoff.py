"""How long a partition that failed waits before it starts again. Pure: the task measures, waits and restarts."""

from __future__ import annotations

from typing import Final

from worker.stream.config import EngineConfig
from worker.stream.errors import RestartCause

RUN_MS_LONG: Final = 30_000
"""A task that ran this long did work, even if it had nothing to commit. Its failure is the first of a new series."""
DOUBLINGS_MAX: Final = 10
OWNER_MAY_BE_ANOTHER: Final = (RestartCause.FENCED, RestartCause.LOST, RestartCause.BREACH)
"""After these another worker may own the partition. A restart would fence it, so it waits for the group's decision."""


class Backoff:
    """Counts the failures of one partition since it last committed.

    That a task could begin to read proves nothing, because its next transaction may fail again.
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._failures = 0

    def committed(self) -> None:
        """Begin a new series: a transaction was committed."""
        self._failures = 0

    def wait_ms(self, cause: RestartCause, ran_ms: float) -> int:
        """Count a failure and return the pause after it. `ran_ms` is how long the task was reading, 0 if it was not."""
        if ran_ms > RUN_MS_LONG:
            self._failures = 0
        failures, self._failures = self._failures, self._failures + 1
        if cause in OWNER_MAY_BE_ANOTHER:
            return self._config.fenced_backoff_ms
        return min(self._config.backoff_ms_max, self._config.backoff_ms_min << min(failures, DOUBLINGS_MAX))
