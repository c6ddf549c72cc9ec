"""Drafts: what may happen in a history, drawn from a `random.Random` over alphabets so small that things collide."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.model import reading
from tests.model.reading import COMMANDS, HOUR_MS, MINUTE_MS, ORDERS, STOCK, SUB_ORDERS
from tests.model.run import AccountPolicies

PREFIX = "shop."
PARTITION_COUNT = 3
ACCOUNTS = ("acme", "bolt/ü")
PARTITION = reading.partition_of(ACCOUNTS[0], PARTITION_COUNT)
ELSEWHERE = "elsewhere"
ORDER_IDS = ("o1", "o2")
SUB_ORDER_IDS = ("s1", "s2", "s3", "s4")
SKUS = ("k1", "k/2", "k%3")
WAREHOUSES = ("w1", "w 2", "default")
RETURN_IDS = ("r1", "r2")
START_MS = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp() * 1000)
MINUTES = 12
RETENTION_DAYS = 30

assert reading.partition_of(ACCOUNTS[1], PARTITION_COUNT) == PARTITION
assert reading.partition_of(ELSEWHERE, PARTITION_COUNT) != PARTITION


@dataclass(frozen=True)
class Menu:
    """What may happen in a history.

    `clean`: only what invariant 4 speaks of, so nothing that ends in a dead letter and no `absent: zero`.
    `taking_back`: few sub-orders and times, and most that happens takes back or is taken back.
    """

    clean: bool = False
    jumps: bool = False
    counts: bool = True
    taking_back: bool = False


@dataclass(frozen=True)
class Draft:
    """`body` has its times in minutes; `old`: they are of before the jumps.

    `fault` says how the record is spoilt, `index` which earlier one it is about.
    """

    act: str = "say"
    topic: str = ORDERS
    body: dict[str, Any] | None = None
    old: bool = False
    fault: str | None = None
    index: int = 0
    back_ms: int = 0


RULES = (
    AccountPolicies(retention_days=RETENTION_DAYS),
    AccountPolicies(buffer=2, default_warehouse="w1", retention_days=RETENTION_DAYS),
    AccountPolicies(count_policy="report", retention_days=RETENTION_DAYS),
    AccountPolicies(count_origin="wms", retention_days=RETENTION_DAYS),
)
ADOPTING = tuple(policies for policies in RULES if policies.count_policy == "adopt")

FAULTS = ("none", "not json", "nan", "type", "lines", "key", "account", "future", "ancient")


def _minute(r: Random) -> int:
    return r.randint(0, MINUTES)


def _lines(r: Random, most: int = 3) -> list[dict[str, Any]]:
    return [{"sku": r.choice(SKUS), "quantity": r.randint(1, 4)} for _ in range(r.randint(1, most))]


def _order_lines(r: Random) -> list[dict[str, Any]]:
    lines = _lines(r, 5)
    for line in lines:
        if r.randint(0, 2):
            line["warehouse_id"] = r.choice(WAREHOUSES)
    return lines


def _maybe(r: Random, name: str, value: Callable[[], object]) -> dict[str, Any]:
    choice = r.randint(0, 3)
    return {name: value()} if choice > 1 else {name: None} if choice == 1 else {}


def _children(r: Random, parent: str) -> list[dict[str, Any]]:
    names = [name for name in SUB_ORDER_IDS if name != parent]
    chosen = r.sample(names, r.randint(1, len(names)))
    return [
        {"sub_order_id": name, "lines": _lines(r, 2), **_maybe(r, "warehouse_id", lambda: r.choice(WAREHOUSES))}
        for name in chosen
    ]


def _order_event(r: Random) -> tuple[str, dict[str, Any]]:
    kind = r.choice(("order.created",) * 5 + ("order.amended",) * 3 + ("order.cancelled",) * 2 + ("order.reinstated",))
    body: dict[str, Any] = {"type": kind, "order_id": r.choice(ORDER_IDS)}
    if kind in ("order.created", "order.amended"):
        body["lines"] = _order_lines(r)
    if kind == "order.amended":
        body["revision"] = r.randint(1, 3)
    return ORDERS, body


SUB_ORDER_KINDS = (
    ("created",) * 8
    + ("shipped", "cancelled", "delivered", "returned") * 4
    + ("split",) * 3
    + ("in_transit", "label_issued", "on_hold", "failed_to_deliver", "return_started") * 2
    + ("withdrawn", "withdrawn", "reinstated", "shipment_voided", "return_withdrawn")
)


TAKING_BACK_KINDS = (
    ("withdrawn", "reinstated", "shipment_voided", "return_withdrawn", "cancelled", "created") * 2
    + ("shipped", "in_transit", "delivered", "failed_to_deliver", "return_started", "returned")
    + ("label_issued", "on_hold", "split")
)


def _sub_order_event(r: Random, menu: Menu) -> tuple[str, dict[str, Any]]:
    kind = r.choice(TAKING_BACK_KINDS if menu.taking_back else SUB_ORDER_KINDS)
    parent = r.choice(SUB_ORDER_IDS[:2] if menu.taking_back else SUB_ORDER_IDS)
    body: dict[str, Any] = {"type": f"sub_order.{kind}", "order_id": r.choice(ORDER_IDS), "sub_order_id": parent}
    if kind == "created":
        body |= {"warehouse_id": r.choice(WAREHOUSES), "lines": _lines(r)}
        body |= _maybe(r, "revision", lambda: r.choice((0, 0, 1, 2))) | _maybe(r, "split_reason", lambda: "carrier")
    elif kind == "split":
        body |= {"children": _children(r, parent), **_maybe(r, "split_reason", lambda: "warehouse")}
    elif kind == "cancelled":
        body |= _maybe(r, "lines", lambda: _lines(r, 2))
    elif kind in ("return_started", "returned"):
        body |= {"return_id": r.choice(RETURN_IDS), **_maybe(r, "lines", lambda: _lines(r, 2))}
    elif kind == "return_withdrawn":
        body["return_id"] = r.choice(RETURN_IDS)
    elif kind in ("label_issued", "shipped", "in_transit"):
        body |= _maybe(r, "carrier", lambda: "c")
    if kind == "returned":
        body |= {"restock": r.randint(0, 3) > 0, **_maybe(r, "warehouse_id", lambda: r.choice(WAREHOUSES))}
    return SUB_ORDERS, body


SNAPSHOTS = {"n1": (3, 1, None), "n2": (6, 2, "unknown"), "n3": (9, 2, "zero"), "n4": (6, 1, None), "n5": (12, 3, None)}
"""Of a snapshot: as_of, parts, absent. They are what every part of it says, but for a few that contradict."""


def _count(r: Random, menu: Menu) -> tuple[str, dict[str, Any]]:
    snapshot_id = r.choice(tuple(SNAPSHOTS))
    as_of, parts, absent = SNAPSHOTS[snapshot_id]
    if not menu.clean and r.randint(0, 9) == 9:
        as_of, parts = _minute(r), r.randint(1, 3)
    if menu.clean:
        absent = None
    counts = [
        {"sku": sku, "on_hand": r.randint(-3, 12), **_maybe(r, "reserved", lambda: r.randint(0, 4))}
        for sku in r.sample(SKUS, r.randint(0, len(SKUS)))
    ]
    return STOCK, {
        "type": "stock.counted",
        "origin": r.choice(("erp", "erp", "wms", "wms", "marketplace")),
        "snapshot_id": snapshot_id,
        "part": r.randint(1, parts),
        "parts": parts,
        "warehouse_id": r.choice(WAREHOUSES),
        "as_of": as_of,
        "counts": counts,
        "absent": absent,
    }


def _adjustment(r: Random) -> tuple[str, dict[str, Any]]:
    delta = r.choice((-3, -1, 1, 5))
    return STOCK, {
        "type": "stock.adjusted",
        "warehouse_id": r.choice(WAREHOUSES),
        "sku": r.choice(SKUS),
        "delta": delta,
    }


def _transfer(r: Random, menu: Menu) -> tuple[str, dict[str, Any]]:
    from_warehouse, to_warehouse = r.sample(WAREHOUSES, 2)
    if not menu.clean and r.randint(0, 9) == 9:
        to_warehouse = from_warehouse  # which is dead-lettered
    warehouses = {"from_warehouse_id": from_warehouse, "to_warehouse_id": to_warehouse}
    return STOCK, {"type": "stock.transferred", **warehouses, "lines": _lines(r)}


ACTS = ("order",) * 4 + ("sub-order",) * 11 + ("count", "count", "adjust", "transfer", "archive")
DIRTY = ("repeat", "repeat", "conflict", "spoil", "spoil", "replay", "mend", "discard")


def draft(r: Random, menu: Menu) -> Draft:
    """One thing that happens."""
    acts = [act for act in ACTS if menu.counts or act != "count"]
    if not menu.clean:
        acts += DIRTY
    if menu.jumps:
        acts += ["jump", "jump", "settle"]
    act = r.choice(acts)
    if act == "settle":
        return Draft(act, body={"order_id": r.choice(ORDER_IDS)})
    if act in ("repeat", "conflict", "replay", "mend", "discard"):
        return Draft(act, index=r.randint(0, 1000))
    if act == "jump":
        return Draft(act, index=r.choice((1, 31, 31, 100, 400, 500)))
    fault = r.choice(FAULTS) if act == "spoil" else None
    topic, body = _content(r, act, menu)
    body["event_id"] = r.choice("abc")
    if not menu.clean and r.randint(0, 15) == 15:
        body["event_id"] = r.choice(("x1", "x2"))
    body["account_id"] = r.choice((ACCOUNTS[0],) * 4 + (ACCOUNTS[1],))
    body["occurred_at"] = _minute(r)
    if topic == STOCK and r.randint(0, 5) == 5:
        body["order_id"] = r.choice(ORDER_IDS)  # an unknown field there, but it makes a dead letter one of an order
    back_ms = r.choice((0,) * 7 + (5 * MINUTE_MS, 30 * HOUR_MS)) if not menu.clean else 0
    return Draft("say", topic, body, old=r.randint(0, 3) == 3, fault=fault, back_ms=back_ms)


def _content(r: Random, act: str, menu: Menu) -> tuple[str, dict[str, Any]]:
    match act:
        case "order":
            return _order_event(r)
        case "count":
            return _count(r, menu)
        case "adjust":
            return _adjustment(r)
        case "transfer":
            return _transfer(r, menu)
        case "archive":
            return COMMANDS, {"type": "archive.requested", "order_id": r.choice(ORDER_IDS)}
        case _:
            return _sub_order_event(r, menu)
