"""The alerts of one partition: a condition that begins is raised, and cleared when it ceases. Contract section 8.

Which conditions hold is kept where they are found (orders, stock keys, floods). Here is what all of them share: the ids
that name a condition, the records, and how many hold by alert, for metrics.
"""

from __future__ import annotations

from schemas.outputs import Alert, AlertIds
from worker.domain.accounts import Account
from worker.domain.cause import Cause
from worker.domain.outbox import Outbox


class Alerts:
    """Raises and clears, and counts those that hold."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self.held: dict[str, int] = {}
        """How many hold, by alert. One that is never cleared is not among them."""

    def began(self, cause: Cause, alert: Alert, ids: AlertIds, detail: str) -> None:
        """Raise the alert of a condition that did not hold before the record in hand."""
        self._out.alert_raised(cause, alert, ids, detail)
        self.count(alert, 1)

    def ceased(self, cause: Cause, alert: Alert, ids: AlertIds) -> None:
        """Clear the alert of a condition that held before the record in hand."""
        self._out.alert_cleared(cause, alert, ids)
        self.count(alert, -1)

    def ended(self, account: Account, alert: Alert, ids: AlertIds, at: int, event_id: str) -> None:
        """Clear an alert without a cause. It was due `at` (milliseconds), and `event_id` is the output's own."""
        self._out.alert_ended(account, alert, ids, at, event_id)
        self.count(alert, -1)

    def count(self, alert: Alert, by: int) -> None:
        """Count those that hold, also those that a restore found."""
        self.held[alert] = self.held.get(alert, 0) + by
