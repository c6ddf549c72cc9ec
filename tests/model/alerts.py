"""Which alerts hold, what is raised and cleared, and in which order it may come (contract section 8).

Choices where the contract leaves room:
- A replay that is refused again raises no `conflict`, whatever it was refused with before.
- A `conflict` about stock names an order, too, if its dead letter holds one back.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from tests.model.reading import time_ms

ID_NAMES = ("order_id", "sub_order_id", "warehouse_id", "sku", "return_id", "origin", "snapshot_id")
RAISED, CLEARED = "alert.raised", "alert.cleared"
CRITICAL = {"oversold", "order_refused", "flooding"}


class Condition(NamedTuple):
    """A condition that may hold: the alert, and the ids that it is judged per, by name."""

    alert: str
    ids: tuple[tuple[str, str], ...]


class Change(NamedTuple):
    """An alert as it is raised or cleared."""

    type: str
    alert: str
    ids: tuple[tuple[str, str], ...]


class Ended(NamedTuple):
    """A change that has no cause, and the time (ms) at which it was due."""

    account_id: str
    change: Change
    at: int


def condition(alert: str, **ids: str | None) -> Condition:
    return Condition(alert, tuple(sorted((name, value) for name, value in ids.items() if value is not None)))


def raised(alert: str, **ids: str | None) -> Change:
    return Change(RAISED, *condition(alert, **ids))


def cleared(alert: str, **ids: str | None) -> Change:
    return Change(CLEARED, *condition(alert, **ids))


def change_of(event: dict[str, Any]) -> Change:
    """The change that an output says."""
    ids = condition(event["alert"], **{name: event.get(name) for name in ID_NAMES}).ids
    return Change(event["type"], event["alert"], ids)


def is_without_cause(event: dict[str, Any]) -> bool:
    """Whether time alone cleared an alert: no record that clears one lacks its event_id."""
    return event["type"] == CLEARED and "cause" not in event


def ended_of(event: dict[str, Any]) -> Ended:
    """What an output without a cause says."""
    return Ended(event["account_id"], change_of(event), time_ms(event["occurred_at"]))


def changes(before: set[Condition], after: set[Condition]) -> list[Change]:
    """What a record that led from one to the other must raise and clear."""
    begun = [Change(RAISED, *one) for one in after - before]
    return sorted([*begun, *(Change(CLEARED, *one) for one in before - after)])


class AlertHistory:
    """The alerts of one partition as a reader follows them: raised and cleared alternate by `alert_id`."""

    def __init__(self) -> None:
        self.named: dict[str, tuple[str, Condition]] = {}
        """What each `alert_id` is about: account and condition."""
        self.held: set[str] = set()
        self.event_ids: set[str] = set()

    def take(self, event: dict[str, Any]) -> str | None:
        """What is wrong with the next event, or None."""
        change, alert_id = change_of(event), event["alert_id"]
        about = (event["account_id"], Condition(change.alert, change.ids))
        is_new = alert_id not in self.named
        known = self.named.setdefault(alert_id, about)
        if event["event_id"] in self.event_ids:
            return f"the event_id {event['event_id']} repeats"
        self.event_ids.add(event["event_id"])
        if known != about:
            return f"{alert_id} is about {about}, and was about {known}"
        if change.alert == "conflict":
            return None if is_new and change.type == RAISED else f"{alert_id} of a conflict comes again"
        if is_new and about in [other for id_, other in self.named.items() if id_ != alert_id]:
            return f"{about} has another alert_id than before: {alert_id}"
        if (change.type == RAISED) == (alert_id in self.held):
            return f"{change.type} of {about} does not alternate"
        (self.held.add if change.type == RAISED else self.held.discard)(alert_id)
        return None
