"""From facts to units, statuses, flows and the conditions of alerts (contract sections 3 and 4).

Choices where the contract leaves room:
- `over_returned` is not raised for a sub-order that is superseded or withdrawn (its returns count for nothing) or
  whose lines are not known (it moves nothing, and its lines may still come).
- Children of a superseded sub-order count with their lines as known now, wherever they are; a child whose lines are
  not known counts 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from tests.model.facts import Facts, SubOrder

TERMINAL = {"delivered", "cancelled", "returned", "failed_to_deliver"}
SHIPPED_OR_BEYOND = {"picked_up", "in_transit", "delivered", "returned", "failed_to_deliver"}


class Row(NamedTuple):
    """Units of one SKU of a leaf; `sub_order_id` None: the order's units that no leaf covers."""

    sub_order_id: str | None
    warehouse_id: str
    sku: str
    open: int
    shipped: int
    cancelled: int


class Flow(NamedTuple):
    """Units that left a warehouse for good, or came back to it, at a moment (ms)."""

    warehouse_id: str
    sku: str
    at: int
    quantity: int


@dataclass
class Picture:
    """All that follows from an order's facts."""

    placed: bool = False
    cancelled: bool = False
    status: str = "processing"
    sub_orders: dict[str, str] = field(default_factory=dict)
    leaves: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    shipments: list[Flow] = field(default_factory=list)
    restocks: list[Flow] = field(default_factory=list)
    return_under_way: bool = False
    alerts: set[tuple[str, str | None, str | None]] = field(default_factory=set)  # (alert, sub_order_id, sku)

    @property
    def uncovered(self) -> bool:
        return any(row.sub_order_id is None and row.open for row in self.rows)


def picture_of(facts: Facts) -> Picture:
    picture = Picture(placed=facts.placed, cancelled=facts.cancelled)
    for sub_order_id, sub in sorted(facts.sub_orders.items()):
        rows = leaf_rows(sub_order_id, sub, order_cancelled=facts.cancelled) if sub.is_leaf else []
        taken, over = returned_units(sub)
        if not sub.is_leaf:
            if sub.shipped:
                picture.alerts.add(("superseded_shipped", sub_order_id, None))
        else:
            picture.leaves.append(sub_order_id)
            picture.alerts |= {("over_returned", sub_order_id, sku) for sku in over}
            picture.return_under_way |= any(r.started and not r.returned for r in sub.returns.values())
        picture.rows += rows
        picture.shipments += [Flow(r.warehouse_id, r.sku, _known(sub.shipped_at), r.shipped) for r in rows if r.shipped]
        if sub.is_leaf:
            picture.restocks += _restocks(sub, taken)
        shipped_units = sum(row.shipped for row in rows)
        back = sum(quantity for _, _, quantity in taken)
        all_back = shipped_units > 0 and back == shipped_units
        picture.sub_orders[sub_order_id] = sub_order_status(sub, all_back=all_back, order_cancelled=facts.cancelled)
    uncovered = uncovered_units(facts, picture.rows)
    if not facts.cancelled:
        picture.rows += [
            Row(None, w, sku, quantity, 0, 0) for (w, sku), quantity in sorted(uncovered.items()) if quantity
        ]
    picture.alerts |= {("over_allocated", None, sku) for sku in over_allocated(facts, picture.rows)}
    picture.status = order_status(picture)
    return picture


def _known(moment: int | None) -> int:
    assert moment is not None, "a leaf with shipped units has shipped at some time"
    return moment


def leaf_rows(sub_order_id: str, sub: SubOrder, *, order_cancelled: bool) -> list[Row]:
    """Cancelled by lines first; the rest shipped, else cancelled whole, else open."""
    if sub.lines is None or sub.warehouse_id is None:
        return []
    rows = []
    for sku, quantity in sorted(sub.lines.items()):
        cancelled = sub.cancelled.get(sku, 0)
        rest = quantity - cancelled
        if sub.shipped:
            split = (0, rest, cancelled)
        elif sub.whole or order_cancelled:
            split = (0, 0, quantity)
        else:
            split = (rest, 0, cancelled)
        rows.append(Row(sub_order_id, sub.warehouse_id, sku, *split))
    return rows


