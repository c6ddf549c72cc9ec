"""Orders that a program of state version 1 wrote, read as today's.

Version 1 kept minima, maxima and bits where version 2 keeps times. A fact whose time it lacks counts as of the earliest
moment that it may have happened, so whatever takes it back finds it. From what it lacks nothing else is derived.
"""

from __future__ import annotations

from schemas.state import OrderRow1, ReturnRow1, SubOrderRow1, decode_order_row_1
from worker.domain.order import timeline
from worker.domain.order.state import OrderState, ReturnFacts, SubOrderFacts, claim_of
from worker.domain.order.taken_back import MARKED_CANCELLED, MARKED_DELIVERED, MARKED_FAILED, MARKED_IN_TRANSIT
from worker.domain.order.timeline import CancelledUnits

_SHIPPED_MARKS = (
    (MARKED_IN_TRANSIT, timeline.IN_TRANSIT),
    (MARKED_DELIVERED, timeline.DELIVERED),
    (MARKED_FAILED, timeline.FAILED),
)


def decode_order_of_version_1(value: bytes) -> OrderState:
    """The order of a record of version 1. Raises msgspec.DecodeError where it is none."""
    order = OrderState(record=value)
    row: OrderRow1 = decode_order_row_1(value)
    (
        _,
        claims,
        order.known,
        order.eligible,
        order.occurred_at_max,
        order.seen_at,
        order.status,
        order.lines,
        order.lines_rank,
        order.cancelled_at,
        order.uncovered,
        order.identities,
        order.dead_letters,
        order.alerts,
        sub_orders,
    ) = row
    order.identities_of_1 = len(order.identities)
    for warehouse, rows in claims.items():
        order.claims[warehouse] = {sku: claim_of(claim) for sku, claim in rows.items()}
    for sub_order_id, facts in sub_orders.items():
        order.sub_orders[sub_order_id] = _sub_order_of(facts)
    return order


def _sub_order_of(row: SubOrderRow1) -> SubOrderFacts:
    facts = SubOrderFacts()
    (
        facts.status,
        facts.lines,
        facts.warehouse,
        facts.parent,
        lines_rank,
        facts.children,
        shipped_at,
        moved_at,
        facts.marks,
        facts.held_at,
        facts.resumed_at,
        cancels,
        returns,
    ) = row
    facts.lines_rank = None if lines_rank is None else (0, *lines_rank)
    shippings = [at for at in (shipped_at, moved_at) if at is not None]
    facts.shipped_at = min(shippings, default=None)
    for return_id, return_row in returns.items():
        facts.returns[return_id] = _return_of(return_row, moved_at)
    for at, units in cancels:
        _add(facts, at, timeline.CANCELLED_LINES)
        for sku, quantity in units.items():
            cancelled = facts.cancels.setdefault(sku, CancelledUnits())
            cancelled.note(at, quantity)
            cancelled.stand(at, quantity)
    _add(facts, facts.held_at, timeline.HOLD)
    _add(facts, shipped_at, timeline.SHIPPED)
    for mark, kind in _SHIPPED_MARKS:
        if facts.marks & mark:
            _add(facts, moved_at, kind)
    if facts.marks & MARKED_CANCELLED:
        _add(facts, timeline.NEVER + 1, timeline.CANCELLED_WHOLE)
    returned = [each.returned_at for each in facts.returns.values() if each.returned_at is not None]
    known = [*shippings, *returned, *(at for at, _ in cancels)]
    if facts.resumed_at is not None and facts.resumed_at > max(known, default=timeline.NEVER):
        _add(facts, facts.resumed_at, timeline.LABEL)
    return facts


def _add(facts: SubOrderFacts, at: int | None, kind: int) -> None:
    if at is not None:
        facts.timeline = timeline.add(facts.timeline, at, kind)


def _return_of(row: ReturnRow1, moved_at: int | None) -> ReturnFacts:
    facts = ReturnFacts()
    (
        facts.started,
        facts.returned_at,
        facts.lines,
        facts.lines_rank,
        facts.restock,
        facts.restock_rank,
        facts.warehouse,
        facts.warehouse_rank,
    ) = row
    if facts.started and moved_at is not None:
        facts.timeline = timeline.add(facts.timeline, moved_at, timeline.RETURN_STARTED)
    if facts.returned_at is not None:
        facts.timeline = timeline.add(facts.timeline, facts.returned_at, timeline.RETURNED)
    return facts
