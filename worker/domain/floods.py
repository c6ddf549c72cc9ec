"""Floods of bad records that go on, by account: an alert is raised when one begins, and again only after it ceased.

Which floods go on is in the state, so the alert is not raised again after a restart.
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

    def began(self, account: Account, recorded_at: int, raised_as: str) -> None:
        """Remember that its alert was raised with this `event_id`, by a record of this timestamp (milliseconds)."""
        flood = self.known[account.id] = FloodState(VERSION, recorded_at, raised_as)
        self._out.keep(flood, "flood", account.id)

    def ceased(self, account_id: str) -> FloodState | None:
        """Forget it: the next one of the account raises the alert again. Returns what was known of it."""
        flood = self.known.pop(account_id, None)
        if flood is not None:
            self._out.drop("flood", account_id)
        return flood
