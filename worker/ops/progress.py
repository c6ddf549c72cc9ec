"""Logs how a role gets on: whether it is ready, its rate while it is busy, and what it refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from worker.ops.health import is_ready
from worker.stream.status import EngineStatus, PartitionState

INTERVAL_SECONDS = 10.0
"""Rate and dead letters are logged so often, unless nothing happened."""
REMINDER_SECONDS = 60.0
"""What keeps a role from being ready is logged again so often, and sooner where it has changed."""

log = structlog.get_logger("worker.progress")


class Progress:
    """Compares a role with what was logged last, each time it is asked to."""

    def __init__(
        self,
        status: Callable[[], EngineStatus | None],
        records_committed: Callable[[], int],
        dead_lettered: Callable[[], Mapping[str, int]],
        *,
        role: str,
        monotonic: Callable[[], float],
    ) -> None:
        """Ask these of a role, the last one by code, and count time from now on."""
        self._status = status
        self._records_committed = records_committed
        self._dead_lettered = dead_lettered
        self._monotonic = monotonic
        self._log = log.bind(role=role)
        self._started_at = self._rate_logged_at = monotonic()
        self._records_logged = 0
        self._dead_logged: Mapping[str, int] = {}
        self._dead_logged_at = -INTERVAL_SECONDS
        self._ready = False
        self._obstacle: object = None
        self._obstacle_logged_at = -REMINDER_SECONDS

    def log_changes(self) -> None:
        """Log what changed; call it about once a second."""
        status = self._status()
        self._log_readiness(status)
        self._log_dead_letters()
        self._log_rate(status)

    def _log_readiness(self, status: EngineStatus | None) -> None:
        was_ready, self._ready = self._ready, is_ready(status)
        partitions = {} if status is None else status.partitions
        if self._ready:
            if not was_ready:
                seconds = round(self._monotonic() - self._started_at, 1)
                self._log.info("ready", partitions=sorted(partitions), seconds_since_start=seconds)
            self._obstacle = None
            return
        problem = None if status is None else status.problem
        waiting = {
            number: partition
            for number, partition in partitions.items()
            if partition.state is not PartitionState.RUNNING
        }
        # Reasons count the seconds.
        obstacle = re.sub(r"\d+", "", problem or ""), {number: one.state for number, one in waiting.items()}
        now = self._monotonic()
        quiet_seconds = REMINDER_SECONDS if obstacle == self._obstacle else INTERVAL_SECONDS
        has_reason = problem is not None or any(one.reason for one in waiting.values())
        if not was_ready and (not has_reason or now - self._obstacle_logged_at < quiet_seconds):
            return
        self._obstacle, self._obstacle_logged_at = obstacle, now
        reasons = {number: partition.reason or partition.state.value for number, partition in waiting.items()}
        self._log.warning("not ready", problem=problem, partitions=reasons)

    def _log_dead_letters(self) -> None:
        now = self._monotonic()
        if now - self._dead_logged_at < INTERVAL_SECONDS:
            return
        new = Counter(self._dead_lettered()) - Counter(self._dead_logged)
        if new:
            self._log.warning("dead-lettered", codes=dict(new), see="stockfreeze dead-letters list")
            self._dead_logged, self._dead_logged_at = dict(self._dead_lettered()), now

    def _log_rate(self, status: EngineStatus | None) -> None:
        now = self._monotonic()
        if now - self._rate_logged_at < INTERVAL_SECONDS:
            return
        records = self._records_committed()
        if records > self._records_logged:
            partitions = [] if status is None else list(status.partitions.values())
            self._log.info(
                "progress",
                records_per_second=round((records - self._records_logged) / (now - self._rate_logged_at)),
                records_since_start=records,
                lag_records=sum(sum(partition.lag.values()) for partition in partitions),
                partitions=len(partitions),
            )
        self._rate_logged_at, self._records_logged = now, records
