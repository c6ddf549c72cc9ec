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

An event may be taken back, before or after it arrives (`taken_back`). So its time is noted (`timeline`), and it adds to
the facts only if it stands.

`merge` is the one writer of facts. Each of its functions first finds what is new, then writes that, and returns what it
touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from schemas.inputs import (
    Line,
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
from schemas.state import LinesRank
from worker.domain.order import taken_back, timeline
from worker.domain.order.state import OrderState, ReturnFacts, SubOrderFacts, name_sub_order
from worker.domain.order.taken_back import (
    MARKED_CANCELLED,
    MARKED_DELIVERED,
    MARKED_FAILED,
    MARKED_IN_TRANSIT,
    is_cancellation_gone,
    is_return_gone,
    note,
    stands_in_return,
)
from worker.domain.order.timeline import CancelledUnits
from worker.domain.order.touch import COVERS, NOTHING, SHIPS, Touch


def merge(order: OrderState, event: OrdersEvent | SubOrdersEvent, at: int, default_warehouse: str) -> Touch | None:
    """Add the facts of `event`, which happened `at` (milliseconds), to those of `order`.

    Returns what it touched, or None where none of its facts is new. `default_warehouse` is where order lines that name
    none are.
    """
    # A dictionary, as to match the classes one by one costs more; a test walks the types.
    return _MERGES[type(event)](order, event, at, default_warehouse)


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
    if order.reinstated_at is not None and at <= order.reinstated_at:
        return None
    if order.cancelled_at is None:
        order.cancelled_at = at
        return Touch(None, None)
    if at > order.cancelled_at:
        order.cancelled_at = at
        return Touch(None, NOTHING)
    return None


def _give_lines(
    sub_order: SubOrderFacts, rank: LinesRank, lines: dict[str, int], warehouse: str | None, parent: str | None
) -> bool:
    """Give a sub-order its lines and warehouse, unless an event of a greater rank gave them already."""
    if sub_order.lines_rank is not None and rank <= sub_order.lines_rank:
        return False
    sub_order.lines, sub_order.warehouse, sub_order.parent, sub_order.lines_rank = lines, warehouse, parent, rank
    return True


def _create(order: OrderState, event: SubOrderCreated, at: int, _: str) -> Touch | None:
    sub_order = name_sub_order(order, event.sub_order_id)
    before, was_elsewhere = sub_order.lines, (sub_order.warehouse, sub_order.parent) != (event.warehouse_id, None)
    lines = sum_lines(event.lines)
    if not _give_lines(sub_order, (event.revision or 0, at, event.event_id), lines, event.warehouse_id, None):
        return None
    is_another = sub_order.taken_back is not None and taken_back.follow_lines(sub_order)
    if sub_order.children:  # those that name no warehouse follow this one's
        return Touch(None, None, rows=was_elsewhere or is_another)
    if before is None:
        return Touch((event.sub_order_id,), lines.keys(), rows=True, shortcut=COVERS)
    rows = was_elsewhere or is_another or lines != before
    return Touch((event.sub_order_id,), lines.keys() | before.keys(), rows=rows)


def _split(order: OrderState, event: SubOrderSplit, at: int, _: str) -> Touch | None:
    parent_id = event.sub_order_id
    parent = name_sub_order(order, parent_id)
    changed = rows = False
    for entry in event.children:
        if entry.sub_order_id not in parent.children:
            parent.children.append(entry.sub_order_id)
            changed = rows = True
        inherits = parent_id if entry.warehouse_id is None else None
        child = name_sub_order(order, entry.sub_order_id)
        named = (child.lines, child.warehouse, child.parent)
        if _give_lines(child, (0, at, event.event_id), sum_lines(entry.lines), entry.warehouse_id, inherits):
            changed = True
            is_another = child.taken_back is not None and taken_back.follow_lines(child)
            rows = rows or is_another or named != (child.lines, child.warehouse, child.parent)
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
) -> Touch | None:
    if units_changed:
        return Touch((sub_order_id,), (sub_order.lines or {}).keys())
    return Touch((sub_order_id,), NOTHING) if changed else None


def _label(order: OrderState, event: SubOrderLabelIssued, at: int, _: str) -> Touch | None:
    sub_order = name_sub_order(order, event.sub_order_id)
    if not note(sub_order, at, timeline.LABEL):
        return None
    return Touch((event.sub_order_id,), NOTHING) if _end_hold(sub_order, at) else None


def _hold(order: OrderState, event: SubOrderOnHold, at: int, _: str) -> Touch | None:
    sub_order = name_sub_order(order, event.sub_order_id)
    if not note(sub_order, at, timeline.HOLD) or (sub_order.held_at is not None and at <= sub_order.held_at):
        return None
    sub_order.held_at = at
    return Touch((event.sub_order_id,), NOTHING)


