"""Floods of bad records that go on, by account: one is told when it begins, and again only after it ceased.

Whether one goes on is in the state, so that whoever has the partition next does not tell it again.
"""

from __future__ import annotations

from schemas.state import VERSION, FloodState
from worker.domain.accounts import Account
from worker.domain.outbox import Outbox


class Floods:
    """The floods of one partition."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self.known: dict[str, FloodState] = {}
        """By account, those that go on."""

    def began(self, account: Account, recorded_at: int) -> None:
        """Remember that it was told, by a record of this timestamp."""
        flood = self.known[account.id] = FloodState(VERSION, recorded_at)
        self._out.keep(flood, "flood", account.id)

    def ceased(self, account_id: str) -> None:
        """Forget it: the next one of the account is told again."""
        if self.known.pop(account_id, None) is not None:
            self._out.drop("flood", account_id)
