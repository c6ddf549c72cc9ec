"""Facts to the status of sub-orders and of the order. Contract section 4."""

from __future__ import annotations

from typing import Final

from worker.domain.order import units
from worker.domain.order.state import OrderState, SubOrderFacts
from worker.domain.order.taken_back import MARKED_DELIVERED, MARKED_FAILED, MARKED_IN_TRANSIT

STATUSES: Final = (
    "superseded",
    "on_hold",
    "returned",
    "delivered",
    "failed_to_deliver",
    "cancelled",
    "in_transit",
    "picked_up",
    "processing",
    "completed",
    "partially_shipped",
    "withdrawn",
)
"""All statuses; the state and the masks below hold their indices. Append only: the numbers are in the state."""

SUPERSEDED: Final = 0
ON_HOLD: Final = 1
RETURNED: Final = 2
DELIVERED_STATUS: Final = 3
FAILED: Final = 4
CANCELLED: Final = 5
IN_TRANSIT_STATUS: Final = 6
PICKED_UP: Final = 7
PROCESSING: Final = 8
COMPLETED: Final = 9
PARTIALLY_SHIPPED: Final = 10
WITHDRAWN: Final = 11

NOT_LEAVES: Final = frozenset({SUPERSEDED, WITHDRAWN})

TERMINAL: Final = frozenset({DELIVERED_STATUS, CANCELLED, RETURNED, FAILED})
_LEAVES_MASK: Final = ~(1 << SUPERSEDED | 1 << WITHDRAWN)
_TERMINAL_MASK: Final = 1 << DELIVERED_STATUS | 1 << CANCELLED | 1 << RETURNED | 1 << FAILED
_SHIPPED_MASK: Final = 1 << PICKED_UP | 1 << IN_TRANSIT_STATUS | 1 << DELIVERED_STATUS | 1 << RETURNED | 1 << FAILED


def sub_order_status(order: OrderState, sub_order: SubOrderFacts) -> int:
    """The first status that holds, as an index of `STATUSES`."""
    if sub_order.children:
        return SUPERSEDED
    if sub_order.taken_back is not None and sub_order.taken_back.is_withdrawn:
        return WITHDRAWN
    if _is_held(order, sub_order):
        return ON_HOLD
    marks = sub_order.marks
    shipped = sub_order.shipped_at is not None
    if sub_order.returns and units.is_returned(order, sub_order):
        return RETURNED
    if marks & MARKED_DELIVERED:
        return DELIVERED_STATUS
    if marks & MARKED_FAILED or (shipped and units.is_cancelled_whole(order, sub_order)):
        return FAILED
    if not shipped:
        return CANCELLED if order.cancelled_at is not None or units.is_cancelled_whole(order, sub_order) else PROCESSING
    return IN_TRANSIT_STATUS if marks & MARKED_IN_TRANSIT else PICKED_UP


def _is_held(order: OrderState, sub_order: SubOrderFacts) -> bool:
    held_at = sub_order.held_at
    if held_at is None:
        return False
    return (sub_order.resumed_at is None or held_at >= sub_order.resumed_at) and (
        order.cancelled_at is None or held_at >= order.cancelled_at
    )


def leaf_mask(order: OrderState) -> int:
    """The statuses of the order's leaves, and `processing` if open units are uncovered, as bits."""
    mask = 1 << PROCESSING if order.uncovered else 0
    for sub_order in order.sub_orders.values():
        mask |= 1 << sub_order.status
    return mask & _LEAVES_MASK


def status_of_mask(order: OrderState, mask: int) -> int:
    """The status of the order, from its `leaf_mask`."""
    if not mask:  # no leaf, and nothing open
        return CANCELLED if order.cancelled_at is not None or order.lines is not None else PROCESSING
    return _STATUS_OF_MASK[mask]


def all_terminal(mask: int) -> bool:
    """Whether every status in a `leaf_mask` is terminal."""
    return not mask & ~_TERMINAL_MASK


def _status_of_mask(mask: int) -> int:
    others = mask & ~(1 << CANCELLED)
    mask = others or mask
    if mask & (mask - 1) == 0:
        return mask.bit_length() - 1
    if mask & 1 << ON_HOLD:
        return ON_HOLD
    if not mask & ~_TERMINAL_MASK:
        return COMPLETED
    if not mask & ~_SHIPPED_MASK:
        return IN_TRANSIT_STATUS
    return PARTIALLY_SHIPPED if mask & _SHIPPED_MASK else PROCESSING


_STATUS_OF_MASK: Final = tuple(_status_of_mask(mask) for mask in range(1 << PROCESSING + 1))
"""By the mask, which has no bit beyond `PROCESSING`: those are statuses of orders alone."""
