"""What is taken back of an order's facts, and what stands of them then. Contract section 3.

Each event that takes back is a *watermark* of its kinds: an event of theirs that happened not later counts for nothing,
whichever of the two arrives first.

    event                          what it hides, up to its own time
    order.reinstated               cancellations of the order
    sub_order.reinstated           cancellations of the sub-order
    sub_order.shipment_voided      shipped, in_transit, delivered, failed_to_deliver, and all of its returns
    sub_order.return_withdrawn     return_started and returned of its return
    sub_order.withdrawn            everything of the sub-order, once it was created again later

Of the first four only the greatest time of each counts, and it only ever rises. So what they hide is dropped for good.
The last one depends on the entry that gives the lines: withdrawn at 10:00 and 14:00, and created again at 12:00, it
hides what happened up to 10:00 (and 14:00 makes the sub-order withdrawn). An entry of a greater revision may come that
happened at 09:00: then nothing is hidden any more. So all withdrawals are kept, and what they hide is kept, too.

`stand` works out anew what stands of a sub-order, after its watermarks changed. Its cost grows with what is known of
the sub-order; no other event pays for it.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from schemas.inputs import (
    OrderReinstated,
    SubOrderReinstated,
    SubOrderReturnWithdrawn,
    SubOrderShipmentVoided,
    SubOrderWithdrawn,
)
from worker.domain.order import timeline
from worker.domain.order.state import OrderState, ReturnFacts, SubOrderFacts, TakenBack, name_sub_order
from worker.domain.order.timeline import NEVER, add
from worker.domain.order.touch import NOTHING, Touch

MARKED_IN_TRANSIT: Final = 1
MARKED_DELIVERED: Final = 2
MARKED_FAILED: Final = 4
MARKED_CANCELLED: Final = 8
"""Bits of `SubOrderFacts.marks`: an event of that kind stands; the last is a cancellation without lines."""

_SHIPMENTS: Final = frozenset({timeline.SHIPPED, timeline.IN_TRANSIT, timeline.DELIVERED, timeline.FAILED})
_CANCELLATIONS: Final = frozenset({timeline.CANCELLED_LINES, timeline.CANCELLED_WHOLE})
_RETURNS: Final = frozenset({timeline.RETURN_STARTED, timeline.RETURNED})
_MARKS: Final = {
    timeline.IN_TRANSIT: MARKED_IN_TRANSIT,
    timeline.DELIVERED: MARKED_DELIVERED,
    timeline.FAILED: MARKED_FAILED,
    timeline.CANCELLED_WHOLE: MARKED_CANCELLED,
}


def is_leaf(sub_order: SubOrderFacts) -> bool:
    """Whether the sub-order is neither superseded nor withdrawn: only then does it hold anything."""
    if sub_order.children:
        return False
    taken_back = sub_order.taken_back
    return taken_back is None or not taken_back.is_withdrawn


def note(sub_order: SubOrderFacts, at: int, kind: int) -> bool:
    """Note an event of the sub-order in its timeline; return whether it stands."""
    if sub_order.taken_back is None:
        sub_order.timeline = add(sub_order.timeline, at, kind)
        return True
    taken_back = sub_order.taken_back
    if kind in _SHIPMENTS and at <= taken_back.voided_at:
        return False
    if kind in _CANCELLATIONS and at <= taken_back.reinstated_at:
        return False
    sub_order.timeline = add(sub_order.timeline, at, kind)
    return at > taken_back.created_again_after


def is_cancellation_gone(sub_order: SubOrderFacts, at: int) -> bool:
    """Whether a cancellation of that time is taken back for good."""
    return sub_order.taken_back is not None and at <= sub_order.taken_back.reinstated_at


def is_return_gone(sub_order: SubOrderFacts, facts: ReturnFacts | None, at: int) -> bool:
    """Whether an event of a return of that time is taken back for good."""
    return at <= _return_gone_until(sub_order, facts)


def stands_in_return(sub_order: SubOrderFacts, at: int) -> bool:
    """Whether an event of a return that is not gone for good stands."""
    return sub_order.taken_back is None or at > sub_order.taken_back.created_again_after


def lines_of_return(sub_order: SubOrderFacts, facts: ReturnFacts) -> dict[str, int] | None:
    """The lines that the events of a return that stand give it."""
    rank = facts.lines_rank
    return facts.lines if rank is not None and stands_in_return(sub_order, rank[0]) else None


def warehouse_of_return(sub_order: SubOrderFacts, facts: ReturnFacts) -> str | None:
    """The warehouse that the events of a return that stand give it."""
    rank = facts.warehouse_rank
    return facts.warehouse if rank is not None and stands_in_return(sub_order, rank[0]) else None


def follow_lines(sub_order: SubOrderFacts) -> bool:
    """Find anew what withdrawals come to, after one was added or the lines changed; return whether that changed."""
    taken_back = sub_order.taken_back
    if taken_back is None or not taken_back.withdrawals:
        return False
    before = (taken_back.created_again_after, taken_back.is_withdrawn)
    withdrawals, rank = taken_back.withdrawals, sub_order.lines_rank
    if rank is None:
        taken_back.created_again_after, taken_back.is_withdrawn = NEVER, True
    else:
        earlier = bisect_left(withdrawals, rank[1])
        taken_back.created_again_after = withdrawals[earlier - 1] if earlier else NEVER
        taken_back.is_withdrawn = earlier < len(withdrawals)
    if taken_back.created_again_after != before[0]:
        stand(sub_order)
    return (taken_back.created_again_after, taken_back.is_withdrawn) != before


def stand(sub_order: SubOrderFacts) -> None:
    """Work out what stands of the sub-order's events, from their times and from what was taken back."""
    taken_back = sub_order.taken_back or TakenBack()
    floor = taken_back.created_again_after
    shipped_at: int | None = None
    resumed_at: int | None = None
    held_at: int | None = None
    marks = 0
    for at, kind in timeline.entries(sub_order.timeline):
        if at <= floor:
            continue
        if kind == timeline.HOLD:
            held_at = at
            continue
        resumed_at = at
        marks |= _MARKS.get(kind, 0)
        if kind in _SHIPMENTS and shipped_at is None:
            shipped_at = at
    for facts in sub_order.returns.values():
        facts.started, facts.returned_at = False, None
        for at, kind in timeline.entries(facts.timeline):
            if at <= floor:
                continue
            shipped_at = at if shipped_at is None else min(at, shipped_at)
            if kind == timeline.RETURN_STARTED:
                facts.started = True
                continue
            facts.returned_at = at if facts.returned_at is None else facts.returned_at
            resumed_at = at if resumed_at is None else max(at, resumed_at)
    sub_order.shipped_at, sub_order.resumed_at, sub_order.held_at, sub_order.marks = (
        shipped_at,
        resumed_at,
        held_at,
        marks,
    )
    for cancelled in sub_order.cancels.values():
        cancelled.stand_after(floor)


