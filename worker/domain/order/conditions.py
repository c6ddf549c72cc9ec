"""The conditions of an order that raise an alert while they hold. Contract sections 3 and 8.

`over_allocated` is decided in `worker.domain.order.claims` (`_uncovered_units`), in the pass that finds uncovered
units; here it only gets its text. The other conditions are decided here.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, assert_never

from schemas.outputs import AlertIds
from schemas.state import AlertRow
from worker.domain.order.facts import in_order
from worker.domain.order.state import OrderState
from worker.domain.order.taken_back import is_leaf
from worker.domain.order.units import over_returned_skus

REFUSED: Final[AlertRow] = ("order_refused", "", "")
"""A dead letter of the order is pending."""


def conditions_of(
    order: OrderState, sub_orders: Collection[str] | None, over_allocated: Collection[str]
) -> dict[AlertRow, str]:
    """The conditions that follow from an order's facts and hold, each with a sentence of detail.

    Those of `sub_orders` (None: all) are found here. `over_allocated` are the SKUs that `claims.settle` found so.
    """
    found: dict[AlertRow, str] = {}
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


def was_computed(row: AlertRow, sub_orders: Collection[str] | None, skus: Collection[str] | None) -> bool:
    """Whether `conditions_of` finds this one again where these were touched (None: all), if it still holds."""
    alert, sub_order_id, sku = row
    match alert:
        case "over_allocated":
            return skus is None or sku in skus
        case "over_returned" | "superseded_shipped":
            return sub_orders is None or sub_order_id in sub_orders
        case "order_refused":
            return False  # it follows from no fact
        case _:
            assert_never(alert)


def ids_of(order_id: str, row: AlertRow) -> AlertIds:
    """The ids that a condition is judged per."""
    alert, sub_order_id, sku = row
    match alert:
        case "over_allocated":
            return {"order_id": order_id, "sku": sku}
        case "over_returned":
            return {"order_id": order_id, "sub_order_id": sub_order_id, "sku": sku}
        case "superseded_shipped":
            return {"order_id": order_id, "sub_order_id": sub_order_id}
        case "order_refused":
            return {"order_id": order_id}
        case _:
            assert_never(alert)
