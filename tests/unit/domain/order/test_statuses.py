"""Status of sub-orders and of the order: contract section 4."""

from __future__ import annotations

import pytest

from tests.unit.domain.shop import Shop, child, lines

Event = tuple[str, dict[str, object]]
Events = list[Event]

CREATED: Events = [("sub_order.created", {"lines": lines(3)})]
SPLIT: Event = ("sub_order.split", {"children": [child("c", 3)]})
HOLD: Event = ("sub_order.on_hold", {})
RETURNED: Event = ("sub_order.returned", {})
RETURNED_IN_PART: Event = ("sub_order.returned", {"lines": lines(2)})
DELIVERED: Event = ("sub_order.delivered", {})
FAILED: Event = ("sub_order.failed_to_deliver", {})
CANCELLED: Event = ("sub_order.cancelled", {})
CANCELLED_BY_LINES: Event = ("sub_order.cancelled", {"lines": lines(3)})
CANCELLED_IN_PART: Event = ("sub_order.cancelled", {"lines": lines(2)})
IN_TRANSIT: Event = ("sub_order.in_transit", {})
SHIPPED: Event = ("sub_order.shipped", {})
LABEL: Event = ("sub_order.label_issued", {})
ORDER_CANCELLED: Event = ("order.cancelled", {})


@pytest.mark.parametrize(
    ("events", "status"),
    [
        ([], "processing"),
        ([LABEL], "processing"),
        ([CANCELLED_IN_PART], "processing"),
        ([SHIPPED], "picked_up"),
        ([SHIPPED, RETURNED_IN_PART], "picked_up"),
        ([SHIPPED, ("sub_order.return_started", {})], "picked_up"),
        ([IN_TRANSIT], "in_transit"),
        ([SHIPPED, IN_TRANSIT], "in_transit"),
        ([CANCELLED], "cancelled"),
        ([CANCELLED_BY_LINES], "cancelled"),
        ([ORDER_CANCELLED], "cancelled"),
        ([IN_TRANSIT, ORDER_CANCELLED], "in_transit"),
        ([SHIPPED, CANCELLED], "failed_to_deliver"),
        ([SHIPPED, CANCELLED_BY_LINES], "failed_to_deliver"),
        ([IN_TRANSIT, CANCELLED], "failed_to_deliver"),
        ([FAILED], "failed_to_deliver"),
        ([FAILED, IN_TRANSIT], "failed_to_deliver"),
        ([DELIVERED], "delivered"),
        ([DELIVERED, FAILED], "delivered"),
        ([DELIVERED, CANCELLED], "delivered"),
        ([DELIVERED, RETURNED_IN_PART], "delivered"),
        ([DELIVERED, RETURNED], "returned"),
        ([FAILED, RETURNED], "returned"),
        ([DELIVERED, RETURNED, HOLD], "on_hold"),
        ([CANCELLED, HOLD], "on_hold"),
        ([DELIVERED, HOLD, SPLIT], "superseded"),
        ([SPLIT], "superseded"),
    ],
)
def test_a_sub_order_has_the_first_status_that_holds(shop: Shop, events: Events, status: str) -> None:
    for at, (kind, fields) in enumerate([*CREATED, *events]):
        shop.say(kind, at, **fields)
    assert shop.status() == status
    assert shop.restarted().status() == status


@pytest.mark.parametrize(("at", "holds"), [(4, True), (5, True), (6, False)])
def test_a_hold_ends_when_its_order_is_cancelled_later(shop: Shop, at: int, *, holds: bool) -> None:
    shop.sub_order(3)
    shop.say("sub_order.on_hold", 5)
    shop.say("order.cancelled", at)
    assert (shop.status() == "on_hold") is holds


def test_a_sub_order_that_is_named_by_a_split_alone_has_a_status(shop: Shop) -> None:
    shop.say("sub_order.split", 1, children=[child("c", 3)])
    assert shop.view().sub_orders == {"c": "processing", "s": "superseded"}


# What makes a leaf of one line have a status.
HOW: dict[str, Events] = {
    "processing": [],
    "on_hold": [HOLD],
    "picked_up": [SHIPPED],
    "in_transit": [IN_TRANSIT],
    "delivered": [DELIVERED],
    "failed_to_deliver": [FAILED],
    "cancelled": [CANCELLED],
    "returned": [RETURNED],
}


