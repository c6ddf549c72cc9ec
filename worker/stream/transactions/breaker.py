"""The dead-letter breaker: it stops a partition rather than dead-letter a whole topic. Pure.

It counts records as they are decided, across transactions, and begins at zero when the partition starts. A *party* is a
name of the processor's choice, such as an account. One party must not stop the others of its partition. So if nearly
all bad records belong to one party, the breaker reports a *flood* of it to the processor instead.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from worker.stream.processor import Parties

FLOOD_PERCENT: Final = 90
"""The share of the bad records that makes them one party's flood. It is below 100, because a few bad records of others
are always among them."""


class Breaker:
    """Opens when `bad_max` of the last `window` records were bad; `bad_max` 0 switches it off.

    If `FLOOD_PERCENT` of the bad records belong to one party, it opens only if the partition serves no other party.
    Without `parties`, all bad records count alike.
    """

    def __init__(self, bad_max: int, window: int, parties: Parties | None = None) -> None:
        self._bad_max = bad_max
        self._window = window
        self._parties = parties
        self._seen = 0
        self._bad: deque[tuple[int, str | None]] = deque()
        """Each bad record of the window: its number and its party."""
        self._by_party: dict[str | None, int] = {}
        """Bad records of the window by party; parties without one are left out."""
        self._flooding: set[str] = set() if parties is None else set(parties.flooding())

    def open_after(self, *, bad: bool) -> bool:
        """Count a record and return whether the breaker is open now. Called once per record, before the next one."""
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
        """Drop the oldest bad record, which has left the window."""
        _, party = self._bad.popleft()
        left = self._by_party[party] - 1
        if left:
            self._by_party[party] = left
        else:
            del self._by_party[party]

    def _is_flood(self, last: str | None) -> bool:
        """Whether the bad records are one party's flood, which must not stop the others. `last` is the latest party.

        A flood is reported once, with a record of its own party.
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
        """Report each flood that has ceased: too few records of a whole window are bad.

        A restart forgets earlier records, so this waits until a whole window was counted.
        """
        if self._parties is None or self._seen < self._window:
            return
        for party in sorted(self._flooding):
            if self._by_party.get(party, 0) * 100 < self._bad_max * FLOOD_PERCENT:
                self._flooding.discard(party)
                self._parties.flood_ceased(party)
