"""Decisions to records: what the ledger decided, encoded for the topics, until the next flush takes it.

Levels and statuses are compacted topics: of several changes until a flush only the last is written. Their numbers are
given when the change happens, so an output's `event_id` does not depend on where a transaction ends.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NotRequired, TypedDict

from schemas import state
from schemas.encoding import encode, json_string, key_of, level_changed, moved, status_changed
from schemas.outputs import (
    Alert,
    AlertRaised,
    ArchiveEligible,
    ArchiveRejected,
    ArchiveRevoked,
    DriftDetected,
    DriftSummary,
    Missing,
    Output,
    Severity,
    SubOrderStatus,
)
from schemas.state import State
from schemas.times import time_text
from schemas.topics import Topic
from worker.domain.cause import Cause
from worker.domain.order.archive import Rejection, statuses_of
from worker.domain.order.state import OrderState
from worker.domain.order.statuses import STATUSES
from worker.domain.order.units import unit_rows
from worker.domain.stock.reconcile import Drift, listed, suspects_of
from worker.domain.stock.snapshots import Snapshot
from worker.domain.stock.stock import Posting, Stock
from worker.domain.violations import InvariantViolation

SEVERITIES: Final[dict[Alert, Severity]] = {
    "oversold": "critical",
    "over_allocated": "warning",
    "over_returned": "warning",
    "superseded_shipped": "warning",
    "conflict": "warning",
    "flooding": "critical",
}

_MOVEMENT_TALLY: Final = {
    name: ("movement", name) for name in ("count", "adjust", "transfer", "freeze", "release", "unfreeze", "restock")
}

# A member is looked up in its class by a method in Python: too dear for every record.
_MOVEMENTS: Final = Topic.MOVEMENTS
_LEVELS: Final = Topic.LEVELS
_STATUS: Final = Topic.STATUS
_STATE: Final = Topic.STATE


Record = tuple[Topic, bytes, bytes | None]
"""A record to write: the topic without its prefix, the key, the value (None: a tombstone)."""


class _Envelope(TypedDict):
    event_id: str
    account_id: str
    occurred_at: str
    cause: NotRequired[str]


class Outbox:
    """Records made since the last flush, and how many of what kind (`tally`), for metrics."""

    def __init__(self) -> None:
        self._records: list[Record] = []
        self._state: dict[bytes, bytes | None] = {}
        self._levels: dict[Stock, tuple[Cause, int]] = {}
        """Keys whose level changed: by what, and the number that its output has among those of its cause."""
        self._statuses: dict[OrderState, tuple[Cause, int]] = {}
        """Orders whose status record changed, likewise."""
        self.tally: dict[tuple[str, ...], int] = {}

    # State

    def keep(self, value: State, *key: str) -> None:
        """Write a state record."""
        self.put(key_of(*key), state.encode(value))

    def put(self, key: bytes, value: bytes) -> None:
        """Write a state record that is encoded already."""
        self._state[key] = value

    def drop(self, *key: str) -> None:
        """Delete a state record."""
        self._state[key_of(*key)] = None

    # Outputs

    def count(self, *what: str, by: int = 1) -> None:
        """Count what was decided, for metrics; `what` is its kind, and what it is within that kind."""
        self.tally[what] = self.tally.get(what, 0) + by

    def moved(self, cause: Cause, stock: Stock, posting: Posting) -> None:
        """One entry of the journal; the key's level has changed with it."""
        movement, on_hand, frozen = posting.movement, posting.on_hand, posting.frozen
        cause.number += 1
        value = moved(
            cause.source,
            cause.number,
            cause.envelope,
            movement,
            stock.fragment,
            posting.quantity,
            posting.frozen_delta,
            posting.on_hand_delta,
            on_hand,
            frozen,
            None if on_hand is None else on_hand - frozen,
            cause.order_json,
        )
        self._records.append((_MOVEMENTS, cause.account.key, value))
        tally = _MOVEMENT_TALLY[movement]
        self.tally[tally] = self.tally.get(tally, 0) + 1

    def level_changed(self, cause: Cause, stock: Stock) -> None:
        """A key's level changed: its latest is written at the flush."""
        cause.number += 1
        self._levels[stock] = cause, cause.number

    def status_changed(self, cause: Cause, order: OrderState) -> None:
        """An order's status record changed: its latest is written at the flush."""
        cause.number += 1
        self._statuses[order] = cause, cause.number

    def alert(
        self,
        cause: Cause,
        alert: Alert,
        detail: str,
        *,
        sub_order_id: str | None = None,
        warehouse_id: str | None = None,
        sku: str | None = None,
    ) -> None:
        """A condition began; what it is not about is None."""
        event = AlertRaised(**self._envelope(cause), alert=alert, severity=SEVERITIES[alert], detail=detail)
        if cause.order_id is not None:
            event.order_id = cause.order_id
        if sub_order_id is not None:
            event.sub_order_id = sub_order_id
        if warehouse_id is not None:
            event.warehouse_id = warehouse_id
        if sku is not None:
            event.sku = sku
        self._say(Topic.ALERTS, cause, event)
        self.count("alert", alert)

    def eligible(self, cause: Cause, order_id: str, statuses: dict[str, SubOrderStatus]) -> None:
        """The order may be archived: it became so, or a command asked."""
        self._say(
            Topic.ELIGIBILITY, cause, ArchiveEligible(**self._envelope(cause), order_id=order_id, statuses=statuses)
        )
        self.count("archive", "eligible")

    def revoked(self, cause: Cause, order_id: str, statuses: dict[str, SubOrderStatus]) -> None:
        """The order may no longer be archived."""
        self._say(
            Topic.ELIGIBILITY, cause, ArchiveRevoked(**self._envelope(cause), order_id=order_id, statuses=statuses)
        )
        self.count("archive", "revoked")

    def rejected(self, cause: Cause, order_id: str, statuses: dict[str, SubOrderStatus], rejection: Rejection) -> None:
        """Somebody asked for the archive, and the order may not be archived."""
        event = ArchiveRejected(
            **self._envelope(cause),
            order_id=order_id,
            statuses=statuses,
            code=rejection.code,
            message=rejection.message,
        )
        if rejection.blocking is not None:
            event.blocking = rejection.blocking
        self._say(Topic.ELIGIBILITY, cause, event)
        self.count("archive", "rejected")

    def drifted(self, cause: Cause, stock: Stock, origin: str, snapshot_id: str, as_of: int, drift: Drift) -> None:
        """A count differs from what was expected of its key. `as_of` is in milliseconds."""
        event = DriftDetected(
            **self._envelope(cause),
            measure=drift.measure,
            origin=origin,  # type: ignore[arg-type]  # decoded as one of the three
            snapshot_id=snapshot_id,
            warehouse_id=stock.warehouse,
            sku=stock.sku,
            as_of=time_text(as_of),
            expected=drift.expected,
            actual=drift.actual,
            drift=drift.actual - drift.expected,
            adopted=drift.adopted,
            suspects=suspects_of(stock, as_of, drift.actual - drift.expected),
        )
        self._say(Topic.DRIFT, cause, event)

    def summarised(self, cause: Cause, origin: str, warehouse: str, snapshot: Snapshot, missing: Missing) -> None:
        """All parts of a snapshot are in."""
        checked, drifted = len(snapshot.checked), len(snapshot.drifted)
        event = DriftSummary(
            **self._envelope(cause),
            origin=origin,  # type: ignore[arg-type]  # decoded as one of the three
            snapshot_id=snapshot.snapshot_id,
            warehouse_id=warehouse,
            as_of=time_text(snapshot.as_of),
            skus_checked=checked,
            skus_drifted=drifted,
            error_rate=drifted / checked if checked else 0.0,
            missing_in_count=missing,
            missing_in_ledger=listed(snapshot.unknown),
        )
        self._say(Topic.DRIFT, cause, event)
        self.count("drift_checked", origin, by=checked)
        self.count("drift_found", origin, by=drifted)

    def _envelope(self, cause: Cause) -> _Envelope:
        envelope: _Envelope = {
            "event_id": cause.next_id(),
            "account_id": cause.account.id,
            "occurred_at": cause.occurred_at,
        }
        if cause.event_id is not None:
            envelope["cause"] = cause.event_id
        return envelope

    def _say(self, topic: Topic, cause: Cause, event: Output) -> None:
        self._records.append((topic, cause.account.key, encode(event)))

    # Taking them

    def take_levels(self) -> Iterable[tuple[Stock, tuple[Cause, int]]]:
        """The keys whose levels changed since the last call, and what changed each: they are to be written."""
        levels, self._levels = self._levels, {}
        return levels.items()

    def write_level(self, stock: Stock, change: tuple[Cause, int]) -> None:
        """Write the level of a key as it is now; `change` comes from `take_levels`."""
        cause, number = change
        on_hand, available = stock.on_hand, stock.available
        value = level_changed(
            cause.source,
            number,
            cause.envelope,
            stock.fragment,
            on_hand,
            stock.frozen,
            available,
            cause.account.policies.publishable(available),
            stock.as_of_text,
        )
        self._records.append((_LEVELS, stock.key, value))

    def write_status(self, key: bytes, order_id: str, order: OrderState) -> None:
        """Write the status record of an order as it is now, if it changed; `key` is the record's."""
        change = self._statuses.pop(order, None)
        if change is None:
            return
        cause, number = change
        value = status_changed(
            cause.source,
            number,
            cause.envelope,
            json_string(order_id),
            STATUSES[order.status],
            order.lines is not None,
            order.eligible,
            statuses_of(order),
            unit_rows(order),
        )
        self._records.append((_STATUS, key, value))

    def check_statuses_written(self) -> None:
        """Raise InvariantViolation where an order's status record changed and was not written before the flush ends."""
        if self._statuses:
            raise InvariantViolation(f"the status records of {len(self._statuses)} orders changed and were not written")

    def take(self) -> list[Record]:
        """All records made since the last call, state included: of levels and statuses those that were written."""
        records = self._records
        records += [(_STATE, key, value) for key, value in self._state.items()]
        self._records, self._state = [], {}
        return records