def returned_units(sub: SubOrder) -> tuple[list[tuple[str, str, int]], set[str]]:
    """What each return brought back, as (return_id, sku, quantity), and the SKUs of which more came back than left."""
    if not sub.is_leaf or sub.lines is None:
        return [], set()
    left = {row.sku: row.shipped for row in leaf_rows("", sub, order_cancelled=False)}
    taken, over = [], set()
    back = [(r.returned_at, return_id, r) for return_id, r in sub.returns.items() if r.returned_at is not None]
    for _, return_id, r in sorted(back, key=lambda entry: entry[:2]):
        for sku, quantity in (dict(left) if r.lines is None else r.lines).items():
            counted = min(quantity, left.get(sku, 0))
            if quantity > counted:
                over.add(sku)
            if counted:
                left[sku] -= counted
                taken.append((return_id, sku, counted))
    return taken, over


def _restocks(sub: SubOrder, taken: list[tuple[str, str, int]]) -> list[Flow]:
    flows = []
    for return_id, sku, quantity in taken:
        r = sub.returns[return_id]
        warehouse_id = r.warehouse_id or sub.warehouse_id
        assert warehouse_id is not None, "nothing returns from a sub-order whose warehouse is not known"
        if r.restock:
            flows.append(Flow(warehouse_id, sku, _known(r.returned_at), quantity))
    return flows


def sub_order_status(sub: SubOrder, *, all_back: bool, order_cancelled: bool) -> str:
    rules = [
        ("superseded", sub.superseded),
        ("withdrawn", sub.withdrawn),
        ("on_hold", sub.held),
        ("returned", all_back),
        ("delivered", "delivered" in sub.said),
        ("failed_to_deliver", "failed_to_deliver" in sub.said or (sub.shipped and sub.whole)),
        ("cancelled", not sub.shipped and (sub.whole or order_cancelled)),
        ("in_transit", "in_transit" in sub.said),
        ("picked_up", sub.shipped),
        ("processing", True),
    ]
    return next(status for status, holds in rules if holds)


def order_status(picture: Picture) -> str:
    statuses = {picture.sub_orders[leaf] for leaf in picture.leaves}
    if picture.uncovered:
        statuses.add("processing")
    if not statuses:
        return "cancelled" if picture.cancelled or picture.placed else "processing"
    if len(statuses) > 1:
        statuses.discard("cancelled")
    if len(statuses) == 1:
        return statuses.pop()
    if "on_hold" in statuses:
        return "on_hold"
    if statuses <= TERMINAL:
        return "completed"
    if statuses <= SHIPPED_OR_BEYOND:
        return "in_transit"
    if statuses & SHIPPED_OR_BEYOND:
        return "partially_shipped"
    return "processing"


def uncovered_units(facts: Facts, rows: list[Row]) -> dict[tuple[str, str], int]:
    """What the order's lines ask for and no leaf has taken over, by (warehouse_id, sku)."""
    uncovered = {}
    for sku in {sku for _, sku in facts.lines}:
        asked = {w: quantity for (w, s), quantity in facts.lines.items() if s == sku}
        leaves = [row for row in rows if row.sku == sku]
        parts = superseded_parts(facts, sku)
        warehouses = sorted({*asked, *(row.warehouse_id for row in leaves), *(w for w, _ in parts)})
        excess = 0
        left = {}
        for w in warehouses:
            o = asked.get(w, 0)
            c = sum(row.open + row.shipped + row.cancelled for row in leaves if row.warehouse_id == w)
            c += sum(quantity for where, quantity in parts if where == w)
            live = sum(row.open + row.shipped for row in leaves if row.warehouse_id == w)
            left[w] = max(0, o - c)
            excess += c if o == 0 else max(0, live - o)
        for w in warehouses:
            off = min(excess, left[w])
            excess -= off
            uncovered[w, sku] = left[w] - off
    return uncovered


def superseded_parts(facts: Facts, sku: str) -> list[tuple[str, int]]:
    """What superseded and withdrawn sub-orders still cover: cancelled by their lines, in no child.

    As (warehouse_id, quantity).
    """
    parts = []
    for sub in facts.sub_orders.values():
        if not sub.is_leaf and sub.lines is not None and sub.warehouse_id is not None:
            in_children = sum((facts.sub_orders[child].lines or {}).get(sku, 0) for child in sub.children)
            quantity = sub.lines.get(sku, 0)
            parts.append((sub.warehouse_id, max(0, min(sub.cancelled.get(sku, 0), quantity - in_children))))
    return parts


def over_allocated(facts: Facts, rows: list[Row]) -> set[str]:
    if not facts.placed:
        return set()
    over = set()
    for sku in {row.sku for row in rows}:
        live = sum(row.open + row.shipped for row in rows if row.sku == sku and row.sub_order_id is not None)
        if live > sum(quantity for (_, s), quantity in facts.lines.items() if s == sku):
            over.add(sku)
    return over
