"""What the growth measurements are fed with, where the standard load has nothing of the kind."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from schemas.topics import Topic
from tests.bench.steady_load import LoadRecord
from worker.demo.schedule import rfc3339

COUNTS_MAX: Final = 5000
"""Of a part, as the contract has it."""
HOT_SKU: Final = "sku-00000"


def record(topic: Topic, kind: str, account_id: str, number: str, at_ms: int, **fields: object) -> LoadRecord:
    """One event; `number` is its event_id."""
    common = {"type": kind, "event_id": number, "account_id": account_id, "occurred_at": rfc3339(at_ms)}
    return LoadRecord(topic, account_id.encode(), json.dumps(common | fields, separators=(",", ":")).encode())


def snapshot(name: str, skus: Sequence[str], at_ms: int, *, on_hand: int, absent: str = "unknown") -> list[LoadRecord]:
    """A count of one warehouse in parts that are as large as they may be."""
    parts = [skus[first : first + COUNTS_MAX] for first in range(0, len(skus), COUNTS_MAX)]
    return [
        record(
            Topic.STOCK,
            "stock.counted",
            "account-0",
            f"{name}-{number}",
            at_ms,
            origin="erp",
            snapshot_id=name,
            part=number,
            parts=len(parts),
            warehouse_id="central",
            as_of=rfc3339(at_ms),
            absent=absent,
            counts=[{"sku": sku, "on_hand": on_hand} for sku in part],
        )
        for number, part in enumerate(parts, 1)
    ]


def order_of(n_lines: int, name: str, at_ms: int) -> list[LoadRecord]:
    """The whole life of an order of so many SKUs, shipped in one piece: five events."""
    lines: list[dict[str, Any]] = [{"sku": f"sku-{number:05d}", "quantity": 2} for number in range(n_lines)]
    order = {"order_id": name}
    sub_order = {**order, "sub_order_id": f"{name}-1"}

    def load_record(number: int, topic: Topic, kind: str, **fields: object) -> LoadRecord:
        return record(topic, kind, "account-0", f"{name}/{number}", at_ms + number, **fields)

    return [
        load_record(
            1, Topic.ORDERS, "order.created", **order, lines=[line | {"warehouse_id": "central"} for line in lines]
        ),
        load_record(2, Topic.SUB_ORDERS, "sub_order.created", **sub_order, warehouse_id="central", lines=lines),
        load_record(3, Topic.SUB_ORDERS, "sub_order.label_issued", **sub_order),
        load_record(4, Topic.SUB_ORDERS, "sub_order.shipped", **sub_order),
        load_record(5, Topic.SUB_ORDERS, "sub_order.delivered", **sub_order),
    ]


def holders(n_orders: int, at_ms: int) -> Iterator[LoadRecord]:
    """Open orders that all hold the one hot SKU, in the default warehouse."""
    for number in range(n_orders):
        name = f"holder-{number}"
        yield record(
            Topic.ORDERS,
            "order.created",
            "account-0",
            f"{name}/1",
            at_ms + number,
            order_id=name,
            lines=[{"sku": HOT_SKU, "quantity": 1}],
        )
