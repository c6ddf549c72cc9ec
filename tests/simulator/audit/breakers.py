"""The dead-letter breakers of all workers, as the contract has them: when each must open, and that nothing follows it.

A partition stops when so many of its last records were bad, unless nine tenths of these are of one account and the
partition knows others: then that account floods, which is reported once. They are counted in the order in which one
worker decides them, from where it began to read: a crash, a rebalance and a transaction that failed let the count begin
anew, and with it the records that were not committed come again. A partition that stopped stays so until its process is
restarted.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from tests.model import reading
from tests.simulator.audit.findings import Kind
from worker.stream.records import InputRecord

BREAKER = "were dead-lettered, so it was stopped"
RETRY = "(a retry)"
"""The party of a record that was refused before, and counts for nobody."""
NOBODY = "(nobody)"
"""The party of a record from which no account can be read."""
Find = Callable[[Kind, int, str], None]


class Floods(NamedTuple):
    """What a record begins and ends: accounts."""

    began: str | None = None
    ceased: tuple[str, ...] = ()


def party_of(record: InputRecord, prefix: str) -> str:
    """Whom a record counts for, if it is bad."""
    named = next(((value or b"").decode(errors="replace") for name, value in record.headers if name == "replay-of"), "")
    topics = "|".join(re.escape(prefix + topic) for topic in reading.TYPES)
    if re.fullmatch(rf"({topics})/{record.partition}/(0|[1-9][0-9]{{0,18}})", named):
        return RETRY
    try:
        account_id = reading.parse(record.value).get("account_id")
    except reading.Refusal:
        account_id = None
    if reading.is_id(account_id):
        return str(account_id)
    try:
        key = (record.key or b"").decode()
    except UnicodeDecodeError:
        return NOBODY
    return key if reading.is_id(key) else NOBODY


@dataclass
class _Count:
    """What a worker decided of a partition since it began to read."""

    last: deque[str | None]
    """Of the last records, the party of each that was bad."""
    flooding: set[str]
    is_open: bool = False
    committed: bool = False
    """Whether all that was decided was committed."""
    halted: bool = False


class Breakers:
    """Follows what every worker decides, commits and halts. Calls `find` with what is wrong."""

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

    def decided(
        self,
        worker: str,
        partition: int,
        *,
        bad: bool,
        party: str = NOBODY,
        is_home: Callable[[str], bool] = lambda _: True,
        known: Callable[[], Collection[str]] = lambda: (),
        flooding: Callable[[], Collection[str]] = lambda: (),
    ) -> Floods:
        """A record was decided.

        `known`: the accounts that the partition knows. `flooding`: those that the state has, read when a
        count begins. `is_home`: whether an account belongs to the partition.
        """
        count = self._count(worker, partition, flooding)
        if count.halted:
            self._find(Kind.BREAKER, partition, f"{worker} goes on with a partition that it halted")
        elif count.is_open:
            self._find(
                Kind.BREAKER, partition, f"{worker} goes on, {self._bad_max} of the last were bad: {_told(count)}"
            )
        count.committed = False
        if bad and party == RETRY:
            return Floods()
        count.last.append(party if bad else None)
        ceased = self._ceased(count)
        began = None
        if bad and 0 < self._bad_max <= len(_bad(count)):
            accused, most = Counter(_bad(count)).most_common(1)[0]
            if most >= 0.9 * len(_bad(count)) and accused != NOBODY and set(known()) - {accused}:
                if accused == party and accused not in count.flooding:
                    began = accused
                    count.flooding.add(accused)
            else:
                count.is_open = True
        return Floods(began if began is not None and is_home(began) else None, tuple(filter(is_home, ceased)))

    def _ceased(self, count: _Count) -> list[str]:
        """The floods of which a whole window is known that has fewer."""
        if len(count.last) < self._window:
            return []
        ceased = [party for party in sorted(count.flooding) if count.last.count(party) < 0.9 * self._bad_max]
        count.flooding -= set(ceased)
        return ceased

    def committed(self, worker: str, partition: int) -> None:
        """All that was decided was committed."""
        if partition in self._counts[worker]:
            self._counts[worker][partition].committed = True

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

    def _count(self, worker: str, partition: int, flooding: Callable[[], Collection[str]] = lambda: ()) -> _Count:
        counts = self._counts[worker]
        if partition not in counts:
            counts[partition] = _Count(deque(maxlen=self._window), set(flooding()))
        return counts[partition]


def _bad(count: _Count) -> list[str]:
    return [party for party in count.last if party is not None]


def _told(count: _Count) -> str:
    return ", ".join("good" if party is None else f"bad of {party}" for party in count.last)
