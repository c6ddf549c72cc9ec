"""Tells the log how the worker is getting on: whether it is ready, its rate while it is busy, and what it refused."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from worker.ops.health import is_ready
from worker.stream.status import EngineStatus, PartitionState

INTERVAL_SECONDS = 10.0
"""Rate and dead letters are told so often, unless nothing happened."""
REMINDER_SECONDS = 60.0
"""What keeps a worker from being ready is told again so often, and sooner where it has changed."""

log = structlog.get_logger("worker.progress")


class Progress:
    """Compares the worker with what was told last, each time it is asked to."""

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
        self._started_at = self._told_at = monotonic()
        self._told_records = 0
        self._told_dead: Mapping[str, int] = {}
        self._told_dead_at = -INTERVAL_SECONDS
        self._ready = False
        self._obstacle: object = None
        self._told_obstacle_at = -REMINDER_SECONDS

    def tell(self) -> None:
        """Log what changed; call it about once a second."""
        status = self._status()
        self._tell_readiness(status)
        self._tell_dead_letters()
        self._tell_rate(status)

    def _tell_readiness(self, status: EngineStatus | None) -> None:
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
        if not was_ready and (not has_reason or now - self._told_obstacle_at < quiet_seconds):
            return
        self._obstacle, self._told_obstacle_at = obstacle, now
        reasons = {number: partition.reason or partition.state.value for number, partition in waiting.items()}
        self._log.warning("not ready", problem=problem, partitions=reasons)

    def _tell_dead_letters(self) -> None:
        now = self._monotonic()
        if now - self._told_dead_at < INTERVAL_SECONDS:
            return
        new = Counter(self._dead_lettered()) - Counter(self._told_dead)
        if new:
            self._log.warning("dead-lettered", codes=dict(new), see="stockfreeze dead-letters list")
            self._told_dead, self._told_dead_at = dict(self._dead_lettered()), now

    def _tell_rate(self, status: EngineStatus | None) -> None:
        now = self._monotonic()
        if now - self._told_at < INTERVAL_SECONDS:
            return
        records = self._records_committed()
        if records > self._told_records:
            partitions = [] if status is None else list(status.partitions.values())
            self._log.info(
                "progress",
                records_per_second=round((records - self._told_records) / (now - self._told_at)),
                records_since_start=records,
                lag_records=sum(sum(partition.lag.values()) for partition in partitions),
                partitions=len(partitions),
            )
        self._told_at, self._told_records = now, records
