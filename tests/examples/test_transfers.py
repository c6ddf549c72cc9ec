"""Examples of transfers between two warehouses, "w" and "x". Contract sections 3, 5 and 8."""

from __future__ import annotations

from tests.examples.shops import ExampleShop
from tests.unit.domain.shop import DAY, lines

ON_THE_WAY = {"from_warehouse_id": "x", "to_warehouse_id": "w"}


def count_both(shop: ExampleShop, at: int = 0, *, leaving: int = 10, arriving: int = 0) -> None:
    """Counts of both warehouses at one moment."""
    shop.count(leaving, at, snapshot_id=f"w{at}")
    shop.count(arriving, at, snapshot_id=f"x{at}", warehouse_id="x")


def test_a_transfer_moves_both_warehouses_in_ascending_order(shop: ExampleShop) -> None:
    count_both(shop)
    flushed = shop.say("stock.transferred", 10, lines=lines(6))
    assert flushed.moves == [("transfer", -6, 0, -6), ("transfer", 6, 0, 6)]
    assert flushed.places == [("w", "k", "transfer", -6), ("x", "k", "transfer", 6)]
    back = shop.say("stock.transferred", 11, **ON_THE_WAY, lines=lines(2))
    assert back.places == [("w", "k", "transfer", 2), ("x", "k", "transfer", -2)]
    assert (shop.stock(), shop.stock(warehouse_id="x")) == ((6, 0), (4, 0))


def test_lines_of_one_sku_of_a_transfer_add_up(shop: ExampleShop) -> None:
    count_both(shop)
    flushed = shop.say("stock.transferred", 10, lines=[*lines(1), *lines(4, "a"), *lines(2)])
    assert flushed.places == [("w", "k", "transfer", -3), ("x", "k", "transfer", 3)], "the other SKU is not counted"
    assert shop.stock() == (7, 0)


def test_an_arrival_that_a_count_already_had_is_not_taken_again(shop: ExampleShop) -> None:
    """What the case of a transfer between two counts must come to."""
    count_both(shop)
    assert shop.count(6, 15, snapshot_id="late", warehouse_id="x").moves == [("count", 6, 0, 6)]
    moved = shop.say("stock.transferred", 10, event_id="t", lines=lines(6))
    assert (moved.outcomes, moved.places) == ({"applied"}, [("w", "k", "transfer", -6)])
    assert shop.say("stock.transferred", 10, event_id="t", lines=lines(6)).outcomes == {"duplicate"}
    assert (shop.stock(), shop.stock(warehouse_id="x")) == ((4, 0), (6, 0))
    assert shop.count(4, 20, snapshot_id="w20").drifts == []
    assert shop.count(6, 20, snapshot_id="x20", warehouse_id="x").drifts == []


def test_a_transfer_is_stale_when_both_counts_had_it(shop: ExampleShop) -> None:
    count_both(shop, 10)
    flushed = shop.say("stock.transferred", 10, event_id="t", lines=lines(6))
    assert (flushed.outcomes, flushed.moves) == ({"stale"}, [])
    assert shop.say("stock.transferred", 10, event_id="t", lines=lines(6)).outcomes == {"duplicate"}


def test_the_halves_of_a_transfer_count_from_the_first_count_on(shop: ExampleShop) -> None:
    assert shop.say("stock.transferred", 10, lines=lines(6)).moves == []
    count_both(shop, 5)
    assert (shop.stock(), shop.stock(warehouse_id="x")) == ((4, 0), (6, 0))


def test_a_transfer_is_expected_by_the_next_counts(shop: ExampleShop) -> None:
    count_both(shop)
    shop.say("stock.transferred", 10, lines=lines(6))
    assert shop.count(5, 20).drifts == [("on_hand", "k", 4, 5, True)]
    assert shop.count(6, 20, warehouse_id="x").drifts == []


def test_a_transfer_oversells_where_it_leaves(shop: ExampleShop) -> None:
    count_both(shop)
    shop.order(7, 1)
    flushed = shop.say("stock.transferred", 10, lines=lines(6))
    assert flushed.alerts == [("oversold", None, None, "w", "k")]
    assert [(level["warehouse_id"], level["available"]) for level in flushed.levels] == [("w", -3), ("x", 6)]


def test_transfers_and_adjustments_share_their_ids(shop: ExampleShop) -> None:
    shop.say("stock.transferred", 10, event_id="t", lines=lines(6))
    refused = shop.say("stock.transferred", 10, event_id="t", lines=lines(5))
    assert (refused.code, refused.alerts) == ("conflict", [("conflict", None, None, None, None)])
    assert shop.say("stock.adjusted", 10, event_id="t", delta=6).code == "conflict"
    assert shop.say("stock.transferred", 10, event_id="t", lines=lines(6)).outcomes == {"duplicate"}


def test_a_transfer_whose_id_is_forgotten_is_too_late(shop: ExampleShop) -> None:
    assert shop.say("stock.transferred", 60, event_id="t", lines=lines(6)).outcomes == {"applied"}
    shop.now += 90 * DAY
    assert shop.say("stock.transferred", 60, event_id="t", lines=lines(6)).outcomes == {"duplicate"}
    shop.now += 1
    assert shop.say("stock.transferred", 60, event_id="t", lines=lines(6)).code == "too_late"


def test_a_transfer_to_the_same_warehouse_is_invalid(shop: ExampleShop) -> None:
    refused = shop.say("stock.transferred", 10, to_warehouse_id="w", lines=lines(6))
    assert (refused.code, refused.moves) == ("invalid", [])
