"""The output events, as they stand on the wire: the one definition of their shape.

The JSON Schemas are generated from these types. Hot records (movements, levels, statuses) are encoded by
`schemas.encoding` from templates; tests hold the two equal. A field that is `UNSET` is absent from the JSON; a field
that is None is there as `null`, which means "not known" (a stock never counted).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypedDict

import msgspec
from msgspec import UNSET, Meta, UnsetType

from schemas.inputs import Origin

# Constraints of outputs stand in the JSON Schemas only: `verify` must be able to decode wrong ones.
UtcTime = Annotated[str, Meta(extra_json_schema={"format": "date-time", "pattern": "[.][0-9]{3}Z$"})]
Units = Annotated[int, Meta(extra_json_schema={"minimum": 0})]
OptionalId = str | UnsetType
SubOrderStatus = Literal[
    "superseded",
    "withdrawn",
    "on_hold",
    "returned",
    "delivered",
    "failed_to_deliver",
    "cancelled",
    "in_transit",
    "picked_up",
    "processing",
]
OrderStatus = Literal[
    "on_hold",
    "returned",
    "delivered",
    "failed_to_deliver",
    "cancelled",
    "in_transit",
    "picked_up",
    "processing",
    "completed",
    "partially_shipped",
]
Movement = Literal["count", "adjust", "transfer", "freeze", "release", "unfreeze", "restock"]
OrderAlert = Literal["over_allocated", "over_returned", "superseded_shipped", "order_refused"]
"""Those that the state of an order keeps while they hold."""
Alert = Literal["oversold", OrderAlert, "conflict", "flooding"]
Severity = Literal["info", "warning", "critical"]


class OutputEvent(msgspec.Struct, tag_field="type", kw_only=True):
    """What every output has.

    `event_id` is `topic/partition/offset/number` of its source, so it is the same after a crash; `cause` is the input's
    `event_id`.
    """

    event_id: str
    account_id: str
    occurred_at: UtcTime
    cause: str | UnsetType = UNSET


class StockMoved(OutputEvent, tag="stock.moved", kw_only=True):
    """One entry of the journal, with the balance after it."""

    movement: Movement
    warehouse_id: str
    sku: str
    quantity: int
    frozen_delta: int
    on_hand_delta: int
    on_hand: int | None
    frozen: Units
    available: int | None
    order_id: OptionalId = UNSET
    sub_order_id: OptionalId = UNSET


class StockLevelChanged(OutputEvent, tag="stock.level_changed", kw_only=True):
    """The latest level of a stock key; `as_of` is that of its count."""

    warehouse_id: str
    sku: str
    on_hand: int | None
    frozen: Units
    available: int | None
    publishable: Units | None
    as_of: UtcTime | None


class UnitRow(msgspec.Struct):
    """Units of one SKU of a leaf, or (sub_order_id null) those of the order that no leaf covers."""

    sub_order_id: str | None
    warehouse_id: str
    sku: str
    open: Units
    shipped: Units
    cancelled: Units


class OrderStatusChanged(OutputEvent, tag="order.status_changed", kw_only=True):
    """The latest status of an order, of each of its sub-orders, and where its units stand."""

    order_id: str
    status: OrderStatus
    placed: bool
    eligible: bool
    sub_orders: dict[str, SubOrderStatus]
    units: list[UnitRow]


class ArchiveEligible(OutputEvent, tag="archive.eligible", kw_only=True):
    """The order may be archived: it became so, or an `archive.requested` asked."""

    order_id: str
    statuses: dict[str, SubOrderStatus]


class ArchiveRevoked(OutputEvent, tag="archive.revoked", kw_only=True):
    """The order may no longer be archived: something of it is open again."""

    order_id: str
    statuses: dict[str, SubOrderStatus]


class Blocking(msgspec.Struct):
    """What keeps an order from the archive; sub_order_id null: units that no sub-order covers."""

    sub_order_id: str | None
    status: SubOrderStatus


class ArchiveRejected(OutputEvent, tag="archive.rejected", kw_only=True):
    """The answer to an `archive.requested` for an order that may not be archived, and why."""

    order_id: str
    statuses: dict[str, SubOrderStatus]
    code: Literal["NOT_FOUND", "VALIDATION_ERROR", "RETURN_IN_PROGRESS", "DEAD_LETTERED"]
    message: str
    blocking: list[Blocking] | UnsetType = UNSET


class Suspect(msgspec.Struct, omit_defaults=True):
    """An order that may explain a drift."""

    order_id: str
    reason: str
    sub_order_id: str | UnsetType = UNSET


class DriftDetected(OutputEvent, tag="drift.detected", kw_only=True):
    """A count differs from what the previous count and the known movements lead to expect."""

    measure: Literal["on_hand", "reserved"]
    origin: Origin
    snapshot_id: str
    warehouse_id: str
    sku: str
    as_of: UtcTime
    expected: int
    actual: int
    drift: int
    adopted: bool
    suspects: Annotated[list[Suspect], Meta(max_length=10)]


class Missing(msgspec.Struct):
    """How many keys, and up to 100 of their SKUs."""

    count: Units
    skus: Annotated[list[str], Meta(max_length=100)]


class DriftSummary(OutputEvent, tag="drift.summary", kw_only=True):
    """How a whole snapshot compares with the ledger, once all its parts are in."""

    origin: Origin
    snapshot_id: str
    warehouse_id: str
    as_of: UtcTime
    skus_checked: Units
    skus_drifted: Units
    error_rate: Annotated[float, Meta(extra_json_schema={"minimum": 0, "maximum": 1})]
    missing_in_count: Missing
    missing_in_ledger: Missing


class AlertIds(TypedDict, total=False):
    """What an alert is about: of these ids exactly those that its condition is judged per."""

    order_id: str
    sub_order_id: str
    warehouse_id: str
    sku: str


class ConflictIds(AlertIds, total=False):
    """Of these ids those that a conflicting record gives."""

    return_id: str
    origin: str
    snapshot_id: str


class _AlertEvent(OutputEvent, kw_only=True):
    """What both have. `alert_id` is the same for the same condition, whenever it begins."""

    alert_id: str
    alert: Alert
    order_id: OptionalId = UNSET
    sub_order_id: OptionalId = UNSET
    warehouse_id: OptionalId = UNSET
    sku: OptionalId = UNSET


class AlertRaised(_AlertEvent, tag="alert.raised", kw_only=True):
    """A condition that needs attention began; it is raised again only after it ceased."""

    severity: Severity
    detail: str
    return_id: OptionalId = UNSET
    origin: OptionalId = UNSET
    snapshot_id: OptionalId = UNSET


class AlertCleared(_AlertEvent, tag="alert.cleared", kw_only=True):
    """The condition of an alert ceased; `cause` is absent where time alone ended it."""


Output = (
    StockMoved
    | StockLevelChanged
    | OrderStatusChanged
    | ArchiveEligible
    | ArchiveRevoked
    | ArchiveRejected
    | DriftDetected
    | DriftSummary
    | AlertRaised
    | AlertCleared
)
