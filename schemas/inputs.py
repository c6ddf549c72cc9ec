"""The input events, as they stand on the wire: the one definition of their shape.

Each class is one `type` of contract section 2. msgspec decodes and validates what it can in one pass; what a type
cannot express (distinct SKUs, `part` at most `parts`, control characters in ids, RFC 3339 times) is checked in
`schemas.decoding`, the only place that should build these from bytes.

After decoding, an event is in its normal form: `occurred_at` and `as_of` are UTC with milliseconds and a final `Z`,
`source` is dropped, a stated default is None. What is None is not encoded. Two events with equal content therefore
encode to equal bytes, which is what identity is computed from, and a new optional field changes no older identity.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.times import TIME_PATTERN

QUANTITY_MAX = 1_000_000_000

# Said in the JSON Schemas only: a pattern would cost the decoder more than all its other checks. "Not" matching, as "$"
# also matches before a last line feed in some dialects.
_NO_CONTROL_CHARACTERS = {"not": {"pattern": "[\\x00-\\x1f\\x7f-\\x9f]"}}

Id = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=_NO_CONTROL_CHARACTERS)]
Text = Annotated[str, Meta(max_length=1000)]
Time = Annotated[str, Meta(max_length=1000, extra_json_schema={"format": "date-time", "pattern": TIME_PATTERN})]
Quantity = Annotated[int, Meta(ge=1, le=QUANTITY_MAX)]
SignedQuantity = Annotated[int, Meta(ge=-QUANTITY_MAX, le=QUANTITY_MAX)]
Revision = Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]
Reserved = Annotated[int, Meta(ge=0, le=QUANTITY_MAX)]
SplitReason = Literal["warehouse", "carrier", "compliance", "availability", "seller_rule"]
Origin = Literal["erp", "wms", "marketplace"]


class OrderLine(msgspec.Struct, gc=False, omit_defaults=True):
    """Units of one SKU of an order, from a warehouse or, without one, from the account's default warehouse."""

    sku: Id
    quantity: Quantity
    warehouse_id: Id | None = None


class Line(msgspec.Struct, gc=False):
    """Units of one SKU within a sub-order."""

    sku: Id
    quantity: Quantity


OrderLines = Annotated[list[OrderLine], Meta(min_length=1, max_length=1000)]
Lines = Annotated[list[Line], Meta(min_length=1, max_length=1000)]


class Child(msgspec.Struct, gc=False, omit_defaults=True):
    """One part that a sub-order was split into; without a warehouse it has its parent's."""

    sub_order_id: Id
    lines: Lines
    warehouse_id: Id | None = None


class Count(msgspec.Struct, gc=False, omit_defaults=True):
    """What one origin counted of one SKU; negative where an ERP reports it so."""

    sku: Id
    on_hand: SignedQuantity
    reserved: Reserved | None = None


class Event(msgspec.Struct, tag_field="type", kw_only=True, omit_defaults=True):
    """What every input has. `occurred_at` is when it happened in the world, not when it was recorded."""

    event_id: Id
    account_id: Id
    occurred_at: Time
    source: Text | None = None


class OrderEvent(Event, kw_only=True):
    """What every event of an order has."""

    order_id: Id


class SubOrderEvent(OrderEvent, kw_only=True):
    """What every event of a sub-order has."""

    sub_order_id: Id


class OrderCreated(OrderEvent, tag="order.created", kw_only=True):
    """A buyer ordered `lines`; it counts as revision 0 of the order."""

    lines: OrderLines


class OrderAmended(OrderEvent, tag="order.amended", kw_only=True):
    """`lines` replace the order's; the greatest `revision` wins."""

    revision: Quantity
    lines: OrderLines


class OrderCancelled(OrderEvent, tag="order.cancelled", kw_only=True):
    """The order is cancelled: everything of it that has not shipped, now and later."""

    reason: Text | None = None


class OrderReinstated(OrderEvent, tag="order.reinstated", kw_only=True):
    """The order is not cancelled after all: every `order.cancelled` that happened not later counts for nothing."""

    reason: Text | None = None


class SubOrderCreated(SubOrderEvent, tag="sub_order.created", kw_only=True):
    """A part of the order, shipped as one from one warehouse; the greatest `revision` wins (without one, 0)."""

    warehouse_id: Id
    lines: Lines
    revision: Revision | None = None
    carrier: Text | None = None
    split_reason: SplitReason | None = None


class SubOrderSplit(SubOrderEvent, tag="sub_order.split", kw_only=True):
    """The sub-order is superseded by `children`: distinct ids, none of them its own."""

    children: Annotated[list[Child], Meta(min_length=1, max_length=100, extra_json_schema={"uniqueItems": True})]
    split_reason: SplitReason | None = None


class SubOrderLabelIssued(SubOrderEvent, tag="sub_order.label_issued", kw_only=True):
    """A shipping label was made: the sub-order is no longer on hold."""

    tracking_number: Text | None = None
    carrier: Text | None = None


class SubOrderShipped(SubOrderEvent, tag="sub_order.shipped", kw_only=True):
    """The goods left the warehouse at `occurred_at`: frozen units are released."""

    tracking_number: Text | None = None
    carrier: Text | None = None


