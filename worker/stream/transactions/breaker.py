"""The dead-letter breaker: rather stop a partition than dead-letter a topic. Pure.

Records are counted as they are decided, across batches; the count begins anew whenever the partition starts. One party
must not stop the others of its partition: a flood that is one party's is told to the processor instead.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from worker.stream.processor import Parties

FLOOD_PERCENT: Final = 90
"""So much of the bad records makes a flood one party's: among 500 there is nearly always a stray one of another."""


class Breaker:
    """Opens when `bad_max` of the last `window` records were bad, of several parties or of nobody that can be read.

    If nearly all of them (`FLOOD_PERCENT`) are of one party, it opens only where the partition serves nobody else.
    `bad_max` 0: never. Without `parties` all bad records are alike.
    """

    def __init__(self, bad_max: int, window: int, parties: Parties | None = None) -> None:
        self._bad_max = bad_max
        self._window = window
        self._parties = parties
        self._seen = 0
        self._bad: deque[tuple[int, str | None]] = deque()
        """The number of each bad record of the window, and its party."""
        self._by_party: dict[str | None, int] = {}
        """How many of these each party has: none has 0."""
        self._flooding: set[str] = set() if parties is None else set(parties.flooding())

    def open_after(self, *, bad: bool) -> bool:
        """Count a record, and say whether the breaker is open now. Called once a record, before the next is decided."""
        party = None
        if bad and self._parties is not None:
            blame = self._parties.blame()
            if blame is None:
                return False
            party = blame.party
        self._seen += 1
        if bad:
            self._bad.append((self._seen, party))
            self._by_party[party] = self._by_party.get(party, 0) + 1
        while self._bad and self._bad[0][0] <= self._seen - self._window:
            self._forget()
        if self._flooding:
            self._look_for_calm()
        return bad and 0 < self._bad_max <= len(self._bad) and not self._is_flood(party)

    def _forget(self) -> None:
        """The oldest bad record has left the window."""
        _, party = self._bad.popleft()
        left = self._by_party[party] - 1
        if left:
            self._by_party[party] = left
        else:
            del self._by_party[party]

    def _is_flood(self, last: str | None) -> bool:
        """Whether so many bad records are one party's affair: they stop nobody, and are told once, with a record of
        that party; `last` is that of the last one.
        """
        if self._parties is None:
            return False
        party = max(self._by_party, key=self._by_party.__getitem__)
        if self._by_party[party] * 100 < len(self._bad) * FLOOD_PERCENT:
            return False
        if party is None or not self._parties.serves_others(party):
            return False
        if party == last and party not in self._flooding:
            self._flooding.add(party)
            self._parties.flood_began(party)
        return True

    def _look_for_calm(self) -> None:
        """A flood has ceased once fewer of a whole window are bad: a restart forgot what was before."""
        if self._parties is None or self._seen < self._window:
            return
        for party in sorted(self._flooding):
            if self._by_party.get(party, 0) * 100 < self._bad_max * FLOOD_PERCENT:
                self._flooding.discard(party)
                self._parties.flood_ceased(party)
