"""Facts to units: what of a sub-order's lines is open, shipped and cancelled, and what came back.

Contract section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from schemas.state import OrderState, ReturnFacts, SubOrderFacts
from worker.domain.facts import CANCELLED_WHOLE, shipped_at_of
from worker.domain.views import UnitRow
from worker.domain.violations import InvariantViolation

Units = tuple[int, int, int]
"""Open, shipped and cancelled units of one SKU of a leaf: they add up to its quantity, and none is negative."""


def warehouse_of(order: OrderState, sub_order: SubOrderFacts) -> str | None:
    """The sub-order's warehouse; a child that names none has its parent's.

    None where no event says it, or parents go in a circle.
    """
    hops = 0
    while sub_order.warehouse is None and sub_order.parent is not None and hops <= len(order.sub_orders):
        sub_order = order.sub_orders[sub_order.parent]
        hops += 1
    return sub_order.warehouse


def located_lines(order: OrderState, sub_order: SubOrderFacts) -> tuple[str, dict[str, int]] | None:
    """The sub-order's warehouse and lines, or None while either is not known: it moves nothing then."""
    if sub_order.lines is None:
        return None
    warehouse = warehouse_of(order, sub_order)
    return None if warehouse is None else (warehouse, sub_order.lines)


def cancelled_by_lines(sub_order: SubOrderFacts, sku: str, quantity: int, until: int | None) -> int:
    """Units cancelled by lines: the maximum over the events (not later than `until` if given), at most `quantity`."""
    units = 0
    for at, lines in sub_order.cancels:
        if until is None or at <= until:
            units = max(units, lines.get(sku, 0))
    return min(units, quantity)


def is_cancelled_whole(order: OrderState, sub_order: SubOrderFacts) -> bool:
    """Whether the sub-order itself is cancelled whole: by an event without lines, or by lines that reach every unit."""
    if sub_order.marks & CANCELLED_WHOLE:
        return True
    located = located_lines(order, sub_order) if sub_order.cancels else None
    if located is None:
        return False
    return all(cancelled_by_lines(sub_order, sku, quantity, None) == quantity for sku, quantity in located[1].items())


def leaf_units(order: OrderState, sub_order: SubOrderFacts, sku: str, quantity: int) -> Units:
    """Units of one SKU of a leaf. Shipping beats cancelling, but for what was cancelled by lines before it shipped.

    Raises InvariantViolation where they do not add up to the quantity (contract section 10, 1).
    """
    shipped_at = shipped_at_of(sub_order)
    cancelled = cancelled_by_lines(sub_order, sku, quantity, shipped_at) if sub_order.cancels else 0
    open_units = shipped = 0
    if shipped_at is not None:
        shipped = quantity - cancelled
    elif order.cancelled_at is not None or is_cancelled_whole(order, sub_order):
        cancelled = quantity
    else:
        open_units = quantity - cancelled
    if open_units < 0 or shipped < 0 or cancelled < 0 or open_units + shipped + cancelled != quantity:
        raise InvariantViolation(
            f"{quantity} units of SKU {sku!r} became {open_units} open, {shipped} shipped, {cancelled} cancelled"
        )
    return open_units, shipped, cancelled


def cancelled_when_superseded(order: OrderState, sub_order: SubOrderFacts, sku: str, quantity: int) -> int:
    """Units of a superseded sub-order that were cancelled by lines and that its children do not have."""
    children = [located_lines(order, order.sub_orders[child]) for child in sub_order.children]
    of_children = sum(located[1].get(sku, 0) for located in children if located is not None)
    return max(0, min(cancelled_by_lines(sub_order, sku, quantity, None), quantity - of_children))


def shipped_units(order: OrderState, sub_order: SubOrderFacts) -> dict[str, int]:
    """Units of every SKU of a leaf that left the warehouse; empty while it has not shipped or its lines are unknown."""
    shipped_at = shipped_at_of(sub_order)
    located = None if shipped_at is None else located_lines(order, sub_order)
    if located is None:
        return {}
    return {
        sku: quantity - cancelled_by_lines(sub_order, sku, quantity, shipped_at) for sku, quantity in located[1].items()
    }


def returned_units(order: OrderState, sub_order: SubOrderFacts) -> Iterator[tuple[ReturnFacts, str, int, int]]:
    """What came back, return by return in the order of (returned_at, return_id).

    Yields the return, the SKU, the units that count, and those beyond what shipped.
    """
    left = shipped_units(order, sub_order)
    finished = [
        (facts.returned_at, return_id, facts)
        for return_id, facts in sub_order.returns.items()
        if facts.returned_at is not None
    ]
    for _, _, facts in sorted(finished, key=lambda entry: entry[:2]):
        wanted = dict(left) if facts.lines is None else facts.lines
        for sku, quantity in wanted.items():
            units = min(quantity, left.get(sku, 0))
            if units:
                left[sku] -= units
            yield facts, sku, units, quantity - units


def is_returned(order: OrderState, sub_order: SubOrderFacts) -> bool:
    """Whether units shipped and all of them are back."""
    if not any(facts.returned_at is not None for facts in sub_order.returns.values()):
        return False
    shipped = sum(shipped_units(order, sub_order).values())
    return shipped > 0 and shipped == sum(units for _, _, units, _ in returned_units(order, sub_order))


def over_returned_skus(order: OrderState, sub_order: SubOrderFacts) -> set[str]:
    """SKUs of which more came back than shipped."""
    if not sub_order.returns or located_lines(order, sub_order) is None:
        return set()
    return {sku for _, sku, _, excess in returned_units(order, sub_order) if excess}


def unit_rows(order: OrderState) -> list[UnitRow]:
    """The rows of a status record.

    Leaves with known lines by sub-order and SKU, then what no leaf covers by warehouse and SKU.
    """
    rows: list[UnitRow] = []
    for sub_order_id in sorted(order.sub_orders):
        sub_order = order.sub_orders[sub_order_id]
        located = None if sub_order.children else located_lines(order, sub_order)
        if located is not None:
            warehouse, lines = located
            rows += [
                (sub_order_id, warehouse, sku, *leaf_units(order, sub_order, sku, lines[sku])) for sku in sorted(lines)
            ]
    if order.uncovered:
        uncovered = [
            (warehouse, sku, units)
            for sku, by_warehouse in order.uncovered.items()
            for warehouse, units in by_warehouse.items()
        ]
        rows += [(None, warehouse, sku, units, 0, 0) for warehouse, sku, units in sorted(uncovered)]
    return rows
