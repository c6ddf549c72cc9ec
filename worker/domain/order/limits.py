"""How large an order may become: every record of it must fit into what its topic takes.

A record that does not fit could never be written, and its partition would stand still for ever. So an event by which an
order could outgrow that is refused before it changes anything. What is found here is a bound, not a size: the same
however an order's events are dealt out to transactions, and for almost every event three comparisons.

What an order is written as are its state, its status record, what is kept of it after it has left, and answers about
the archive. All but a fixed part of each of them are entries: a SKU of something that has lines (a sub-order, a return,
the order itself), with the names of that and of a warehouse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple, assert_never, get_args

from schemas.decoding import ID_LENGTH_MAX
from schemas.inputs import (
    OrderAmended,
    OrderCancelled,
    OrderCreated,
    OrderReinstated,
    OrdersEvent,
    SubOrderCancelled,
    SubOrderCreated,
    SubOrderDelivered,
    SubOrderFailedToDeliver,
    SubOrderInTransit,
    SubOrderLabelIssued,
    SubOrderOnHold,
    SubOrderReinstated,
    SubOrderReturned,
    SubOrderReturnStarted,
    SubOrderReturnWithdrawn,
    SubOrdersEvent,
    SubOrderShipmentVoided,
    SubOrderShipped,
    SubOrderSplit,
    SubOrderWithdrawn,
)
from schemas.topics import RECORD_BYTES_MAX
from worker.domain.order.rows import encode_order
from worker.domain.order.state import OrderState, SubOrderFacts
from worker.domain.refusals import RuleRefusal

DEAD_LETTERS_MAX: Final = 2000
"""So many pending dead letters of an order are remembered; further ones do not hold it back any longer than these."""

_DEAD_LETTER_BYTES: Final = 300
_FIXED_BYTES: Final = 64 * 1024
"""Keys, envelopes, what the broker adds, and all that a single event has besides its lines."""

ORDER_BYTES_MAX: Final = RECORD_BYTES_MAX - DEAD_LETTERS_MAX * _DEAD_LETTER_BYTES - _FIXED_BYTES
"""What is left for the facts of all events."""

SMALL_STATE_BYTES: Final = 2048
SMALL_IDENTITIES: Final = 24 * 16
SMALL_LINES: Final = 8
"""An order whose state was so small before this transaction, with the identities of so few events, and events of so few
lines since, is small: far below what a record may have. Most orders are, all their life.
"""

_ROW_BYTES: Final = 140
"""An entry of a status record, without its names."""
_CLAIM_BYTES: Final = 120
"""A claim that is new, or what an entry adds to one."""
_MOVES_BYTES: Final = 60
"""What one event may add to a claim that was there."""
_ALERT_BYTES: Final = 30
_FLOW_BYTES: Final = 30
_LINE_BYTES: Final = 50
"""A line in the facts (a cancelled one in the log, and among those that stand), or units that no sub-order covers."""
_NAME_BYTES: Final = 80
"""A sub-order among statuses, or among those that keep an order from the archive, without its name."""
_CHILD_BYTES: Final = 3000
"""All that a child's entry has besides its lines."""
_NAMED_BYTES_MAX: Final = 4 * (2 * 4 * ID_LENGTH_MAX + _ROW_BYTES)
_KEPT_BYTES_MAX: Final = 4 * (4 * ID_LENGTH_MAX + _ROW_BYTES)
"""All that an entry adds to any record, with names of four bytes a code point; one that is kept, without its SKU."""

_WITH_LINES: Final = frozenset(
    kind
    for kind in (*get_args(OrdersEvent), *get_args(SubOrdersEvent))
    if not {"lines", "children"}.isdisjoint(kind.__struct_fields__)
)
"""The events that name SKUs, found by their fields so that none is forgotten."""


class OwnedSkus(NamedTuple):
    """SKUs that an event gives to something: the id of a sub-order, or nothing for the order itself."""

    owner: str
    skus: list[str]


