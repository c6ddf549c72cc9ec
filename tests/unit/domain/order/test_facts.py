"""What is known about an order, whatever order its events arrive in: contract section 3."""

from __future__ import annotations

from itertools import permutations
from typing import get_args

import pytest

from schemas.decoding import Decoded
from schemas.inputs import OrdersEvent, SubOrdersEvent
from tests.unit.domain.shop import (
    STALE,
    Shop,
    body_of,
    child,
    decoded,
    lines,
    merge_into,
    ms,
    order_of,
    ordered,
    rows_of,
)
from worker.domain.order.facts import _MERGES
from worker.domain.order.units import warehouse_of

SHIPPING = (
    decoded("sub_order.shipped", 5),
    decoded("sub_order.in_transit", 5),
    decoded("sub_order.delivered", 5),
    decoded("sub_order.failed_to_deliver", 5),
    decoded("sub_order.return_started", 5),
    decoded("sub_order.returned", 5),
)
RESUMING = (
    "sub_order.label_issued",
    "sub_order.shipped",
    "sub_order.in_transit",
    "sub_order.delivered",
    "sub_order.failed_to_deliver",
    "sub_order.cancelled",
    "sub_order.returned",
)


def kind_of(event: object) -> str:
    assert isinstance(event, Decoded)
    return type(event.event).__name__


# Lines of the order.


def test_the_lines_of_the_greatest_revision_hold_in_any_order() -> None:
    events = (
        decoded("order.created", 9, lines=ordered(1)),
        decoded("order.amended", 2, revision=2, lines=ordered(5)),
        decoded("order.amended", 8, revision=1, lines=ordered(3)),
    )
    for arrival in permutations(events):
        assert order_of(arrival).lines == {"k": {"w": 5}}


def test_of_one_revision_the_latest_holds_then_the_greater_event_id() -> None:
    early = decoded("order.amended", 1, revision=1, lines=ordered(1), event_id="z")
    late = decoded("order.amended", 2, revision=1, lines=ordered(2), event_id="a")
    same_time = decoded("order.amended", 2, revision=1, lines=ordered(3), event_id="b")
    for arrival in permutations((early, late, same_time)):
        assert order_of(arrival).lines == {"k": {"w": 3}}


def test_lines_of_one_sku_and_warehouse_add_up() -> None:
    order = order_of([decoded("order.created", lines=[*ordered(2), *ordered(3), *ordered(4, "x")])])
    assert order.lines == {"k": {"w": 5, "x": 4}}


def test_a_line_without_a_warehouse_is_in_the_default_warehouse() -> None:
    assert order_of([decoded("order.created", lines=lines(2))]).lines == {"k": {"default": 2}}


def test_an_order_is_placed_by_its_creation_or_an_amendment_alone(shop: Shop) -> None:
    shop.sub_order(1)
    assert not shop.view().placed
    shop.say("order.amended", revision=4, lines=ordered(1))
    assert shop.view().placed


def test_lines_of_a_lesser_revision_are_stale(shop: Shop) -> None:
    shop.say("order.amended", 1, revision=2, lines=ordered(5))
    assert shop.say("order.amended", 2, revision=1, lines=ordered(3)).outcome == STALE
    assert shop.order(1, 3).outcome == STALE


# Cancelling the order.


def test_an_early_cancellation_is_not_lost(shop: Shop) -> None:
    shop.say("order.cancelled", 1)
    assert shop.order(3).moves == []
    assert shop.view().status == "cancelled"


def test_a_cancelled_order_cancels_sub_orders_that_come_later(shop: Shop) -> None:
    shop.order(3)
    shop.say("order.cancelled", 1)
    assert shop.sub_order(3, 2).moves == []
    assert shop.units() == [("s", "w", "k", 0, 0, 3)]


def test_a_cancelled_order_keeps_what_has_shipped(shop: Shop) -> None:
    shop.order(5)
    shop.sub_order(2, 1)
    shop.say("sub_order.shipped", 2)
    assert shop.say("order.cancelled", 3).moves == [("unfreeze", 3, -3, 0)]
    assert shop.units() == [("s", "w", "k", 0, 2, 0)]


# Lines and warehouse of a sub-order.


def test_the_lines_of_a_sub_order_are_those_of_its_latest_event() -> None:
    created = decoded("sub_order.created", 1, sub_order_id="c", lines=lines(9))
    split = decoded("sub_order.split", 3, children=[child("c", 4, warehouse_id="x")])
    again = decoded("sub_order.created", 2, sub_order_id="c", lines=lines(7))
    for arrival in permutations((created, split, again)):
        assert rows_of(*arrival) == [("c", "x", "k", 4, 0, 0)]


