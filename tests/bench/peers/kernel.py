"""The kernel of Stockfreeze's job, as far as every peer can do it: what an order holds of each stock key.

An order freezes its lines; a sub-order's lines are what it will ship; shipping releases them. Nothing else: no splits,
cancellations, returns, counts, statuses or duplicates. The two topics are read in no particular order, so what belongs
together may come in any: the order's record keeps what came first. Only the standard library is needed here, as every
peer written in Python imports it; the one in Java has the same in `KernelJob.java`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

DEFAULT_WAREHOUSE = "default"
KERNEL_TYPES = frozenset({"order.created", "sub_order.created", "sub_order.shipped"})

Order = dict[str, Any]
"""What is known of an order: its `lines`, and of its `sub_orders` the lines (once created) and whether each shipped."""


class Posting(NamedTuple):
    """A movement to be: of the order's account, in one warehouse."""

    warehouse_id: str
    sku: str
    delta: int
    """Units frozen (positive) or released (negative)."""


def decide(order: Order, event: dict[str, Any]) -> list[Posting]:
    """Take an event into its order's record (empty if it is the first), and give what moves, a posting a line."""
    kind = event["type"]
    if kind == "order.created":
        default = DEFAULT_WAREHOUSE
        lines = [(line.get("warehouse_id", default), line["sku"], line["quantity"]) for line in event["lines"]]
        order["lines"] = lines
        return [Posting(*line) for line in lines]
    sub_order = order.setdefault("sub_orders", {}).setdefault(event["sub_order_id"], {})
    if kind == "sub_order.created":
        warehouse_id = event["warehouse_id"]
        sub_order["lines"] = [(warehouse_id, line["sku"], line["quantity"]) for line in event["lines"]]
    elif kind == "sub_order.shipped":
        sub_order["shipped"] = True
    else:
        raise ValueError(f"{kind} is not part of the kernel")
    if "shipped" not in sub_order or "lines" not in sub_order:
        return []
    return [Posting(warehouse_id, sku, -quantity) for warehouse_id, sku, quantity in sub_order["lines"]]


def stock_key(account_id: str, posting: Posting) -> str:
    """The key of the level that a posting changes."""
    return f"{account_id}/{posting.warehouse_id}/{posting.sku}"


def movement(event: dict[str, Any], posting: Posting, frozen: int) -> dict[str, Any]:
    """The entry of the journal; `frozen` is the balance after it."""
    return {
        "type": "stock.moved",
        "movement": "freeze" if posting.delta > 0 else "release",
        "cause": event["event_id"],
        "account_id": event["account_id"],
        "order_id": event["order_id"],
        "occurred_at": event["occurred_at"],
        "warehouse_id": posting.warehouse_id,
        "sku": posting.sku,
        "quantity": abs(posting.delta),
        "frozen_delta": posting.delta,
        "frozen": frozen,
    }


def level(account_id: str, posting: Posting, frozen: int) -> dict[str, Any]:
    """The latest level of a stock key."""
    return {
        "type": "stock.level_changed",
        "account_id": account_id,
        "warehouse_id": posting.warehouse_id,
        "sku": posting.sku,
        "frozen": frozen,
    }
