"""Examples of stock keys: balances, counts, snapshots and adjustments. Contract sections 5 and 6."""

from __future__ import annotations

from tests.examples.conftest import NewShop
from tests.examples.shops import ExampleShop
from tests.model.alerts import cleared, raised
from tests.unit.domain.shop import DAY, lines, ordered
from worker.domain.policies import AccountPolicies

OVERSOLD = [raised("oversold", warehouse_id="w", sku="k")]


def test_a_shipment_at_the_moment_of_the_count_is_in_the_count(shop: ExampleShop) -> None:
    shop.sub_order(3, 1)
    shop.count(10, 3)
    assert shop.say("sub_order.shipped", 3).moves == [("release", 3, -3, 0)]
    assert shop.stock() == (10, 0)


def test_units_that_shipped_before_a_count_are_not_taken_off_twice(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(4, 1)
    assert shop.count(6, 5).drifts == [("on_hand", "k", 10, 6, True)]
    shop.say("sub_order.shipped", 2)
    assert shop.stock() == (6, 0)


def test_a_shipment_redated_across_a_count_is_an_adjustment(shop: ExampleShop) -> None:
    shop.sub_order(3, 1)
    shop.count(10, 5)
    shop.say("sub_order.shipped", 6)
    assert shop.say("sub_order.shipped", 4).moves == [("adjust", 3, 0, 3)]
    assert shop.stock() == (10, 0)


def test_what_is_frozen_is_not_published_nor_is_the_buffer(new_shop: NewShop) -> None:
    shop = new_shop(AccountPolicies(buffer=2))
    shop.count(10, 0)
    (level,) = shop.order(7, 1).levels
    assert (level["available"], level["publishable"]) == (3, 1)
    (level,) = shop.say("order.amended", 2, revision=1, lines=ordered(9)).levels
    assert (level["available"], level["publishable"]) == (1, 0)


def test_a_shortage_refuses_no_freeze_and_is_not_clamped(shop: ExampleShop) -> None:
    shop.count(10, 0)
    flushed = shop.order(13, 1)
    assert (flushed.moves, flushed.alerts, shop.stock()) == ([("freeze", 13, 13, 0)], OVERSOLD, (10, 13))
    assert [(level["available"], level["publishable"]) for level in flushed.levels] == [(-3, 0)]


def test_oversold_is_raised_once_per_crossing_below_zero(shop: ExampleShop) -> None:
    shop.count(2, 0)
    assert shop.order(5, 1).alerts == OVERSOLD
    assert shop.say("order.amended", 1, revision=1, lines=ordered(6)).alerts == []
    enough = shop.say("order.amended", 1, revision=2, lines=ordered(1))
    assert enough.alerts == [cleared("oversold", warehouse_id="w", sku="k")]
    assert shop.say("order.amended", 1, revision=3, lines=ordered(6)).alerts == OVERSOLD


def test_a_count_that_differs_from_what_is_expected_becomes_the_base(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(3, 1)
    shop.say("sub_order.shipped", 2)
    flushed = shop.count(6, 5)
    assert (flushed.drifts, flushed.moves) == ([("on_hand", "k", 7, 6, True)], [("count", -1, 0, -1)])
    assert shop.count(6, 6).drifts == []


def test_a_count_that_is_not_greater_changes_nothing(shop: ExampleShop) -> None:
    shop.count(6, 5)
    flushed = shop.count(99, 4)
    assert (flushed.moves, flushed.levels, flushed.drifts) == ([], [], [])
    assert shop.stock() == (6, 0)


def test_a_reserved_is_compared_with_what_was_frozen_then(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.say("order.cancelled", 7)
    flushed = shop.count(0, 4, counts=[{"sku": "k", "on_hand": 9, "reserved": 4}], origin="marketplace")
    assert flushed.drifts == [("reserved", "k", 5, 4, False)]
    assert flushed.summary["missing_in_ledger"] == {"count": 1, "skus": ["k"]}
    assert [flushed.summary[name] for name in ("skus_checked", "skus_drifted", "error_rate")] == [1, 1, 1.0]


def test_a_sku_that_vanished_from_a_snapshot_is_reported(shop: ExampleShop) -> None:
    shop.count(10, 0)
    summary = shop.count({"other": 1}, 5).summary
    assert summary["missing_in_count"] == {"count": 1, "skus": ["k"]}
    assert summary["missing_in_ledger"] == {"count": 1, "skus": ["other"]}


def test_a_whole_snapshot_counts_absent_keys_zero(shop: ExampleShop) -> None:
    shop.count(4, 0)
    two_parts = {"snapshot_id": "n", "parts": 2, "absent": "zero"}
    assert shop.count({}, 5, **two_parts, part=2).moves == []
    flushed = shop.count({"z": 1}, 5, **two_parts, part=1)
    assert flushed.places == [("w", "k", "count", -4), ("w", "z", "count", 1)]
    assert flushed.summary["missing_in_count"] == {"count": 1, "skus": ["k"]}
    assert flushed.summary["missing_in_ledger"] == {"count": 1, "skus": ["z"]}


def test_parts_that_disagree_conflict_and_repeated_parts_are_known(shop: ExampleShop) -> None:
    two_parts = {"snapshot_id": "n", "parts": 2}
    shop.count(4, 0, **two_parts, part=1)
    assert shop.count(4, 0, **two_parts, part=1).outcomes == {"duplicate"}
    assert shop.count(5, 0, **two_parts, part=1).code == "conflict"
    assert shop.count(4, 1, **two_parts, part=2).code == "conflict"


def test_an_adjustment_not_after_its_count_is_stale(shop: ExampleShop) -> None:
    shop.count(10, 5)
    assert shop.say("stock.adjusted", 5, delta=3).outcomes == {"stale"}
    assert shop.say("stock.adjusted", 6, delta=3, event_id="x").moves == [("adjust", 3, 0, 3)]
    assert shop.say("stock.adjusted", 6, delta=3, event_id="x").outcomes == {"duplicate"}
    assert shop.say("stock.adjusted", 6, delta=4, event_id="x").code == "conflict"


def test_an_adjustment_whose_id_is_forgotten_is_too_late(shop: ExampleShop) -> None:
    assert shop.say("stock.adjusted", 60, delta=3, event_id="x").outcomes == {"applied"}
    shop.now += 90 * DAY
    assert shop.say("stock.adjusted", 60, delta=3, event_id="x").outcomes == {"duplicate"}
    shop.now += 1
    assert shop.say("stock.adjusted", 60, delta=3, event_id="x").code == "too_late"


def test_with_policy_report_only_the_first_count_is_adopted(new_shop: NewShop) -> None:
    shop = new_shop(AccountPolicies(count_policy="report"))
    assert shop.count(10, 5).moves == [("count", 10, 0, 10)]
    flushed = shop.count(8, 6)
    assert (flushed.moves, flushed.levels, flushed.drifts) == ([], [], [("on_hand", "k", 10, 8, False)])
    assert shop.count(8, 7).drifts == [("on_hand", "k", 10, 8, False)]
    assert shop.stock() == (10, 0)


def test_a_count_of_another_origin_than_allowed_is_only_compared(new_shop: NewShop) -> None:
    shop = new_shop(AccountPolicies(count_origin="erp"))
    assert shop.count(4, 3, origin="wms").moves == []
    assert shop.count(10, 5).moves == [("count", 10, 0, 10)]
    assert shop.count(8, 6, origin="wms").drifts == [("on_hand", "k", 10, 8, False)]
    assert shop.stock() == (10, 0)


def test_where_a_count_had_it_already_on_hand_does_not_move(shop: ExampleShop) -> None:
    shop.count(10, 15)
    shop.order(3)
    shop.sub_order(3)
    assert shop.say("sub_order.shipped", 9).moves == [("release", 3, -3, 0)]
    assert shop.say("sub_order.returned", 12, lines=lines(3)).moves == [("restock", 3, 0, 0)]