class SubOrderInTransit(SubOrderEvent, tag="sub_order.in_transit", kw_only=True):
    """The carrier has the goods; they are shipped, if no earlier event implied it."""

    tracking_number: Text | None = None
    carrier: Text | None = None


class SubOrderOnHold(SubOrderEvent, tag="sub_order.on_hold", kw_only=True):
    """Work on the sub-order is stopped (arbitration, not accepted) until a later event resumes it."""

    reason: Text | None = None


class SubOrderDelivered(SubOrderEvent, tag="sub_order.delivered", kw_only=True):
    """The buyer has the goods."""

    reason: Text | None = None


class SubOrderFailedToDeliver(SubOrderEvent, tag="sub_order.failed_to_deliver", kw_only=True):
    """The buyer did not take the goods; they are shipped until returned."""

    reason: Text | None = None


class SubOrderCancelled(SubOrderEvent, tag="sub_order.cancelled", kw_only=True):
    """`lines`: what is cancelled of each SKU so far in all; without lines, everything."""

    reason: Text | None = None
    lines: Lines | None = None


class SubOrderReturnStarted(SubOrderEvent, tag="sub_order.return_started", kw_only=True):
    """The buyer sends goods back: the return `return_id` is under way until it is returned."""

    return_id: Id
    lines: Lines | None = None


class SubOrderReturned(SubOrderEvent, tag="sub_order.returned", kw_only=True):
    """Goods are back.

    `lines`: which (none: those of its return, else all that was shipped and is not yet returned). `restock`: whether
    they can be sold again. `warehouse_id`: where they are (none: the sub-order's).
    """

    return_id: Id
    restock: bool
    lines: Lines | None = None
    warehouse_id: Id | None = None


class SubOrderWithdrawn(SubOrderEvent, tag="sub_order.withdrawn", kw_only=True):
    """The parcel is called off: its units are the order's again. It may be created again."""

    reason: Text | None = None


class SubOrderReinstated(SubOrderEvent, tag="sub_order.reinstated", kw_only=True):
    """The sub-order is not cancelled after all: every cancellation of it that happened not later counts for nothing."""

    reason: Text | None = None


class SubOrderShipmentVoided(SubOrderEvent, tag="sub_order.shipment_voided", kw_only=True):
    """The goods did not leave, or are back unshipped: every shipment and return that happened not later counts for
    nothing.
    """

    reason: Text | None = None


class SubOrderReturnWithdrawn(SubOrderEvent, tag="sub_order.return_withdrawn", kw_only=True):
    """The buyer keeps the goods: what happened of the return `return_id` until then counts for nothing."""

    return_id: Id
    reason: Text | None = None


class StockCounted(Event, tag="stock.counted", kw_only=True):
    """One part of a snapshot of a warehouse, as its origin saw it at `as_of`; a SKU stands in it once."""

    origin: Origin
    snapshot_id: Id
    part: Quantity
    parts: Quantity
    warehouse_id: Id
    as_of: Time
    counts: Annotated[list[Count], Meta(max_length=5000)]
    absent: Literal["unknown", "zero"] | None = None


class StockAdjusted(Event, tag="stock.adjusted", kw_only=True):
    """A receipt or a write-off, never a goods issue or a return, which come as sub-order events. `delta` is not 0."""

    warehouse_id: Id
    sku: Id
    delta: Annotated[SignedQuantity, Meta(extra_json_schema={"not": {"const": 0}})]
    reason: Text | None = None


class StockTransferred(Event, tag="stock.transferred", kw_only=True):
    """Goods went from one warehouse to another: each line leaves the one and arrives at the other at `occurred_at`."""

    from_warehouse_id: Id
    to_warehouse_id: Id
    lines: Lines
    reason: Text | None = None


class ArchiveRequested(OrderEvent, tag="archive.requested", kw_only=True):
    """Asks whether an order may be archived; answered on the eligibility topic."""


class DeadLetterDiscarded(OrderEvent, tag="dead_letter.discarded", kw_only=True):
    """An operator gave up a dead letter of the order: it no longer holds the order back."""

    dead_letter_id: Annotated[str, Meta(min_length=1, max_length=512, extra_json_schema=_NO_CONTROL_CHARACTERS)]


OrdersEvent = OrderCreated | OrderAmended | OrderCancelled | OrderReinstated
SubOrdersEvent = (
    SubOrderCreated
    | SubOrderSplit
    | SubOrderLabelIssued
    | SubOrderShipped
    | SubOrderInTransit
    | SubOrderOnHold
    | SubOrderDelivered
    | SubOrderFailedToDeliver
    | SubOrderCancelled
    | SubOrderReturnStarted
    | SubOrderReturned
    | SubOrderWithdrawn
    | SubOrderReinstated
    | SubOrderShipmentVoided
    | SubOrderReturnWithdrawn
)
TakingBack = OrderReinstated | SubOrderWithdrawn | SubOrderReinstated | SubOrderShipmentVoided | SubOrderReturnWithdrawn
"""The events that take back or withdraw; they may not lie in the future."""
StockEvent = StockCounted | StockAdjusted | StockTransferred
Command = ArchiveRequested | DeadLetterDiscarded
InputEvent = OrdersEvent | SubOrdersEvent | StockEvent | Command
