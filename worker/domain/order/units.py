"""Facts to units: what of a sub-order's lines is open, shipped and cancelled, and what came back.

Contract section 3.
"""

from __future__ import annotations

from collections.abc import Iterator

from worker.domain.order.facts import in_order
from worker.domain.order.state import OrderState, ReturnFacts, SubOrderFacts
from worker.domain.order.taken_back import MARKED_CANCELLED, is_leaf, lines_of_return
from worker.domain.views import UnitRow
from worker.domain.violations import InvariantViolation

LeafLine = tuple[str, int, int, int, int]
"""SKU, quantity, and what of it is open, shipped and cancelled: these add up to it, and none is negative."""


def warehouse_of(order: OrderState, sub_order: SubOrderFacts) -> str | None:
    """The sub-order's warehouse; a child that names none has its parent's.

    None where no event has it, or parents go in a circle.
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
    warehouse = sub_order.warehouse or warehouse_of(order, sub_order)
    return None if warehouse is None else (warehouse, sub_order.lines)


def cancelled_by_lines(sub_order: SubOrderFacts, sku: str, quantity: int, until: int | None) -> int:
    """Units cancelled by lines: the maximum over the events (not later than `until` if given), at most `quantity`."""
    cancelled = sub_order.cancels.get(sku)
    return 0 if cancelled is None else min(cancelled.most(until), quantity)


def is_cancelled_whole(order: OrderState, sub_order: SubOrderFacts) -> bool:
    """Whether the sub-order itself is cancelled whole: by an event without lines, or by lines that reach every unit."""
    if sub_order.marks & MARKED_CANCELLED:
        return True
    located = located_lines(order, sub_order) if sub_order.cancels else None
    if located is None:
        return False
    return all(cancelled_by_lines(sub_order, sku, quantity, None) == quantity for sku, quantity in located[1].items())


def leaf_units(order: OrderState, sub_order: SubOrderFacts, lines: dict[str, int]) -> list[LeafLine]:
    """The units of a leaf's `lines` (SKU and quantity), in their order.

    Shipping beats cancelling, but for what was cancelled by lines before it shipped. Raises InvariantViolation where
    units do not add up to their quantity (contract section 10, 1).
    """
    shipped_at = sub_order.shipped_at
    if not sub_order.cancels:
        if shipped_at is not None:
            return [(sku, quantity, 0, quantity, 0) for sku, quantity in lines.items()]
        if order.cancelled_at is not None or sub_order.marks & MARKED_CANCELLED:
            return [(sku, quantity, 0, 0, quantity) for sku, quantity in lines.items()]
        return [(sku, quantity, quantity, 0, 0) for sku, quantity in lines.items()]
    is_cancelled = order.cancelled_at is not None or is_cancelled_whole(order, sub_order)
    units: list[LeafLine] = []
    for sku, quantity in lines.items():
        cancelled = cancelled_by_lines(sub_order, sku, quantity, shipped_at)
        rest = quantity - cancelled
        if rest < 0 or cancelled < 0:
            raise InvariantViolation(f"{cancelled} of {quantity} units of SKU {sku!r} are cancelled")
        if shipped_at is not None:
            units.append((sku, quantity, 0, rest, cancelled))
        elif is_cancelled:
            units.append((sku, quantity, 0, 0, quantity))
        else:
            units.append((sku, quantity, rest, 0, cancelled))
    return units


def cancelled_when_superseded(order: OrderState, sub_order: SubOrderFacts, sku: str, quantity: int) -> int:
    """Units of a superseded or withdrawn sub-order that were cancelled by lines and that its children do not have."""
    children = [located_lines(order, order.sub_orders[child]) for child in sub_order.children]
    of_children = sum(located[1].get(sku, 0) for located in children if located is not None)
    return max(0, min(cancelled_by_lines(sub_order, sku, quantity, None), quantity - of_children))


def shipped_units(order: OrderState, sub_order: SubOrderFacts) -> dict[str, int]:
    """Units of every SKU of a leaf that left the warehouse; empty while it has not shipped or its lines are unknown."""
    shipped_at = sub_order.shipped_at
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
        lines = lines_of_return(sub_order, facts)
        wanted = dict(left) if lines is None else lines
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
    sub_orders = order.sub_orders
    for sub_order_id in in_order(sub_orders):
        sub_order = sub_orders[sub_order_id]
        if (sub_order.children or sub_order.taken_back is not None) and not is_leaf(sub_order):
            continue
        located = located_lines(order, sub_order)
        if located is not None:
            warehouse, lines = located
            units = leaf_units(order, sub_order, lines)
            if len(units) > 1:
                units.sort()
            for sku, _, open_units, shipped, cancelled in units:
                rows.append((sub_order_id, warehouse, sku, open_units, shipped, cancelled))
    if order.uncovered:
        uncovered = [
            (warehouse, sku, units)
            for sku, by_warehouse in order.uncovered.items()
            for warehouse, units in by_warehouse.items()
        ]
        rows += [(None, warehouse, sku, units, 0, 0) for warehouse, sku, units in sorted(uncovered)]
    return rows
