"""Alerts about an order: raised when a condition begins, cleared when it ceases. Contract sections 3 and 8."""

from __future__ import annotations

from schemas.topics import Topic
from tests.unit.domain.shop import Flushed, Shop, child, lines, ordered


def named(flushed: Flushed) -> list[tuple[str, str | None, str | None, str | None]]:
    return [
        (
            "cleared " * (alert["type"] == "alert.cleared") + alert["alert"],
            alert.get("order_id"),
            alert.get("sub_order_id"),
            alert.get("sku"),
        )
        for alert in flushed.events(Topic.ALERTS)
    ]


def test_over_allocation_begins_when_the_order_is_placed(shop: Shop) -> None:
    assert named(shop.sub_order(4)) == []
    assert named(shop.order(3)) == [("over_allocated", "o", None, "k")]


def test_over_allocation_of_a_sku_outlives_a_look_at_another(shop: Shop) -> None:
    shop.say("order.created", lines=[*ordered(1), *ordered(1, "w", "other")])
    shop.sub_order(2)
    assert named(shop.say("sub_order.created", 1, sub_order_id="t", lines=lines(1, "other"))) == []
    assert named(shop.sub_order(3, 2)) == []


def test_units_of_a_sku_that_was_not_ordered_are_over_allocated(shop: Shop) -> None:
    shop.order(3)
    flushed = shop.say("sub_order.created", 1, lines=lines(1, "other"))
    assert named(flushed) == [("over_allocated", "o", None, "other")]


def test_shipped_units_count_as_allocated(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.shipped", 1)
    assert named(shop.sub_order(1, 2, sub_order_id="t")) == [("over_allocated", "o", None, "k")]


def test_returns_beyond_what_shipped_are_raised_once_until_it_ceased(shop: Shop) -> None:
    shop.sub_order(3)
    assert named(shop.say("sub_order.returned", 2, lines=lines(3))) == []
    over = shop.say("sub_order.returned", 3, return_id="q", lines=lines(1))
    assert named(over) == [("over_returned", "o", "s", "k")]
    assert over.moves == []
    assert named(shop.say("sub_order.returned", 4, return_id="p", lines=lines(1))) == []
    assert named(shop.sub_order(5, 5)) == [("cleared over_returned", "o", "s", "k")]
    assert named(shop.sub_order(4, 6)) == [("over_returned", "o", "s", "k")]


def test_alerts_of_one_event_come_in_ascending_order(shop: Shop) -> None:
    skus = [f"k{number}" for number in range(9)]
    shop.say("order.created", lines=ordered(1))
    held = shop.say("sub_order.created", lines=[line for sku in reversed(skus) for line in lines(1, sku)])
    assert named(held) == [("over_allocated", "o", None, sku) for sku in skus]
    twice = [line for sku in reversed(skus) for line in lines(2, sku)]
    assert named(shop.say("sub_order.returned", 1, lines=twice)) == [("over_returned", "o", "s", sku) for sku in skus]


def test_returns_of_a_sku_that_never_shipped_are_over_returned(shop: Shop) -> None:
    shop.sub_order(3)
    assert named(shop.say("sub_order.returned", 2, lines=lines(1, "other"))) == [("over_returned", "o", "s", "other")]


def test_returns_before_the_lines_are_known_are_not_over_returned_yet(shop: Shop) -> None:
    assert named(shop.say("sub_order.returned", 2, lines=lines(3))) == []
    assert named(shop.sub_order(2)) == [("over_returned", "o", "s", "k")]


def test_a_superseded_sub_order_that_ships_is_raised_once(shop: Shop) -> None:
    shop.sub_order(3)
    shop.say("sub_order.split", 1, children=[child("c", 3)])
    assert named(shop.say("sub_order.shipped", 2)) == [("superseded_shipped", "o", "s", None)]
    assert named(shop.say("sub_order.delivered", 3)) == []


def test_a_shipped_sub_order_that_turns_out_superseded_is_raised(shop: Shop) -> None:
    shop.sub_order(3)
    shop.say("sub_order.shipped", 2)
    assert named(shop.say("sub_order.split", 1, children=[child("c", 3)])) == [("superseded_shipped", "o", "s", None)]


def test_over_returned_ceases_when_the_sub_order_is_superseded(shop: Shop) -> None:
    shop.sub_order(3)
    shop.say("sub_order.returned", 2, lines=lines(4))
    assert named(shop.say("sub_order.split", 1, children=[child("c", 3)])) == [
        ("cleared over_returned", "o", "s", "k"),
        ("superseded_shipped", "o", "s", None),
    ]


def test_what_was_raised_is_not_raised_again_after_a_restart(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(4)
    assert named(shop.restarted().sub_order(5, 1)) == []