# The events that take back.


def reinstate_order(order: OrderState, _event: OrderReinstated, at: int, _: str) -> Touch | None:
    """Merge an `order.reinstated`."""
    if order.reinstated_at is not None and at <= order.reinstated_at:
        return None
    order.reinstated_at = at
    if order.cancelled_at is None or order.cancelled_at > at:
        return Touch(NOTHING, NOTHING, rows=not order.known)
    order.cancelled_at = None
    return Touch(None, None)


def reinstate(order: OrderState, event: SubOrderReinstated, at: int, _: str) -> Touch | None:
    """Merge a `sub_order.reinstated`."""
    sub_order = name_sub_order(order, event.sub_order_id)
    taken_back = _taken_back_of(sub_order)
    if at <= taken_back.reinstated_at:
        return None
    taken_back.reinstated_at = at
    sub_order.timeline = timeline.drop(sub_order.timeline, _CANCELLATIONS, at)
    for sku, cancelled in list(sub_order.cancels.items()):
        cancelled.drop(at)
        if not cancelled.log:
            del sub_order.cancels[sku]
    stand(sub_order)
    return _touch_of(event.sub_order_id, sub_order)


def void_shipment(order: OrderState, event: SubOrderShipmentVoided, at: int, _: str) -> Touch | None:
    """Merge a `sub_order.shipment_voided`."""
    sub_order = name_sub_order(order, event.sub_order_id)
    taken_back = _taken_back_of(sub_order)
    if at <= taken_back.voided_at:
        return None
    taken_back.voided_at = at
    sub_order.timeline = timeline.drop(sub_order.timeline, _SHIPMENTS, at)
    for return_id, facts in list(sub_order.returns.items()):
        _drop_return(sub_order, facts)
        if not facts.timeline and facts.withdrawn_at == NEVER:
            del sub_order.returns[return_id]
    stand(sub_order)
    return _touch_of(event.sub_order_id, sub_order)


def withdraw_return(order: OrderState, event: SubOrderReturnWithdrawn, at: int, _: str) -> Touch | None:
    """Merge a `sub_order.return_withdrawn`."""
    sub_order = name_sub_order(order, event.sub_order_id)
    facts = sub_order.returns.setdefault(event.return_id, ReturnFacts())
    if at <= facts.withdrawn_at:
        return None
    facts.withdrawn_at = at
    _drop_return(sub_order, facts)
    stand(sub_order)
    return _touch_of(event.sub_order_id, sub_order)


def withdraw(order: OrderState, event: SubOrderWithdrawn, at: int, _: str) -> Touch | None:
    """Merge a `sub_order.withdrawn`."""
    sub_order = name_sub_order(order, event.sub_order_id)
    withdrawals = _taken_back_of(sub_order).withdrawals
    index = bisect_left(withdrawals, at)
    if index < len(withdrawals) and withdrawals[index] == at:
        return None
    withdrawals.insert(index, at)
    if follow_lines(sub_order):
        return _touch_of(event.sub_order_id, sub_order)
    return Touch((event.sub_order_id,), NOTHING)


def _taken_back_of(sub_order: SubOrderFacts) -> TakenBack:
    taken_back = sub_order.taken_back
    if taken_back is None:
        taken_back = sub_order.taken_back = TakenBack()
    return taken_back


def _return_gone_until(sub_order: SubOrderFacts, facts: ReturnFacts | None) -> int:
    voided_at = NEVER if sub_order.taken_back is None else sub_order.taken_back.voided_at
    return voided_at if facts is None else max(voided_at, facts.withdrawn_at)


def _drop_return(sub_order: SubOrderFacts, facts: ReturnFacts) -> None:
    """Forget what is taken back of a return for good."""
    until = _return_gone_until(sub_order, facts)
    facts.timeline = timeline.drop(facts.timeline, _RETURNS, until)
    if facts.lines_rank is not None and facts.lines_rank[0] <= until:
        facts.lines, facts.lines_rank = None, None
    if facts.restock_rank is not None and facts.restock_rank[0] <= until:
        facts.restock, facts.restock_rank = False, None
    if facts.warehouse_rank is not None and facts.warehouse_rank[0] <= until:
        facts.warehouse, facts.warehouse_rank = None, None


def _touch_of(sub_order_id: str, sub_order: SubOrderFacts) -> Touch:
    return Touch((sub_order_id,), (sub_order.lines or {}).keys())
