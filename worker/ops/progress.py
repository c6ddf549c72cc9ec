"""Tells the log how the worker is getting on: when it becomes ready or ceases to be, and its rate while it is busy."""

from __future__ import annotations

import time
from collections.abc import Callable

import structlog

from worker.ops.health import is_ready
from worker.stream.status import EngineStatus, PartitionState

INTERVAL_S = 10.0
"""The rate is told so often, unless nothing happened."""

log = structlog.get_logger("worker.progress")


class Progress:
    """Compares the worker with what was told last, each time it is asked to."""

    def __init__(
        self,
        status: Callable[[], EngineStatus | None],
        records_committed: Callable[[], int],
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask these, and count time from now on."""
        self._status = status
        self._records_committed = records_committed
        self._monotonic = monotonic
        self._started_at = self._told_at = monotonic()
        self._told_records = 0
        self._ready = False

    def tell(self) -> None:
        """Log what changed; call it about once a second."""
        status = self._status()
        self._tell_readiness(status)
        self._tell_rate(status)

    def _tell_readiness(self, status: EngineStatus | None) -> None:
        ready = is_ready(status)
        if ready == self._ready:
            return
        self._ready = ready
        partitions = {} if status is None else status.partitions
        if ready:
            seconds = round(self._monotonic() - self._started_at, 1)
            log.info("ready", partitions=sorted(partitions), seconds_since_start=seconds)
        else:
            waiting = {
                number: partition.reason or partition.state.value
                for number, partition in partitions.items()
                if partition.state is not PartitionState.RUNNING
            }
            log.warning("not ready", problem=None if status is None else status.problem, partitions=waiting)

    def _tell_rate(self, status: EngineStatus | None) -> None:
        now = self._monotonic()
        if now - self._told_at < INTERVAL_S:
            return
        records = self._records_committed()
        if records > self._told_records:
            partitions = [] if status is None else list(status.partitions.values())
            log.info(
                "progress",
                records_per_second=round((records - self._told_records) / (now - self._told_at)),
                records_since_start=records,
                lag_records=sum(sum(partition.lag.values()) for partition in partitions),
                partitions=len(partitions),
            )
        self._told_at, self._told_records = now, records