def test_lines_of_one_sku_of_a_sub_order_add_up() -> None:
    assert rows_of(decoded("sub_order.created", lines=[*lines(2), *lines(3)])) == [("s", "w", "k", 5, 0, 0)]


def test_a_sub_order_without_lines_keeps_its_facts_and_moves_nothing(shop: Shop) -> None:
    assert shop.say("sub_order.shipped", 5).moves == []
    assert shop.status() == "picked_up"
    assert shop.units() == []
    assert shop.sub_order(3, 1).moves == [("freeze", 3, 3, 0), ("release", 3, -3, 0)]
    assert shop.units() == [("s", "w", "k", 0, 3, 0)]


def test_a_child_inherits_its_parents_warehouse_through_all_generations() -> None:
    events = (
        decoded("sub_order.created", 1, warehouse_id="x", lines=lines(4)),
        decoded("sub_order.split", 2, children=[child("c", 4)]),
        decoded("sub_order.split", 3, sub_order_id="c", children=[child("d", 3), child("e", 1, warehouse_id="y")]),
    )
    for arrival in permutations(events):
        assert rows_of(*arrival) == [("d", "x", "k", 3, 0, 0), ("e", "y", "k", 1, 0, 0)]


def test_a_child_follows_its_parent_to_another_warehouse(shop: Shop) -> None:
    shop.sub_order(4, 1)
    shop.say("sub_order.split", 2, children=[child("c", 4)])
    flushed = shop.sub_order(4, 3, warehouse_id="x")
    assert flushed.places == [("w", "k", "unfreeze", 4), ("x", "k", "freeze", 4)]


def test_a_child_whose_parent_is_not_known_moves_nothing_until_it_is(shop: Shop) -> None:
    shop.say("sub_order.split", 2, children=[child("c", 4)])
    assert shop.units() == []
    assert shop.sub_order(9, 1).moves == [("freeze", 4, 4, 0)]


def test_parents_in_a_circle_leave_their_children_without_a_warehouse(shop: Shop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="a", children=[child("b", 2), child("c", 1)])
    assert shop.say("sub_order.split", 2, sub_order_id="b", children=[child("a", 2)]).moves == []
    order = order_of(
        [
            decoded("sub_order.split", 1, sub_order_id="a", children=[child("b", 2), child("c", 1)]),
            decoded("sub_order.split", 2, sub_order_id="b", children=[child("a", 2)]),
        ]
    )
    assert [warehouse_of(order, sub_order) for sub_order in order.sub_orders.values()] == [None, None, None]


def test_a_sub_order_that_becomes_a_child_keeps_its_latest_warehouse() -> None:
    created = decoded("sub_order.created", 1, sub_order_id="c", warehouse_id="x", lines=lines(1))
    orphaned = decoded("sub_order.split", 2, children=[child("c", 1)])
    assert rows_of(created, orphaned) == rows_of(orphaned, created) == []


# Splits.


def test_children_are_the_union_of_all_splits(shop: Shop) -> None:
    shop.sub_order(5)
    shop.say("sub_order.split", 1, children=[child("c", 3), child("d", 2)])
    flushed = shop.say("sub_order.split", 2, children=[child("e", 1), child("d", 1)])
    assert flushed.moves == []
    assert shop.units() == [("c", "w", "k", 3, 0, 0), ("d", "w", "k", 1, 0, 0), ("e", "w", "k", 1, 0, 0)]


def test_a_split_told_again_says_nothing_new(shop: Shop) -> None:
    shop.sub_order(5)
    shop.say("sub_order.split", 2, children=[child("c", 3)])
    assert shop.say("sub_order.split", 1, children=[child("c", 1)]).outcome == STALE
    assert shop.units() == [("c", "w", "k", 3, 0, 0)]


def test_what_happens_to_a_superseded_sub_order_counts_for_nothing(shop: Shop) -> None:
    shop.count(10, 0)
    shop.sub_order(3, 1)
    shop.say("sub_order.split", 2, children=[child("c", 2), child("d", 1)])
    assert shop.say("sub_order.shipped", 3).moves == []
    assert shop.say("sub_order.returned", 4).moves == []
    assert shop.stock() == (10, 3)


# Shipping.


@pytest.mark.parametrize("event", SHIPPING, ids=kind_of)
def test_what_only_shipped_goods_can_do_ships_them(event: Decoded) -> None:
    assert rows_of(decoded("sub_order.created", lines=lines(2)), event) == [("s", "w", "k", 0, 2, 0)]