def say_leaves(shop: Shop, leaves: str) -> None:
    for number, status in enumerate(leaves.split()):
        for at, (kind, fields) in enumerate([*CREATED, *HOW[status]]):
            shop.say(kind, at, sub_order_id=f"s{number}", **fields)
    assert list(shop.view().sub_orders.values()) == leaves.split()


@pytest.mark.parametrize(
    ("leaves", "status"),
    [
        ("processing", "processing"),
        ("delivered", "delivered"),
        ("cancelled", "cancelled"),
        ("cancelled cancelled", "cancelled"),
        ("delivered cancelled", "delivered"),
        ("in_transit cancelled", "in_transit"),
        ("processing cancelled", "processing"),
        ("on_hold cancelled", "on_hold"),
        ("on_hold delivered", "on_hold"),
        ("on_hold processing", "on_hold"),
        ("delivered returned", "completed"),
        ("delivered failed_to_deliver cancelled", "completed"),
        ("returned failed_to_deliver", "completed"),
        ("picked_up in_transit", "in_transit"),
        ("delivered picked_up", "in_transit"),
        ("delivered in_transit cancelled", "in_transit"),
        ("returned in_transit", "in_transit"),
        ("failed_to_deliver picked_up", "in_transit"),
        ("processing picked_up", "partially_shipped"),
        ("processing delivered", "partially_shipped"),
        ("processing returned cancelled", "partially_shipped"),
        ("processing failed_to_deliver", "partially_shipped"),
    ],
)
def test_the_status_of_an_order_follows_from_those_of_its_leaves(shop: Shop, leaves: str, status: str) -> None:
    say_leaves(shop, leaves)
    assert shop.view().status == status
    assert shop.restarted().view().status == status


@pytest.mark.parametrize(
    ("leaves", "status"),
    [
        ("delivered", "partially_shipped"),
        ("in_transit", "partially_shipped"),
        ("cancelled", "processing"),
        ("processing", "processing"),
        ("on_hold", "on_hold"),
    ],
)
def test_uncovered_units_count_as_processing(shop: Shop, leaves: str, status: str) -> None:
    say_leaves(shop, leaves)
    shop.order(4)
    assert shop.view().status == status


def test_an_order_without_leaves_is_processing_until_it_is_cancelled(shop: Shop) -> None:
    shop.order(1)
    assert shop.view().status == "processing"
    shop.say("order.cancelled", 1)
    assert shop.view().status == "cancelled"


def test_superseded_sub_orders_do_not_count(shop: Shop) -> None:
    shop.sub_order(3)
    shop.say("sub_order.shipped", 1)
    shop.say("sub_order.split", 2, sub_order_id="s", children=[child("c", 3)])
    assert shop.view().status == "processing"


def test_an_order_whose_sub_orders_are_all_superseded_has_no_leaves(shop: Shop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="s", children=[child("c", 3)])
    shop.say("sub_order.split", 2, sub_order_id="c", children=[child("s", 3)])
    shop.say("sub_order.delivered", 3)
    assert shop.view().status == "processing"


def test_an_order_is_delivered_only_when_all_that_was_not_cancelled_is(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(1)
    shop.say("sub_order.delivered", 1)
    assert shop.view().status == "partially_shipped"
    shop.sub_order(2, 2, sub_order_id="t")
    assert shop.view().status == "partially_shipped"
    shop.say("sub_order.cancelled", 3, sub_order_id="t", lines=lines(2))
    assert shop.view().status == "delivered"


# The status record.


def test_a_status_record_says_all_of_an_order(shop: Shop) -> None:
    (status,) = shop.order(3).statuses
    del status["event_id"], status["cause"]
    assert status == {
        "type": "order.status_changed",
        "account_id": "a",
        "occurred_at": "2026-03-01T00:00:00.000Z",
        "order_id": "o",
        "status": "processing",
        "placed": True,
        "eligible": False,
        "sub_orders": {},
        "units": [{"sub_order_id": None, "warehouse_id": "w", "sku": "k", "open": 3, "shipped": 0, "cancelled": 0}],
    }
