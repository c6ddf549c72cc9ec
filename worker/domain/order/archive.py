"""When an order may be archived, and why not. Contract section 7."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple

from schemas.outputs import Blocking, SubOrderStatus
from worker.domain.order.facts import in_order
from worker.domain.order.state import OrderState, SubOrderFacts
from worker.domain.order.statuses import NOT_LEAVES, PROCESSING, STATUSES, TERMINAL, all_terminal, leaf_mask

STATUS_MESSAGE: Final = "Order status must be one of: delivered, cancelled, returned, failed_to_deliver"

RejectionCode = Literal["NOT_FOUND", "VALIDATION_ERROR", "RETURN_IN_PROGRESS", "DEAD_LETTERED"]


class Rejection(NamedTuple):
    """Why an order may not be archived: the first reason that fits."""

    code: RejectionCode
    message: str
    blocking: list[Blocking] | None = None


def is_eligible(order: OrderState, mask: int) -> bool:
    """Whether the order may be archived now; `mask` is its `statuses.leaf_mask`."""
    if not all_terminal(mask) or order.lines is None or order.dead_letters:
        return False
    return not any(
        sub_order.returns and sub_order.status not in NOT_LEAVES and _return_under_way(sub_order)
        for sub_order in order.sub_orders.values()
    )


def rejection_of(order: OrderState | None) -> Rejection | None:
    """Why the order may not be archived, None if it may."""
    if order is None or not order.known:
        return Rejection("NOT_FOUND", "No event of this order is known")
    if is_eligible(order, leaf_mask(order)):
        return None
    blocking = [
        Blocking(sub_order_id=sub_order_id, status=_name(sub_order.status))
        for sub_order_id, sub_order in sorted(order.sub_orders.items())
        if sub_order.status not in NOT_LEAVES and sub_order.status not in TERMINAL
    ]
    if order.uncovered:
        blocking.append(Blocking(sub_order_id=None, status=_name(PROCESSING)))
    leaves = [sub_order for sub_order in order.sub_orders.values() if sub_order.status not in NOT_LEAVES]
    if blocking or order.lines is None:
        return Rejection("VALIDATION_ERROR", STATUS_MESSAGE, blocking)
    if any(_return_under_way(leaf) for leaf in leaves):
        return Rejection("RETURN_IN_PROGRESS", "A return of the order is under way")
    return Rejection("DEAD_LETTERED", f"Dead letters of the order are pending: {', '.join(order.dead_letters)}")


def statuses_of(order: OrderState | None) -> dict[str, SubOrderStatus]:
    """The status of every sub-order by id, superseded and withdrawn ones too."""
    if order is None:
        return {}
    sub_orders = order.sub_orders
    return {sub_order_id: _name(sub_orders[sub_order_id].status) for sub_order_id in in_order(sub_orders)}


def _name(status: int) -> SubOrderStatus:
    return STATUSES[status]  # type: ignore[return-value]  # no sub-order is completed or partially shipped


def _return_under_way(sub_order: SubOrderFacts) -> bool:
    return any(facts.started and facts.returned_at is None for facts in sub_order.returns.values())
