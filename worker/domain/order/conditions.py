"""The conditions of an order that raise an alert while they hold. Contract sections 3 and 8.

`over_allocated` is decided in `worker.domain.order.claims` (`_uncovered_units`), in the pass that finds uncovered
units; here it only gets its text. The other conditions are decided here.
"""

from __future__ import annotations

from collections.abc import Collection

from schemas.outputs import Alert
from worker.domain.order.facts import in_order
from worker.domain.order.state import OrderState
from worker.domain.order.taken_back import is_leaf
from worker.domain.order.units import over_returned_skus

Condition = tuple[Alert, str, str]
"""Alert, sub-order (or empty), SKU (or empty)."""


def conditions_of(
    order: OrderState, sub_orders: Collection[str] | None, over_allocated: Collection[str]
) -> dict[Condition, str]:
    """The conditions that hold, each with a sentence of detail.

    Those of `sub_orders` (None: all) are found here. `over_allocated` are the SKUs that `claims.settle` found so.
    """
    found: dict[Condition, str] = {}
    if over_allocated:
        for sku in sorted(over_allocated):
            found["over_allocated", "", sku] = f"Sub-orders hold more units of SKU {sku} than were ordered."
    known = order.sub_orders
    for sub_order_id in in_order(known if sub_orders is None else sub_orders):
        sub_order = known[sub_order_id]
        if not is_leaf(sub_order):
            if sub_order.shipped_at is not None:
                past = "split" if sub_order.children else "withdrawn"
                found["superseded_shipped", sub_order_id, ""] = (
                    f"Sub-order {sub_order_id} was {past} and is said to have shipped: its shipment counts for nothing."
                )
        elif sub_order.returns:
            for sku in sorted(over_returned_skus(order, sub_order)):
                found["over_returned", sub_order_id, sku] = (
                    f"More units of SKU {sku} came back from sub-order {sub_order_id} than it shipped."
                )
    return found
