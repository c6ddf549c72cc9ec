"""Examples of orders: what is frozen, released and given back, and what becomes of units. Contract sections 3 and 4."""

from __future__ import annotations

from tests.examples.shops import ExampleShop
from tests.model.alerts import cleared, raised
from tests.unit.domain.shop import child, lines, ordered


def test_an_order_freezes_and_its_shipment_releases(shop: ExampleShop) -> None:
    assert shop.count(10, 0).moves == [("count", 10, 0, 10)]
    assert shop.order(3, 1).moves == [("freeze", 3, 3, 0)]
    assert shop.sub_order(3, 2).moves == []
    assert shop.say("sub_order.shipped", 3).moves == [("release", 3, -3, -3)]
    assert shop.stock() == (7, 0)


def test_an_order_that_comes_twice_freezes_once(shop: ExampleShop) -> None:
    shop.order(4, 1, event_id="order")
    repeated = shop.order(4, 1, event_id="order")
    assert (repeated.outcomes, repeated.moves, repeated.levels) == ({"duplicate"}, [], [])
    assert shop.stock() == (None, 4)


def test_an_amendment_moves_the_difference(shop: ExampleShop) -> None:
    shop.order(5)
    assert shop.say("order.amended", 1, revision=1, lines=ordered(3)).moves == [("unfreeze", 2, -2, 0)]
    assert shop.say("order.amended", 2, revision=2, lines=ordered(7, "x")).places == [
        ("w", "k", "unfreeze", 3),
        ("x", "k", "freeze", 7),
    ]