def _ship(kind: int, mark: int) -> Callable[[OrderState, Any, int, str], Touch | None]:
    """What merges an event of a shipment; `mark` is the bit that it leaves, or 0."""

    def merge_shipment(
        order: OrderState,
        event: SubOrderShipped | SubOrderInTransit | SubOrderDelivered | SubOrderFailedToDeliver,
        at: int,
        _: str,
    ) -> Touch | None:
        sub_order = name_sub_order(order, event.sub_order_id)
        if not note(sub_order, at, kind):
            return None
        changed = _end_hold(sub_order, at) or sub_order.marks | mark != sub_order.marks
        sub_order.marks |= mark
        before = sub_order.shipped_at
        if before is not None and at >= before:
            return Touch((event.sub_order_id,), NOTHING) if changed else None
        sub_order.shipped_at = at
        shortcut = SHIPS if before is None else None
        return Touch((event.sub_order_id,), (sub_order.lines or {}).keys(), shortcut=shortcut)

    return merge_shipment


def _date_shipment(sub_order: SubOrderFacts, at: int) -> bool:
    """Note when goods had left at the latest; return whether that is earlier than was known."""
    if sub_order.shipped_at is not None and at >= sub_order.shipped_at:
        return False
    sub_order.shipped_at = at
    return True


def _cancel(order: OrderState, event: SubOrderCancelled, at: int, _: str) -> Touch | None:
    sub_order = name_sub_order(order, event.sub_order_id)
    if is_cancellation_gone(sub_order, at):
        return None
    stands = note(sub_order, at, timeline.CANCELLED_WHOLE if event.lines is None else timeline.CANCELLED_LINES)
    new = False
    for sku, units in sum_lines(event.lines or ()).items():
        cancelled = sub_order.cancels.get(sku)
        if cancelled is None:
            cancelled = sub_order.cancels[sku] = CancelledUnits()
        cancelled.note(at, units)
        new |= stands and cancelled.stand(at, units)
    if not stands:
        return None
    if event.lines is None:
        new = not sub_order.marks & MARKED_CANCELLED
        sub_order.marks |= MARKED_CANCELLED
    return _touch(event.sub_order_id, sub_order, changed=_end_hold(sub_order, at), units_changed=new)


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
    sub_order = name_sub_order(order, event.sub_order_id)
    if is_return_gone(sub_order, sub_order.returns.get(event.return_id), at):
        return None
    facts, changed = _return(sub_order, event.return_id, (at, event.event_id), event.lines)
    facts.timeline = timeline.add(facts.timeline, at, timeline.RETURN_STARTED)
    if not stands_in_return(sub_order, at):
        return None
    changed |= not facts.started
    facts.started = True
    dates = _date_shipment(sub_order, at)
    return _touch(event.sub_order_id, sub_order, changed=changed, units_changed=changed or dates)


def _finish_return(order: OrderState, event: SubOrderReturned, at: int, _: str) -> Touch | None:
    sub_order = name_sub_order(order, event.sub_order_id)
    if is_return_gone(sub_order, sub_order.returns.get(event.return_id), at):
        return None
    rank = (at, event.event_id)
    facts, changed = _return(sub_order, event.return_id, rank, event.lines)
    facts.timeline = timeline.add(facts.timeline, at, timeline.RETURNED)
    if facts.restock_rank is None or rank > facts.restock_rank:
        facts.restock, facts.restock_rank = event.restock, rank
        changed = True
    if event.warehouse_id is not None and (facts.warehouse_rank is None or rank > facts.warehouse_rank):
        facts.warehouse, facts.warehouse_rank = event.warehouse_id, rank
        changed = True
    if not stands_in_return(sub_order, at):
        return None
    if facts.returned_at is None or at < facts.returned_at:
        facts.returned_at = at
        changed = True
    resumed = _end_hold(sub_order, at)
    dates = _date_shipment(sub_order, at)
    return _touch(event.sub_order_id, sub_order, changed=changed or resumed, units_changed=changed or dates)


_MERGES: Final[dict[type, Callable[[OrderState, Any, int, str], Touch | None]]] = {
    OrderCreated: _place,
    OrderAmended: _place,
    OrderCancelled: _cancel_order,
    OrderReinstated: taken_back.reinstate_order,
    SubOrderCreated: _create,
    SubOrderSplit: _split,
    SubOrderLabelIssued: _label,
    SubOrderShipped: _ship(timeline.SHIPPED, 0),
    SubOrderInTransit: _ship(timeline.IN_TRANSIT, MARKED_IN_TRANSIT),
    SubOrderOnHold: _hold,
    SubOrderDelivered: _ship(timeline.DELIVERED, MARKED_DELIVERED),
    SubOrderFailedToDeliver: _ship(timeline.FAILED, MARKED_FAILED),
    SubOrderCancelled: _cancel,
    SubOrderReturnStarted: _start_return,
    SubOrderReturned: _finish_return,
    SubOrderWithdrawn: taken_back.withdraw,
    SubOrderReinstated: taken_back.reinstate,
    SubOrderShipmentVoided: taken_back.void_shipment,
    SubOrderReturnWithdrawn: taken_back.withdraw_return,
}
