"""What is known about an order, and how an event adds to it. Contract section 3.

Facts merge by maximum, minimum and union, so the order and the number of times in which events arrive do not matter.
Merging decides nothing about units or statuses: it finds which sub-orders and SKUs an event touched, and only those are
computed anew.

An example, of sub-order A, whose events come in the wrong order and one of them twice:

    event                     shipped_at (minimum)   resumed_at (maximum)   touched
    shipped at 10:00          10:00                  10:00                  A, and the SKUs of its lines
    shipped at 09:00          09:00                  10:00                  A, and its SKUs: units left earlier
    shipped at 10:00 again    09:00                  10:00                  nothing (None): nothing of it is new
    label issued at 11:00     09:00                  11:00                  A, no SKU: its status may differ

`merge` is the one writer of facts. Each of its functions first finds what is new, then writes that, and returns what it
touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum
from typing import Any, Final, final

from mypy_extensions import mypyc_attr

from schemas.inputs import (
    Line,
    OrderAmended,
    OrderCancelled,
    OrderCreated,
    OrdersEvent,
    SubOrderCancelled,
    SubOrderCreated,
    SubOrderDelivered,
    SubOrderFailedToDeliver,
    SubOrderInTransit,
    SubOrderLabelIssued,
    SubOrderOnHold,
    SubOrderReturned,
    SubOrderReturnStarted,
    SubOrdersEvent,
    SubOrderShipped,
    SubOrderSplit,
)
from worker.domain.order.state import OrderState, ReturnFacts, SubOrderFacts

IN_TRANSIT: Final = 1
DELIVERED: Final = 2
FAILED_TO_DELIVER: Final = 4
CANCELLED_WHOLE: Final = 8
"""Bits of `SubOrderFacts.marks`: an event of that kind is known."""


class Shortcut(Enum):
    """An event that in most cases changes units in one simple way: `claims` knows when that is all."""

    COVERS = "covers"
    """A sub-order got its first lines."""
    SHIPS = "ships"
    """A sub-order shipped."""


@mypyc_attr(acyclic=True)
@final
class Touch:
    """What an event changed the facts of; None stands for all.

    rows: units may lie in other rows of the status record although every stock key's claim is the same.
    """

    __slots__ = ("rows", "shortcut", "skus", "sub_orders")

    def __init__(
        self,
        sub_orders: Collection[str] | None,
        skus: Collection[str] | None,
        *,
        rows: bool = False,
        shortcut: Shortcut | None = None,
    ) -> None:
        self.sub_orders = sub_orders
        self.skus = skus
        self.rows = rows
        self.shortcut = shortcut


NOTHING: Final[Collection[str]] = ()
COVERS: Final = Shortcut.COVERS
SHIPS: Final = Shortcut.SHIPS


def merge(order: OrderState, event: OrdersEvent | SubOrdersEvent, at: int, default_warehouse: str) -> Touch | None:
    """Add the facts of `event`, which happened `at` (milliseconds), to those of `order`.

    Returns what it touched, or None where none of its facts is new. `default_warehouse` is where order lines that name
    none are.
    """
    # A dictionary, as to match the classes one by one costs more; a test walks the types.
    return _MERGES[type(event)](order, event, at, default_warehouse)


def shipped_at_of(sub_order: SubOrderFacts) -> int | None:
    """When the sub-order shipped: the earliest `shipped` event; without one, the earliest event that implies it.

    None: not shipped.
    """
    return sub_order.moved_at if sub_order.shipped_at is None else sub_order.shipped_at


def in_order(names: Collection[str]) -> list[str]:
    """Names in ascending order: most orders have one sub-order, and to sort one costs more than to ask."""
    return sorted(names) if len(names) > 1 else list(names)


def needs_default_warehouse(event: object) -> bool:
    """Whether the event has an order line without a warehouse."""
    return isinstance(event, OrderCreated | OrderAmended) and any(line.warehouse_id is None for line in event.lines)


def sum_lines(lines: Iterable[Line]) -> dict[str, int]:
    """Units by SKU; lines of one SKU add up."""
    units: dict[str, int] = {}
    for line in lines:
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    return units


def _place(order: OrderState, event: OrderCreated | OrderAmended, at: int, default_warehouse: str) -> Touch | None:
    rank = (event.revision if type(event) is OrderAmended else 0, at, event.event_id)
    if order.lines_rank is not None and rank <= order.lines_rank:
        return None
    lines: dict[str, dict[str, int]] = {}
    for line in event.lines:
        by_warehouse = lines.setdefault(line.sku, {})
        warehouse = line.warehouse_id or default_warehouse
        by_warehouse[warehouse] = by_warehouse.get(warehouse, 0) + line.quantity
    before = order.lines
    order.lines, order.lines_rank = lines, rank
    if before is None:  # placed now: what sub-orders have of other SKUs is more than was ordered
        return Touch(NOTHING, None if order.sub_orders else lines.keys(), rows=True)
    return Touch(NOTHING, lines.keys() | before.keys())


def _cancel_order(order: OrderState, _event: OrderCancelled, at: int, _: str) -> Touch | None:
    if order.cancelled_at is None:
        order.cancelled_at = at
        return Touch(None, None)
    if at > order.cancelled_at:
        order.cancelled_at = at
        return Touch(None, NOTHING)
    return None


def _sub_order(order: OrderState, sub_order_id: str) -> SubOrderFacts:
    sub_order = order.sub_orders.get(sub_order_id)
    if sub_order is None:
        sub_order = order.sub_orders[sub_order_id] = SubOrderFacts()
    return sub_order


def _give_lines(
    sub_order: SubOrderFacts, rank: tuple[int, str], lines: dict[str, int], warehouse: str | None, parent: str | None
) -> bool:
    """Give a sub-order its lines and warehouse, unless a later event gave them already."""
    if sub_order.lines_rank is not None and rank <= sub_order.lines_rank:
        return False
    sub_order.lines, sub_order.warehouse, sub_order.parent, sub_order.lines_rank = lines, warehouse, parent, rank
    return True


def _create(order: OrderState, event: SubOrderCreated, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    before, was_elsewhere = sub_order.lines, (sub_order.warehouse, sub_order.parent) != (event.warehouse_id, None)
    lines = sum_lines(event.lines)
    if not _give_lines(sub_order, (at, event.event_id), lines, event.warehouse_id, None):
        return None
    if sub_order.children:  # those that name no warehouse follow this one's
        return Touch(None, None, rows=was_elsewhere)
    if before is None:
        return Touch((event.sub_order_id,), lines.keys(), rows=True, shortcut=COVERS)
    return Touch((event.sub_order_id,), lines.keys() | before.keys(), rows=was_elsewhere or lines != before)


def _split(order: OrderState, event: SubOrderSplit, at: int, _: str) -> Touch | None:
    parent_id = event.sub_order_id
    parent = _sub_order(order, parent_id)
    changed = rows = False
    for entry in event.children:
        if entry.sub_order_id not in parent.children:
            parent.children.append(entry.sub_order_id)
            changed = rows = True
        inherits = parent_id if entry.warehouse_id is None else None
        child = _sub_order(order, entry.sub_order_id)
        named = (child.lines, child.warehouse, child.parent)
        if _give_lines(child, (at, event.event_id), sum_lines(entry.lines), entry.warehouse_id, inherits):
            changed = True
            rows = rows or named != (child.lines, child.warehouse, child.parent)
    return Touch(None, None, rows=rows) if changed else None


def _end_hold(sub_order: SubOrderFacts, at: int) -> bool:
    """Note an event that ends a hold, unless the hold is later; return whether that is new."""
    if sub_order.resumed_at is not None and at <= sub_order.resumed_at:
        return False
    sub_order.resumed_at = at
    return True


def _touch(
    sub_order_id: str,
    sub_order: SubOrderFacts,
    *,
    changed: bool,
    units_changed: bool,
    shortcut: Shortcut | None = None,
) -> Touch | None:
    if units_changed:
        return Touch((sub_order_id,), (sub_order.lines or {}).keys(), shortcut=shortcut)
    return Touch((sub_order_id,), NOTHING) if changed else None


def _label(order: OrderState, event: SubOrderLabelIssued, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    return _touch(event.sub_order_id, sub_order, changed=_end_hold(sub_order, at), units_changed=False)


def _hold(order: OrderState, event: SubOrderOnHold, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    if sub_order.held_at is not None and at <= sub_order.held_at:
        return None
    sub_order.held_at = at
    return Touch((event.sub_order_id,), NOTHING)


def _ship(order: OrderState, event: SubOrderShipped, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    resumed = _end_hold(sub_order, at)
    shortcut = None
    earlier = sub_order.shipped_at is None or at < sub_order.shipped_at
    if earlier:
        shortcut = SHIPS if shipped_at_of(sub_order) is None else None
        sub_order.shipped_at = at
    return _touch(event.sub_order_id, sub_order, changed=resumed, units_changed=earlier, shortcut=shortcut)


def _move(sub_order: SubOrderFacts, at: int) -> tuple[bool, bool]:
    """Note an event that implies a shipment; return whether it is new, and whether it dates the shipment."""
    if sub_order.moved_at is not None and at >= sub_order.moved_at:
        return False, False
    sub_order.moved_at = at
    return True, sub_order.shipped_at is None


def _mark(bit: int) -> Callable[[OrderState, Any, int, str], Touch | None]:
    def merge_mark(
        order: OrderState, event: SubOrderInTransit | SubOrderDelivered | SubOrderFailedToDeliver, at: int, _: str
    ) -> Touch | None:
        sub_order = _sub_order(order, event.sub_order_id)
        changed = _end_hold(sub_order, at) or not sub_order.marks & bit
        sub_order.marks |= bit
        shortcut = SHIPS if shipped_at_of(sub_order) is None else None
        moved, dates = _move(sub_order, at)
        return _touch(event.sub_order_id, sub_order, changed=changed or moved, units_changed=dates, shortcut=shortcut)

    return merge_mark


def _cancel(order: OrderState, event: SubOrderCancelled, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    resumed = _end_hold(sub_order, at)
    if event.lines is None:
        new = not sub_order.marks & CANCELLED_WHOLE
        sub_order.marks |= CANCELLED_WHOLE
    else:
        units = sum_lines(event.lines)
        # A cancellation adds nothing to one of at least as many units that happened no later.
        new = not any(known_at <= at and _reaches(known, units) for known_at, known in sub_order.cancels)
        if new:
            kept = [(k_at, known) for k_at, known in sub_order.cancels if not (at <= k_at and _reaches(units, known))]
            sub_order.cancels = [*kept, (at, units)]
    return _touch(event.sub_order_id, sub_order, changed=resumed, units_changed=new)


def _reaches(units: dict[str, int], others: dict[str, int]) -> bool:
    return all(units.get(sku, 0) >= quantity for sku, quantity in others.items())


def _return(
    sub_order: SubOrderFacts, return_id: str, rank: tuple[int, str], lines: list[Line] | None
) -> tuple[ReturnFacts, bool]:
    facts = sub_order.returns.get(return_id)
    changed = facts is None
    if facts is None:
        facts = sub_order.returns[return_id] = ReturnFacts()
    if lines is not None and (facts.lines_rank is None or rank > facts.lines_rank):
        facts.lines, facts.lines_rank = sum_lines(lines), rank
        changed = True
    return facts, changed


def _start_return(order: OrderState, event: SubOrderReturnStarted, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    facts, changed = _return(sub_order, event.return_id, (at, event.event_id), event.lines)
    changed |= not facts.started
    facts.started = True
    moved, dates = _move(sub_order, at)
    return _touch(event.sub_order_id, sub_order, changed=changed or moved, units_changed=changed or dates)


def _finish_return(order: OrderState, event: SubOrderReturned, at: int, _: str) -> Touch | None:
    sub_order = _sub_order(order, event.sub_order_id)
    rank = (at, event.event_id)
    facts, changed = _return(sub_order, event.return_id, rank, event.lines)
    if facts.returned_at is None or at < facts.returned_at:
        facts.returned_at = at
        changed = True
    if facts.restock_rank is None or rank > facts.restock_rank:
        facts.restock, facts.restock_rank = event.restock, rank
        changed = True
    if event.warehouse_id is not None and (facts.warehouse_rank is None or rank > facts.warehouse_rank):
        facts.warehouse, facts.warehouse_rank = event.warehouse_id, rank
        changed = True
    resumed = _end_hold(sub_order, at)
    moved, dates = _move(sub_order, at)
    return _touch(event.sub_order_id, sub_order, changed=changed or resumed or moved, units_changed=changed or dates)


_MERGES: Final[dict[type, Callable[[OrderState, Any, int, str], Touch | None]]] = {
    OrderCreated: _place,
    OrderAmended: _place,
    OrderCancelled: _cancel_order,
    SubOrderCreated: _create,
    SubOrderSplit: _split,
    SubOrderLabelIssued: _label,
    SubOrderShipped: _ship,
    SubOrderInTransit: _mark(IN_TRANSIT),
    SubOrderOnHold: _hold,
    SubOrderDelivered: _mark(DELIVERED),
    SubOrderFailedToDeliver: _mark(FAILED_TO_DELIVER),
    SubOrderCancelled: _cancel,
    SubOrderReturnStarted: _start_return,
    SubOrderReturned: _finish_return,
}