def test_a_shipment_that_comes_twice_releases_once(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(4, 1)
    assert shop.say("sub_order.shipped", 2, event_id="ship").moves == [("release", 4, -4, -4)]
    repeated = shop.say("sub_order.shipped", 2, event_id="ship")
    assert (repeated.outcomes, repeated.moves, repeated.levels) == ({"duplicate"}, [], [])
    polled = shop.say("sub_order.shipped", 2)  # under another event_id
    assert ("stale" in polled.outcomes, polled.moves, polled.levels) == (True, [], [])
    assert shop.stock() == (6, 0)


def test_a_shipment_before_its_sub_order_freezes_and_releases_at_once(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.say("sub_order.shipped", 3)
    assert shop.sub_order(3, 1).moves == [("freeze", 3, 3, 0), ("release", 3, -3, -3)]
    assert shop.stock() == (7, 0)


def test_a_shipment_from_another_warehouse_releases_there_alone(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.count(7, 0, warehouse_id="v")
    shop.order(5, 1)
    flushed = shop.sub_order(5, 2, warehouse_id="v")
    assert flushed.places == [("v", "k", "freeze", 5), ("w", "k", "unfreeze", 5)]
    assert (shop.stock(), shop.stock("k", "v")) == ((10, 0), (7, 5))
    assert shop.say("sub_order.shipped", 3).places == [("v", "k", "release", 5)]
    assert (shop.stock(), shop.stock("k", "v")) == ((10, 0), (2, 0))


def test_units_elsewhere_than_ordered_are_taken_off_the_uncovered(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(2, 2, warehouse_id="v")
    assert shop.units() == [("s", "v", "k", 2, 0, 0), (None, "w", "k", 3, 0, 0)]


def test_cancelling_after_a_part_shipped_gives_back_the_rest(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(5, 1)
    shop.sub_order(2, 2)
    shop.say("sub_order.shipped", 3)
    assert shop.say("order.cancelled", 4).moves == [("unfreeze", 3, -3, 0)]
    assert shop.units() == [("s", "w", "k", 0, 2, 0)]
    assert shop.say("sub_order.cancelled", 5).moves == []
    assert shop.stock() == (8, 0)


def test_a_cancellation_that_comes_before_its_order_is_not_lost(shop: ExampleShop) -> None:
    shop.say("order.cancelled", 5)
    assert shop.order(4, 1).moves == []
    assert (shop.status(), shop.order_view()["eligible"], shop.units()) == ("cancelled", True, [])


def test_cancelling_what_was_never_frozen_moves_nothing(shop: ExampleShop) -> None:
    shop.count(10, 0)
    assert shop.say("order.cancelled", 1).moves == []
    assert shop.say("sub_order.cancelled", 1, lines=lines(3)).moves == []
    assert shop.stock() == (10, 0)


def test_a_delivery_that_comes_before_its_order_is_not_dropped(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.say("sub_order.delivered", 5)
    shop.sub_order(4, 2)
    shop.order(4, 1)
    assert shop.stock() == (6, 0)
    assert (shop.status(), shop.order_view()["eligible"]) == ("delivered", True)


def test_cancelled_lines_count_until_shipped_but_reach_whole_later(shop: ExampleShop) -> None:
    shop.sub_order(5, 1)
    shop.say("sub_order.cancelled", 2, lines=lines(2))
    shop.say("sub_order.shipped", 3)
    shop.say("sub_order.cancelled", 4, lines=lines(5))
    assert shop.units() == [("s", "w", "k", 0, 3, 2)]
    assert shop.sub_order_status() == "failed_to_deliver"


def test_cancelling_before_shipping_releases_the_shipped_units_alone(shop: ExampleShop) -> None:
    shop.order(5)
    shop.sub_order(5)
    assert shop.say("sub_order.cancelled", 2, lines=lines(2)).moves == [("unfreeze", 2, -2, 0)]
    assert shop.say("sub_order.shipped", 4).moves == [("release", 3, -3, 0)]
    assert shop.stock() == (None, 0)


def test_what_was_cancelled_before_a_split_stays_covered(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(5, 2)
    shop.say("sub_order.cancelled", 3, lines=lines(2))
    shop.say("sub_order.split", 4, children=[child("c", 3)])
    assert shop.units() == [("c", "w", "k", 3, 0, 0)]


def test_children_that_are_each_others_parents_move_nothing(shop: ExampleShop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="x", children=[child("y", 1)])
    shop.say("sub_order.split", 2, sub_order_id="y", children=[child("x", 1)])
    assert (shop.units(), shop.status()) == ([], "processing")


def test_movements_of_an_order_sum_to_nothing_when_it_completes(shop: ExampleShop) -> None:
    shop.count(10, 0)
    steps = [
        shop.order(6, 1),
        shop.sub_order(4, 2),
        shop.sub_order(2, 2, sub_order_id="t"),
        shop.say("sub_order.cancelled", 3, lines=lines(1)),
        shop.say("sub_order.delivered", 4),
        shop.say("sub_order.cancelled", 5, sub_order_id="t"),
    ]
    assert sum(frozen_delta for step in steps for _, _, frozen_delta, _ in step.moves) == 0
    assert (shop.stock(), shop.status()) == ((7, 0), "delivered")


def test_a_return_that_comes_twice_restocks_once(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(4, 1)
    shop.say("sub_order.shipped", 2)
    assert shop.say("sub_order.returned", 3, lines=lines(3)).moves == [("restock", 3, 0, 3)]
    assert shop.say("sub_order.returned", 3, lines=lines(3)).moves == []
    assert shop.say("sub_order.returned", 4, return_id="q", lines=lines(3)).moves == [("restock", 1, 0, 1)]
    assert shop.stock() == (10, 0)


def test_what_came_back_beyond_what_shipped_counts_for_nothing(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(3, 1)
    shop.say("sub_order.shipped", 2)
    assert shop.say("sub_order.returned", 5, return_id="r2").moves == [("restock", 3, 0, 3)]
    earlier = shop.say("sub_order.returned", 4, return_id="r1", lines=lines(5))
    assert earlier.alerts == [raised("over_returned", order_id="o", sub_order_id="s", sku="k")]
    assert (earlier.moves, shop.stock()) == ([], (10, 0))


def test_a_hold_not_earlier_than_a_label_holds(shop: ExampleShop) -> None:
    shop.sub_order(3, 1)
    shop.say("sub_order.label_issued", 3)
    shop.say("sub_order.on_hold", 3)
    assert shop.status() == "on_hold"
    shop.say("sub_order.label_issued", 4)
    assert shop.status() == "processing"


def test_over_allocation_is_raised_once_until_it_ceased(shop: ExampleShop) -> None:
    over = [raised("over_allocated", order_id="o", sku="k")]
    shop.order(3)
    assert shop.sub_order(4).alerts == over
    assert shop.sub_order(1, 1, sub_order_id="t").alerts == []
    assert shop.say("sub_order.cancelled", 2).alerts == [cleared("over_allocated", order_id="o", sku="k")]
    assert shop.sub_order(3, 3, sub_order_id="u").alerts == over
