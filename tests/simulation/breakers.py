"""The dead-letter breakers of all workers, as the contract has them: when each must open, and that nothing follows it.

A partition stops when so many of its last records were bad. They are counted in the order in which one worker decides
them, from where it began to read: a crash, a rebalance and a transaction that failed let the count begin anew, and with
it the records that were not committed come again. A partition that stopped stays so until its process is restarted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation.findings import Kind

BREAKER = "were dead-lettered, so it was stopped"
Find = Callable[[Kind, int, str], None]


@dataclass
class _Count:
    """What a worker decided of a partition since it began to read."""

    last: deque[bool]
    """Of the last records, whether each was bad."""
    is_open: bool = False
    committed: bool = False
    """Whether all that was decided was committed."""
    halted: bool = False


class Breakers:
    """Told of what every worker decides, commits and halts. `find` is told what is wrong."""

    def __init__(self, bad_max: int, window: int, find: Find) -> None:
        self._bad_max = bad_max
        self._window = window
        self._find = find
        self._counts: dict[str, dict[int, _Count]] = {}

    def started(self, worker: str) -> None:
        """A process began: it knows nothing of the one before."""
        self._counts[worker] = {}

    def begun(self, worker: str, partition: int | None = None) -> None:
        """A worker begins to read a partition, or all that it has; what it halted it does not begin."""
        counts = self._counts[worker]
        for number in list(counts) if partition is None else [partition]:
            if number in counts and not counts[number].halted:
                del counts[number]

    def decided(self, worker: str, partition: int, *, bad: bool) -> None:
        """A record was decided."""
        count = self._count(worker, partition)
        if count.halted:
            self._find(Kind.BREAKER, partition, f"{worker} goes on with a partition that it halted")
        elif count.is_open:
            self._find(
                Kind.BREAKER, partition, f"{worker} goes on, {self._bad_max} of the last were bad: {_told(count)}"
            )
        count.last.append(bad)
        count.committed = False
        count.is_open = 0 < self._bad_max <= sum(count.last)

    def committed(self, worker: str, partition: int) -> None:
        """All that was decided was committed."""
        self._count(worker, partition).committed = True

    def halted(self, worker: str, partition: int, reason: str) -> None:
        """A partition was halted, by its breaker or by something else."""
        count = self._count(worker, partition)
        count.halted = True
        if BREAKER in reason and not (count.is_open and count.committed):
            self._find(Kind.BREAKER, partition, f"{worker} halted, and the last records were: {_told(count)}")

    def check_all(self) -> None:
        """The run has ended: who must have halted has."""
        for worker, counts in self._counts.items():
            for partition, count in counts.items():
                if count.is_open and count.committed and not count.halted:
                    self._find(
                        Kind.BREAKER, partition, f"{worker} has not halted, and the last records were: {_told(count)}"
                    )

    def _count(self, worker: str, partition: int) -> _Count:
        counts = self._counts[worker]
        if partition not in counts:
            counts[partition] = _Count(deque(maxlen=self._window))
        return counts[partition]


def _told(count: _Count) -> str:
    return ", ".join("bad" if bad else "good" for bad in count.last)
