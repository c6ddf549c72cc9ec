"""Counts, flows, balances and movements of a stock key: contract section 5."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.unit.domain.shop import APPLIED, STALE, Fields, Shop, child, iso, lines, ordered
from worker.domain.order.state import Claim
from worker.domain.policies import AccountPolicies
from worker.domain.stock.stock import SUSPECTS_KEPT_MAX, Stock, SuspectMovement
from worker.domain.violations import InvariantViolation


def new_stock() -> Stock:
    return Stock("w", "k", b"a/w/k", '"warehouse_id":"w","sku":"k"')


def shipped_shop(at: int) -> Shop:
    """10 units counted at minute 5, an order of 3, delivered at a minute."""
    shop = Shop()
    shop.count(10, 5)
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.delivered", at)
    return shop


# Balances.


def test_on_hand_is_null_until_counted(shop: Shop) -> None:
    (level,) = shop.order(3).levels
    assert (level["on_hand"], level["frozen"], level["available"], level["publishable"], level["as_of"]) == (
        None,
        3,
        None,
        None,
        None,
    )


def test_available_is_on_hand_less_frozen_and_publishable_less_the_buffer() -> None:
    shop = Shop(AccountPolicies(buffer=2))
    shop.order(3)
    (level,) = shop.count(10, 5).levels
    assert (level["on_hand"], level["available"], level["publishable"], level["as_of"]) == (10, 7, 5, iso(5))
    (level,) = shop.say("order.amended", 1, revision=1, lines=ordered(9)).levels
    assert (level["available"], level["publishable"]) == (1, 0)


def test_a_negative_count_is_taken_as_it_is(shop: Shop) -> None:
    (level,) = shop.count(-4, 5).levels
    assert (level["on_hand"], level["available"], level["publishable"]) == (-4, -4, 0)


@pytest.mark.parametrize(("at", "on_hand"), [(4, 10), (5, 10), (6, 7)])
def test_a_shipment_is_taken_off_only_strictly_after_the_count(at: int, on_hand: int) -> None:
    assert shipped_shop(at).stock() == (on_hand, 0)


@pytest.mark.parametrize(("at", "on_hand"), [(5, 7), (6, 10)])
def test_a_shipment_is_taken_off_by_the_ledger_or_the_count_never_by_both(at: int, on_hand: int) -> None:
    shop = Shop()
    shop.sub_order(3)
    shop.say("sub_order.shipped", 6)
    shop.count(10, at)
    assert shop.stock() == (on_hand, 0)


@pytest.mark.parametrize(("at", "on_hand"), [(29, 10), (30, 10), (31, 13)])
def test_a_restock_counts_only_strictly_after_the_count(at: int, on_hand: int) -> None:
    shop = Shop()
    shop.delivered_order(3)
    shop.count(10, 30)
    shop.say("sub_order.returned", at)
    assert shop.stock() == (on_hand, 0)


@pytest.mark.parametrize(("at", "on_hand", "outcome"), [(4, 10, STALE), (5, 10, STALE), (6, 14, APPLIED)])
def test_an_adjustment_counts_only_strictly_after_the_count(shop: Shop, at: int, on_hand: int, outcome: str) -> None:
    shop.count(10, 5)
    assert shop.say("stock.adjusted", at, delta=4).outcome == outcome
    assert shop.stock() == (on_hand, 0)


def test_flows_before_the_first_count_are_kept_for_it(shop: Shop) -> None:
    assert shop.say("stock.adjusted", 8, delta=-2).moves == []
    assert shop.say("stock.adjusted", 9, delta=7).moves == []
    assert shop.count(10, 8).moves == [("count", 17, 0, 17)]


@pytest.mark.parametrize(
    ("greater", "lesser"),
    [
        ({"as_of": iso(6)}, {"as_of": iso(5), "origin": "wms", "snapshot_id": "z"}),
        ({"origin": "wms"}, {"origin": "erp", "snapshot_id": "z"}),
        ({"snapshot_id": "b"}, {"snapshot_id": "a", "parts": 9, "part": 9}),
        ({"snapshot_id": "\U0001f600"}, {"snapshot_id": "\uffff"}),
        ({"part": 2, "parts": 2}, {"part": 1, "parts": 2}),
    ],
)
def test_the_greatest_count_holds_in_any_order(greater: Fields, lesser: Fields) -> None:
    for first, second in ((greater, lesser), (lesser, greater)):
        shop = Shop()
        shop.count(7 if first is greater else 1, 5, **{"snapshot_id": "n", **first})
        shop.count(7 if second is greater else 1, 5, **{"snapshot_id": "n", **second})
        assert shop.stock() == (7, 0)


# Movements.


def test_the_first_count_is_written_even_if_it_is_zero(shop: Shop) -> None:
    assert shop.count(0, 5).moves == [("count", 0, 0, 0)]


def test_an_equal_count_moves_nothing_but_dates_the_level(shop: Shop) -> None:
    shop.count(10, 5)
    flushed = shop.count(10, 6)
    assert (flushed.outcome, flushed.moves) == (APPLIED, [])
    assert [level["as_of"] for level in flushed.levels] == [iso(6)]


def test_another_count_moves_the_difference(shop: Shop) -> None:
    shop.count(10, 5)
    assert shop.count(7, 6).moves == [("count", -3, 0, -3)]


def test_an_adjustment_moves_on_hand(shop: Shop) -> None:
    shop.count(10, 5)
    assert shop.say("stock.adjusted", 6, delta=-4).moves == [("adjust", -4, 0, -4)]


def test_freezing_shipping_and_returning_move_what_they_say(shop: Shop) -> None:
    shop.count(10, 5)
    assert shop.order(5).moves == [("freeze", 5, 5, 0)]
    shop.sub_order(3)
    assert shop.say("sub_order.shipped", 9).moves == [("release", 3, -3, -3)]
    assert shop.say("sub_order.returned", 20, lines=lines(1)).moves == [("restock", 1, 0, 1)]
    assert shop.say("order.cancelled", 21).moves == [("unfreeze", 2, -2, 0)]
    assert shop.stock() == (8, 0)


def test_a_movement_carries_the_balance_after_it_and_the_ids_of_its_event(shop: Shop) -> None:
    shop.count(10, 5)
    shop.say("sub_order.shipped", 9)
    first, second = shop.sub_order(3).events(Topic.MOVEMENTS)
    assert (first["movement"], first["on_hand"], first["frozen"], first["available"]) == ("freeze", 10, 3, 7)
    assert (second["movement"], second["on_hand"], second["frozen"], second["available"]) == ("release", 7, 0, 7)
    assert [
        (move["order_id"], move["sub_order_id"], move["warehouse_id"], move["sku"]) for move in (first, second)
    ] == [
        ("o", "s", "w", "k"),
        ("o", "s", "w", "k"),
    ]
    (count,) = shop.count(1, 30).events(Topic.MOVEMENTS)
    assert "order_id" not in count


def test_goods_that_are_not_restocked_move_nothing(shop: Shop) -> None:
    shop.count(10, 5)
    shop.delivered_order(3)
    assert shop.say("sub_order.returned", 30, restock=False).moves == []


def test_goods_are_restocked_where_the_return_says(shop: Shop) -> None:
    shop.delivered_order(3)
    assert shop.say("sub_order.returned", 30, warehouse_id="x").places == [("x", "k", "restock", 3)]
    assert shop.stock("k", "x") == (None, 0)


def test_a_corrected_return_moves_its_restock_to_another_warehouse(shop: Shop) -> None:
    shop.count(10, 5)
    shop.count(10, 5, warehouse_id="x")
    shop.delivered_order(3)
    shop.say("sub_order.returned", 30)
    flushed = shop.say("sub_order.returned", 31, warehouse_id="x")
    assert flushed.places == [("w", "k", "restock", -3), ("x", "k", "restock", 3)]
    assert (shop.stock(), shop.stock("k", "x")) == ((7, 0), (13, 0))


@pytest.mark.parametrize(
    ("delivered", "shipped", "moved", "on_hand"), [(8, 4, 3, 10), (4, 8, 0, 10), (8, 9, 0, 7), (4, 3, 0, 10)]
)
def test_a_shipment_that_is_redated_across_the_count_is_an_adjustment(
    delivered: int, shipped: int, moved: int, on_hand: int
) -> None:
    shop = shipped_shop(delivered)
    flushed = shop.say("sub_order.shipped", shipped)
    assert flushed.moves == ([("adjust", moved, 0, moved)] if moved else [])
    assert shop.stock() == (on_hand, 0)


def test_a_return_that_is_redated_across_the_count_is_an_adjustment(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.count(10, 30)
    shop.say("sub_order.returned", 31)
    assert shop.say("sub_order.returned", 29).moves == [("adjust", -3, 0, -3)]


def test_a_shipment_that_turns_out_not_to_count_is_a_negative_release(shop: Shop) -> None:
    shop.count(10, 5)
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.shipped", 9)
    assert shop.say("sub_order.split", 8, children=[child("c", 3)]).moves == [("release", -3, 3, 3)]
    assert shop.stock() == (10, 3)


def test_a_shipment_of_fewer_units_is_corrected_and_the_rest_unfrozen(shop: Shop) -> None:
    shop.count(10, 5)
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.shipped", 9)
    flushed = shop.say("sub_order.cancelled", 8, lines=lines(1))
    assert flushed.moves == [("release", -1, 1, 1), ("unfreeze", 1, -1, 0)]
    assert shop.stock() == (8, 0)


def test_movements_of_one_event_are_ordered_by_warehouse_and_sku(shop: Shop) -> None:
    order_lines = [*ordered(1, "x", "b"), *ordered(1, "w", "c"), *ordered(1, "x", "a"), *ordered(1, "w", "d")]
    flushed = shop.say("order.created", lines=order_lines)
    assert [place[:2] for place in flushed.places] == [("w", "c"), ("w", "d"), ("x", "a"), ("x", "b")]


# Oversold.


def test_an_oversold_alert_says_where(shop: Shop) -> None:
    shop.count(2, 0)
    (alert,) = shop.order(3).events(Topic.ALERTS)
    assert (alert["severity"], alert["warehouse_id"], alert["sku"]) == ("critical", "w", "k")
    assert not {"order_id", "sub_order_id"} & alert.keys()


def test_a_count_or_an_adjustment_may_oversell_too(shop: Shop) -> None:
    shop.order(3)
    assert shop.count(3, 5).alerts == []
    assert shop.say("stock.adjusted", 6, delta=-1).alerts == ["oversold"]
    assert shop.count(3, 7).alerts == ["cleared oversold"]
    assert shop.count(2, 8).alerts == ["oversold"]


def test_a_first_count_below_what_is_frozen_oversells(shop: Shop) -> None:
    shop.order(3)
    assert shop.count(2, 5).alerts == ["oversold"]


# The key itself.


def test_flows_at_one_time_that_cancel_out_leave_nothing() -> None:
    stock = new_stock()
    stock.flow(5, 3)
    stock.flow(5, -3)
    stock.flow(4, 1)
    stock.fold(4)
    assert stock.adopt((0, "erp", "n", 1), 7) is not None
    assert stock.on_hand == 7


def test_folded_flows_stay_in_on_hand_and_are_corrected_there() -> None:
    stock = new_stock()
    stock.adopt((0, "erp", "n", 1), 10)
    stock.flow(5, -3)
    stock.flow(9, -1)
    stock.dirty = False
    stock.fold(6)
    assert (stock.on_hand, stock.expected_at(6), stock.expected_at(9), stock.dirty) == (6, 7, 6, True)
    assert stock.flow(4, 2) == 2
    assert (stock.on_hand, stock.expected_at(8)) == (8, 9)


def test_a_closed_time_belongs_to_the_count_with_nothing_left_to_fold() -> None:
    stock = new_stock()
    stock.adopt((0, "erp", "n", 1), 10)
    stock.flow(5, 3)
    stock.flow(5, -3)
    stock.fold(6)
    stock.dirty = False
    stock.close_at(5)
    assert (stock.dirty, stock.count.folded_until if stock.count else None) == (True, 5)
    stock.restore_flow(5, -3)
    stock.restored()
    assert stock.on_hand == 10


@pytest.mark.parametrize("at", [-1, 0, 4], ids=["before the count", "at the count", "folded already"])
def test_closing_a_time_that_the_count_has_already_changes_nothing(at: int) -> None:
    stock = new_stock()
    stock.close_at(at)
    assert not stock.dirty
    stock.adopt((0, "erp", "n", 1), 10)
    stock.flow(4, 3)
    stock.fold(6)
    stock.dirty = False
    stock.close_at(at)
    assert not stock.dirty


def test_flows_of_a_key_without_a_count_are_dropped_when_they_are_folded() -> None:
    stock = new_stock()
    stock.flow(5, -3)
    stock.fold(5)
    stock.adopt((1, "erp", "n", 1), 10)
    assert stock.on_hand == 10


@pytest.mark.parametrize("until", [1 << 60, (1 << 63) - 1])
def test_a_time_beyond_that_of_any_event_folds_what_there_is(
    until: int,
) -> None:
    stock = new_stock()
    stock.adopt((0, "erp", "n", 1), 10)
    stock.fold(until)
    assert (stock.on_hand, stock.expected_at(9)) == (10, 10)
    stock.flow(5, -3)
    stock.fold(until)
    assert (stock.on_hand, stock.expected_at(4)) == (7, 7)


def test_nothing_can_be_expected_of_a_key_without_a_count() -> None:
    with pytest.raises(InvariantViolation):
        new_stock().expected_at(5)


def test_frozen_units_other_than_the_open_ones_stop_the_partition() -> None:
    stock = new_stock()
    stock.post(None, Claim(3))
    stock.frozen = 2
    with pytest.raises(InvariantViolation, match="frozen 3, open units 4"):
        stock.post(Claim(3), Claim(4))


def test_the_latest_movements_at_a_key_are_remembered_as_suspects() -> None:
    stock = new_stock()
    for at in range(SUSPECTS_KEPT_MAX + 2):
        stock.remember_suspect(SuspectMovement(at, 1, "freeze", f"o-{at}", None))
    assert [touched.at for touched in stock.suspects] == list(range(2, SUSPECTS_KEPT_MAX + 2))