@pytest.mark.parametrize("kind", ["sub_order.label_issued", "sub_order.on_hold", "sub_order.cancelled"])
def test_nothing_else_ships_them(kind: str) -> None:
    assert order_of([decoded(kind, 5)]).sub_orders["s"].shipped_at is None


def test_goods_shipped_at_the_earliest_event_that_implies_it() -> None:
    events = (decoded("sub_order.delivered", 3), decoded("sub_order.shipped", 8), decoded("sub_order.shipped", 7))
    for arrival in permutations(events):
        assert order_of(arrival).sub_orders["s"].shipped_at == ms(3)


def test_any_event_of_a_shipment_or_return_dates_it() -> None:
    events = (
        decoded("sub_order.delivered", 6),
        decoded("sub_order.in_transit", 4),
        decoded("sub_order.return_started", 5),
    )
    for arrival in permutations(events):
        assert order_of(arrival).sub_orders["s"].shipped_at == ms(4)


# Returns.


def test_every_fact_of_a_return_is_of_the_latest_event_that_gives_it() -> None:
    events = (
        decoded("sub_order.return_started", 1, lines=lines(1)),
        decoded("sub_order.returned", 3, lines=lines(2), restock=False, warehouse_id="x"),
        decoded("sub_order.returned", 5, restock=True),
    )
    for arrival in permutations(events):
        facts = order_of(arrival).sub_orders["s"].returns["r"]
        assert (facts.lines, facts.restock, facts.warehouse) == ({"k": 2}, True, "x")
        assert (facts.started, facts.returned_at) == (True, ms(3))


def test_of_two_warehouses_of_a_return_the_later_told_holds() -> None:
    events = (
        decoded("sub_order.returned", 3, warehouse_id="x"),
        decoded("sub_order.returned", 5, warehouse_id="y"),
        decoded("sub_order.returned", 4, warehouse_id="z"),
    )
    for arrival in permutations(events):
        assert order_of(arrival).sub_orders["s"].returns["r"].warehouse == "y"


# Holding.


@pytest.mark.parametrize("kind", RESUMING)
def test_a_hold_is_ended_by_later_events_alone(kind: str) -> None:
    for at, held in ((4, True), (5, True), (6, False)):
        for events in permutations([("sub_order.on_hold", 5), (kind, at)]):
            shop = Shop()
            for name, minute in events:
                shop.say(name, minute)
            assert (shop.status() == "on_hold") is held, (at, events)


def test_a_hold_is_ended_by_a_later_cancellation_whenever_that_comes() -> None:
    for first, second in ((2, 9), (9, 2)):
        shop = Shop()
        shop.say("sub_order.on_hold", 5)
        shop.say("order.cancelled", first)
        assert shop.status() == ("on_hold" if first == 2 else "cancelled")
        shop.say("order.cancelled", second)
        assert shop.status() == "cancelled"


def test_a_hold_outlives_the_start_of_a_return(shop: Shop) -> None:
    shop.say("sub_order.on_hold", 5)
    shop.say("sub_order.return_started", 6)
    assert shop.status() == "on_hold"


def test_the_latest_hold_counts(shop: Shop) -> None:
    shop.say("sub_order.on_hold", 9)
    shop.say("sub_order.label_issued", 7)
    assert shop.say("sub_order.on_hold", 5).outcome == STALE
    assert shop.status() == "on_hold"


# What is new.


def test_an_event_that_says_nothing_new_is_stale_and_leaves_its_identity(shop: Shop) -> None:
    shop.say("sub_order.delivered", 5)
    body = body_of("sub_order.delivered", 5)
    flushed = shop.send(body)
    assert (flushed.outcome, flushed.outputs) == (STALE, [])
    assert shop.send({**body, "reason": "left at the door"}).code == "conflict"


def test_an_earlier_shipment_is_news_and_a_later_one_dates_nothing() -> None:
    order = order_of(
        [decoded("sub_order.shipped", 5), decoded("sub_order.shipped", 4), decoded("sub_order.shipped", 6)]
    )
    assert order.sub_orders["s"].shipped_at == ms(4)


def test_merging_says_which_skus_an_event_touched() -> None:
    order = order_of([decoded("sub_order.created", lines=[*lines(1), *lines(1, "other")])])
    shipped = decoded("sub_order.shipped", 1)
    touch = merge_into(order, shipped.event, shipped.occurred_at_ms)
    assert touch is not None
    assert touch.sub_orders == ("s",)
    assert set(touch.skus or ()) == {"k", "other"}


def test_every_event_of_an_order_is_merged() -> None:
    assert _MERGES.keys() == {*get_args(OrdersEvent), *get_args(SubOrdersEvent)}
