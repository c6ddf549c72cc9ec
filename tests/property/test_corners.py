"""Histories that chance seldom finds, or found once: the model and the real thing must agree on each."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.model import reading
from tests.model.reading import DAY_MS, HOUR_MS, MINUTE_MS
from tests.model.run import AccountPolicies, Record
from tests.property.drafts import ACCOUNTS, PARTITION, RETENTION_DAYS, START_MS
from tests.property.histories import moment
from tests.property.test_model_and_real import hold_against_each_other

Said = tuple[str, int, dict[str, Any]]
"""Type, occurred_at in minutes, fields; the type `days` lets that many days pass."""


def said(kind: str, at: int, **fields: object) -> Said:
    return kind, at, fields


def records_of(story: list[Said]) -> list[Record]:
    records = []
    passed_ms = 2 * HOUR_MS
    for number, (kind, at, fields) in enumerate(story):
        if kind == "days":
            passed_ms += at * DAY_MS
            continue
        topic = next(topic for topic, types in reading.TYPES.items() if kind in types)
        body: dict[str, Any] = {"type": kind, "event_id": f"e{number}", "account_id": ACCOUNTS[0], "order_id": "o"}
        body["occurred_at"] = moment(START_MS + at * MINUTE_MS)
        if kind.startswith("sub_order"):
            body["sub_order_id"] = "s"
        value = json.dumps({**body, **fields}).encode()
        timestamp = START_MS + passed_ms + number
        records.append(Record(topic, PARTITION, number, timestamp, ACCOUNTS[0].encode(), value))
    return records


def lines(quantity: int, sku: str = "k") -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity}]


CREATED = said("sub_order.created", 1, warehouse_id="w", lines=lines(4))
PLACED = said("order.created", 1, lines=lines(2))
STORIES: dict[str, list[Said]] = {
    "a hold between two cancellations of its order is over": [
        CREATED,
        said("order.cancelled", 2),
        said("sub_order.on_hold", 4),
        said("order.cancelled", 6),
    ],
    "a hold after both cancellations holds": [
        CREATED,
        said("order.cancelled", 2),
        said("order.cancelled", 4),
        said("sub_order.on_hold", 4),
    ],
    "placing an order is told where no unit moves": [
        CREATED,
        said("order.created", 2, lines=[{"sku": "k", "quantity": 4, "warehouse_id": "w"}]),
    ],
    "an order placed late without a SKU its sub-orders have is over-allocated": [
        CREATED,
        said("order.created", 2, lines=lines(1, "other")),
    ],
    "an amendment that drops a SKU its sub-orders have makes it over-allocated": [
        said("order.created", 1, lines=lines(4)),
        CREATED,
        said("order.amended", 3, revision=1, lines=lines(1, "other")),
    ],
    "a child whose warehouse is not known has no lines": [
        said("sub_order.returned", 5, sub_order_id="c", return_id="r", restock=True, lines=lines(9)),
        said("sub_order.cancelled", 4, sub_order_id="d", lines=lines(3)),
        said(
            "sub_order.split",
            3,
            children=[{"sub_order_id": "c", "lines": lines(1)}, {"sub_order_id": "d", "lines": lines(3)}],
        ),
        said("sub_order.cancelled", 2, lines=lines(2)),
        CREATED,
    ],
    "an event at the very moment of the last one of an order that left is stale, a later one too late": [
        PLACED,
        said("order.cancelled", 2),
        said("days", RETENTION_DAYS + 1),
        said("order.cancelled", 2),
        said("order.cancelled", 3),
        said("archive.requested", 3),
        said("days", 401),
        said("archive.requested", 3),
    ],
    "what an order that left shipped stays off the stock": [
        said(
            "stock.counted",
            0,
            origin="erp",
            snapshot_id="n",
            part=1,
            parts=1,
            warehouse_id="w",
            as_of=moment(START_MS),
            counts=[{"sku": "k", "on_hand": 9}],
        ),
        PLACED,
        CREATED,
        said("sub_order.delivered", 2),
        said("order.cancelled", 3),
        said("days", RETENTION_DAYS + 1),
        said("stock.adjusted", 4, warehouse_id="w", sku="k", delta=1),
        said("days", 401),
        said("stock.adjusted", 5, warehouse_id="w", sku="k", delta=1),
        said("days", 500),
        said("stock.adjusted", 6, warehouse_id="w", sku="k", delta=1),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_model_and_the_real_thing_agree_where(story: list[Said]) -> None:
    hold_against_each_other(records_of(story), AccountPolicies(retention_days=RETENTION_DAYS))
