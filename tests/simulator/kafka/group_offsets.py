"""The committed offsets of one consumer group: what is committed, what waits for a marker, and what is answered.

What is answered need not be what is committed: a coordinator that slept while another one was elected answers what it
knew, and one that was elected uncleanly what its replica had. A read then gives old offsets, or none.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

Offsets = dict[tuple[str, int], int]
"""By topic and partition."""

REMEMBERED_COMMITS = 8


class GroupOffsets:
    """As the coordinator keeps them."""

    def __init__(self) -> None:
        self.committed: Offsets = {}
        self._pending: dict[int, Offsets] = {}
        """Waiting for the marker of their transaction, by producer id."""
        self._epochs: dict[int, int] = {}
        self._before: deque[Offsets] = deque(maxlen=REMEMBERED_COMMITS)
        """What was committed before each of the last commits."""
        self._old: Mapping[tuple[str, int], int] = {}
        self._old_until = 0.0

    def commit(self, offsets: Offsets) -> None:
        """Commit immediately."""
        self._before.append(dict(self.committed))
        self.committed.update(offsets)

    def keep(self, producer_id: int, epoch: int, offsets: Offsets) -> bool:
        """Keep offsets until the marker of their transaction comes; False: the epoch is an old one."""
        if epoch < self._epochs.get(producer_id, -1):
            return False
        self._epochs[producer_id] = epoch
        self._pending.setdefault(producer_id, {}).update(offsets)
        return True

    def end_transaction(self, producer_id: int, epoch: int, *, commit: bool) -> None:
        """The marker."""
        self._epochs[producer_id] = max(epoch, self._epochs.get(producer_id, -1))
        pending = self._pending.pop(producer_id, {})
        if commit and pending:
            self.commit(pending)

    def forget(self, topic: str) -> None:
        """A topic is gone, and its offsets with it."""
        self.committed = {place: offset for place, offset in self.committed.items() if place[0] != topic}

    def answer_old(self, commits_back: int, until_seconds: float) -> None:
        """Until then answer what was committed so many commits ago; nothing, if that is further than is known."""
        known = len(self._before)
        self._old = self._before[known - commits_back] if 0 < commits_back <= known else {}
        self._old_until = until_seconds

    def answered(self, now_seconds: float) -> Mapping[tuple[str, int], int]:
        """The answer to a fetch of the offsets. Offsets of open transactions are not in it, in the version spoken here:
        only from version 7 on can a client ask for an error instead.
        """
        return self._old if now_seconds < self._old_until else self.committed