class Extent:
    """Entries, and the bytes of the names in them."""

    __slots__ = ("count", "owner_bytes", "sku_bytes")

    def __init__(self) -> None:
        self.count = 0
        self.owner_bytes = 0
        self.sku_bytes = 0

    def __add__(self, other: Extent) -> Extent:
        both = Extent()
        both.count = self.count + other.count
        both.owner_bytes = self.owner_bytes + other.owner_bytes
        both.sku_bytes = self.sku_bytes + other.sku_bytes
        return both

    def add(self, owner_bytes: int, skus: Collection[str]) -> None:
        """Add the entries of one owner."""
        self.count += len(skus)
        self.owner_bytes += owner_bytes * len(skus)
        self.sku_bytes += bytes_of(skus)


def bytes_of(texts: Iterable[str]) -> int:
    """A bound on the bytes that texts take in JSON or msgpack, without quotes and headers."""
    whole = "".join(texts)
    return len(whole.encode()) + whole.count('"') + whole.count("\\")


def is_small(event: OrdersEvent | SubOrdersEvent) -> bool:
    """Whether the event has so few lines that they matter only together with many others."""
    kind = type(event)
    if kind not in _WITH_LINES:
        return True
    if kind is SubOrderSplit:
        return False
    lines = event.lines  # type: ignore[union-attr]  # the others of _WITH_LINES have them
    return lines is None or len(lines) <= SMALL_LINES


def refuse_outgrowth(order: OrderState | None, event: OrdersEvent | SubOrdersEvent, default_warehouse: str) -> None:
    """Raise RuleRefusal (invalid) if a record of the order could outgrow what its topic takes once the event is
    applied.
    """
    order = OrderState() if order is None else order
    if bytes_max_by_count(order, event) <= ORDER_BYTES_MAX:
        return
    if bytes_max_after(order, event, default_warehouse) <= ORDER_BYTES_MAX:
        return
    has_lines = any(entry.skus for entry in _skus_named_by(event))
    field = "children" if type(event) is SubOrderSplit else "lines" if has_lines else "order_id"
    raise RuleRefusal(
        "invalid",
        f"The field {field} would let the order outgrow what a record can hold, {RECORD_BYTES_MAX >> 20} MiB.",
    )


def bytes_max_by_count(order: OrderState, event: OrdersEvent | SubOrdersEvent) -> int:
    """As `bytes_max_after`, if names were as long as they may be: more in most cases, and quick to find.

    But for the SKUs that are in the state, an entry each: they take no more bytes than it, or twice as many in JSON.
    """
    if type(event) is SubOrderSplit:
        named, names = sum(len(child.lines) for child in event.children), 1 + len(event.children)
    else:
        named, names = len(getattr(event, "lines", None) or ()), 1
    kept = 0
    if order.lines is not None:
        kept = len(order.lines)
        named += sum(map(len, order.lines.values())) - kept  # their SKU is in the state only once
    for sub_order in order.sub_orders.values():
        names += 1
        for skus in _entries_of(sub_order):
            kept += len(skus)
    claims = sum(map(len, order.claims.values()))
    entries = named * _NAMED_BYTES_MAX + kept * _KEPT_BYTES_MAX
    return 9 * len(encode_order(order)) + entries + names * _CHILD_BYTES * 2 + claims * _MOVES_BYTES


