"""Planted faults of alerts: of what is cleared, and of what tells one condition from another."""

from __future__ import annotations

from collections.abc import Callable

from schemas.outputs import Alert, AlertIds
from tests.simulator.mutants.seams import Mutant, edit, replace, wrap
from worker.domain.accounts import Account
from worker.domain.alerts import Alerts
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.consequences import Consequences


def never_cleared(self: Alerts, cause: Cause, alert: Alert, ids: AlertIds) -> None:
    del cause, ids
    self.count(alert, -1)


def never_ended(self: Alerts, account: Account, alert: Alert, ids: AlertIds, at: int, event_id: str) -> None:
    del account, ids, at, event_id
    self.count(alert, -1)


def ended_now(
    original: Callable[..., None], self: Alerts, account: Account, alert: Alert, ids: AlertIds, at: int, event_id: str
) -> None:
    original(self, account, alert, ids, at + 1, event_id)


ALERT_MUTANTS = (
    Mutant(
        "alert-not-cleared",
        "An alert is raised, and never cleared.",
        (replace(Alerts, "ceased", never_cleared),),
    ),
    Mutant(
        "alert-outlives-its-order",
        "An order leaves by retention, and its alerts stay.",
        (replace(Alerts, "ended", never_ended),),
    ),
    Mutant(
        "alert-ends-at-another-time",
        "What time alone ends has not the time at which that was due.",
        (wrap(Alerts, "ended", ended_now),),
    ),
    Mutant(
        "alert-raised-with-every-record",
        "A key that is oversold already is raised with each movement.",
        (edit(Books, "post", "if is_short != (", "if is_short or is_short != ("),),
    ),
    Mutant(
        "refused-order-not-in-the-state",
        "That an order was refused is raised and not remembered.",
        (edit(Consequences, "refuse", "order.alerts.append(REFUSED)", "pass"),),
    ),
)