def bytes_max_after(order: OrderState, event: OrdersEvent | SubOrdersEvent, default_warehouse: str) -> int:
    """A bound on the largest record of the order once the event is applied, without `_FIXED_BYTES` and dead letters."""
    everything, touched, ordered, named = Extent(), Extent(), Extent(), Extent()
    sub_order_named = getattr(event, "sub_order_id", "")
    spreads = _spreads(order, event)
    for sub_order_id, sub_order in order.sub_orders.items():
        owner_bytes = bytes_of([sub_order_id])
        for skus in _entries_of(sub_order):
            everything.add(owner_bytes, skus)
            if spreads or sub_order_id == sub_order_named:
                touched.add(owner_bytes, skus)
    ordered.add(0, [sku for sku, by_warehouse in (order.lines or {}).items() for _ in by_warehouse])
    entries = _skus_named_by(event)
    for owner, skus in entries:
        named.add(bytes_of([owner]), skus)
    everything = everything + ordered + named
    touched = touched + named + named  # where it leaves from and where it comes back to; or uncovered, and a claim
    names = len(order.sub_orders) + len(entries)
    name_bytes = bytes_of(order.sub_orders) + bytes_of(entry.owner for entry in entries) + names * _NAME_BYTES
    warehouse_bytes = max(bytes_of([name]) for name in _warehouses(order, event, default_warehouse))

    def located(extent: Extent, each: int) -> int:
        return extent.sku_bytes + extent.count * (warehouse_bytes + each)

    status = name_bytes + everything.owner_bytes + located(everything, _ROW_BYTES)
    retired = 2 * located(everything, _FLOW_BYTES)  # what shipped, and what came back
    answer = 2 * name_bytes
    state = (
        len(encode_order(order))
        - len(order.dead_letters) * _DEAD_LETTER_BYTES
        + len(entries) * _CHILD_BYTES
        + located(named, _LINE_BYTES)
        + located(touched, _CLAIM_BYTES)
        + 2 * located(ordered, _CLAIM_BYTES)  # what is uncovered anew, and its claims
        + sum(map(len, order.claims.values())) * _MOVES_BYTES
        + everything.owner_bytes
        + everything.sku_bytes
        + everything.count * _ALERT_BYTES
        + name_bytes
    )
    return max(status, retired, answer, state)


def _spreads(order: OrderState, event: OrdersEvent | SubOrdersEvent) -> bool:
    """Whether sub-orders may get another warehouse that the event does not name: what was split off from them has."""
    if type(event) is SubOrderCreated:
        named = order.sub_orders.get(event.sub_order_id)
        return named is not None and bool(named.children)
    return type(event) is SubOrderSplit


def _entries_of(sub_order: SubOrderFacts) -> Iterator[Collection[str]]:
    """The SKUs of a sub-order's lines, and of its returns that have their own."""
    yield sub_order.lines or ()
    for facts in sub_order.returns.values():
        yield facts.lines or ()


def _skus_named_by(event: OrdersEvent | SubOrdersEvent) -> list[OwnedSkus]:
    match event:
        case OrderCreated() | OrderAmended():
            return [OwnedSkus("", [line.sku for line in event.lines])]
        case SubOrderSplit():
            children = [OwnedSkus(child.sub_order_id, [line.sku for line in child.lines]) for child in event.children]
            return [OwnedSkus(event.sub_order_id, []), *children]
        case OrderCancelled() | OrderReinstated():
            return []
        case SubOrderCreated() | SubOrderCancelled() | SubOrderReturnStarted() | SubOrderReturned():
            return [OwnedSkus(event.sub_order_id, [line.sku for line in event.lines or ()])]
        case (
            SubOrderLabelIssued()
            | SubOrderShipped()
            | SubOrderInTransit()
            | SubOrderOnHold()
            | SubOrderDelivered()
            | SubOrderFailedToDeliver()
            | SubOrderWithdrawn()
            | SubOrderReinstated()
            | SubOrderShipmentVoided()
            | SubOrderReturnWithdrawn()
        ):
            return [OwnedSkus(event.sub_order_id, [])]
        case _:
            assert_never(event)


def _warehouses(order: OrderState, event: OrdersEvent | SubOrdersEvent, default_warehouse: str) -> set[str]:
    """Every warehouse that an entry may be in."""
    found = {default_warehouse, getattr(event, "warehouse_id", None) or ""}
    if isinstance(event, OrderCreated | OrderAmended):
        found.update(line.warehouse_id or "" for line in event.lines)
    elif isinstance(event, SubOrderSplit):
        found.update(child.warehouse_id or "" for child in event.children)
    for by_warehouse in (order.lines or {}).values():
        found.update(by_warehouse)
    for sub_order in order.sub_orders.values():
        found.add(sub_order.warehouse or "")
        found.update(facts.warehouse or "" for facts in sub_order.returns.values())
    return found
