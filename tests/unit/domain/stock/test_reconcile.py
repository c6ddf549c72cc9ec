"""Counts against the ledger: drift, its suspects, policies. Contract section 6."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.unit.domain.shop import DAY, Flushed, Shop, iso, lines
from worker.domain.stock.stock import SUSPECTS_KEPT_MAX


def reserved(shop: Shop, units: int, as_of: int, on_hand: int = 0, **fields: object) -> Flushed:
    counts = [{"sku": "k", "on_hand": on_hand, "reserved": units}]
    return shop.count(on_hand, as_of, **{"origin": "marketplace", "counts": counts, **fields})


# Drift of on_hand.


def test_the_first_count_of_a_key_has_nothing_to_differ_from(shop: Shop) -> None:
    assert shop.count(10, 5).drifts == []


def test_a_count_as_expected_is_no_drift(shop: Shop) -> None:
    shop.count(10, 5)
    shop.delivered_order(3)
    shop.say("stock.adjusted", 15, delta=4)
    shop.say("sub_order.returned", 25, lines=lines(1))
    assert shop.count(12, 30).drifts == []


def test_a_count_is_compared_with_the_flows_up_to_its_own_time(shop: Shop) -> None:
    shop.count(10, 5)
    shop.delivered_order(3)
    shop.say("stock.adjusted", 21, delta=4)
    assert shop.count(10, 9).drifts == []
    assert shop.stock() == (11, 0)
    assert shop.count(7, 10).drifts == []
    assert shop.stock() == (11, 0)


def test_a_drift_says_all_there_is_to_say(shop: Shop) -> None:
    shop.count(10, 5)
    (drift, _) = shop.count(6, 30, origin="wms").events(Topic.DRIFT)
    expected = {"type": "drift.detected", "measure": "on_hand", "origin": "wms", "snapshot_id": "n30", "sku": "k"}
    numbers = {"warehouse_id": "w", "as_of": iso(30), "expected": 10, "actual": 6, "drift": -4, "adopted": True}
    assert {**drift, **expected, **numbers} == drift
    assert drift["suspects"] == []


def test_a_key_that_is_only_compared_is_not_kept(shop: Shop) -> None:
    shop.count(4, 3, origin="marketplace", counts=[{"sku": "k", "on_hand": 4, "reserved": 1}])
    assert shop.levels() == []
    assert shop.processor.gauges()["stock_keys"] == 0
    flushed = shop.count(5, 4)
    assert [move[0] for move in flushed.moves] == ["count"], "and is known once it is counted"


def test_a_marketplace_is_never_adopted_nor_compared_by_on_hand(shop: Shop) -> None:
    assert shop.count(4, 3, origin="marketplace").moves == []
    shop.count(10, 5)
    flushed = shop.count(8, 6, origin="marketplace")
    assert (flushed.moves, flushed.drifts) == ([], [])
    assert flushed.summaries[0]["skus_checked"] == 0


# Drift of reserved.


def test_reserved_is_compared_with_what_was_frozen_then(shop: Shop) -> None:
    shop.order(3, 5)
    shop.sub_order(3, 6)
    shop.say("sub_order.shipped", 20)
    assert reserved(shop, 0, 4).drifts == []
    assert reserved(shop, 3, 5).drifts == []
    assert reserved(shop, 3, 19).drifts == []
    assert reserved(shop, 0, 20).drifts == []
    assert reserved(shop, 2, 21).drifts == [("reserved", "k", 0, 2, False)]


def test_reserved_is_compared_whether_or_not_the_count_is_greater(shop: Shop) -> None:
    shop.order(3, 5)
    shop.count(10, 30)
    assert reserved(shop, 1, 20, on_hand=4, origin="wms").drifts == [("reserved", "k", 3, 1, False)]


def test_one_count_may_drift_in_both_measures(shop: Shop) -> None:
    shop.count(10, 5)
    shop.order(3, 5)
    flushed = reserved(shop, 1, 30, on_hand=9, origin="erp")
    assert sorted(flushed.drifts) == [("on_hand", "k", 10, 9, True), ("reserved", "k", 3, 1, False)]
    assert (flushed.summaries[0]["skus_checked"], flushed.summaries[0]["skus_drifted"]) == (1, 1)


@pytest.mark.parametrize(("as_of", "compared"), [(60, True), (59, False)])
def test_reserved_of_a_count_a_day_older_than_its_record_is_not_compared(as_of: int, *, compared: bool) -> None:
    shop = Shop()
    shop.order(3)
    shop.now = 60 + DAY
    flushed = reserved(shop, 1, as_of)
    assert bool(flushed.drifts) is compared
    assert flushed.summaries[0]["skus_checked"] == int(compared)


def test_movements_of_many_events_are_remembered_for_reserved(shop: Shop) -> None:
    for minute in range(200):
        shop.now = minute + 1
        shop.order(1, minute, order_id=f"o{minute}")
    assert reserved(shop, 51, 50).drifts == []
    assert reserved(shop.restarted(), 52, 51).drifts == []


@pytest.mark.parametrize("restarts", [False, True])
def test_reserved_is_compared_though_newer_records_were_read_before(*, restarts: bool) -> None:
    shop = Shop()
    days = range(89)
    for day in days:
        shop.now = day * DAY
        shop.order(1, shop.now, order_id=f"o{day}")
    for day in days:
        shop = shop.restarted() if restarts else shop
        shop.now = day * DAY + 1
        assert reserved(shop, day + 1, shop.now).drifts == []
        shop.now += 1
        assert reserved(shop, 0, shop.now).drifts == [("reserved", "k", day + 1, 0, False)]


@pytest.mark.parametrize(("as_of", "compared"), [(10 * DAY, True), (10 * DAY - 1, False)])
def test_reserved_is_not_compared_where_orders_since_may_have_left(as_of: int, *, compared: bool) -> None:
    shop = Shop()
    shop.order(3)
    shop.now = 100 * DAY
    shop.order(1, shop.now, order_id="newer")
    shop.now = as_of
    flushed = reserved(shop, 1, as_of)
    assert bool(flushed.drifts) is compared


def test_movements_are_compared_by_when_they_happened(shop: Shop) -> None:
    for number, minute in enumerate((40, 10, 30, 20, 10)):
        shop.order(1, minute, order_id=f"o{number}")
    for as_of, units in ((9, 0), (10, 2), (25, 3), (39, 4), (40, 5)):
        assert reserved(shop, units, as_of).drifts == []
        assert reserved(shop.restarted(), units, as_of).drifts == []


def test_movements_are_forgotten_when_no_count_can_ask_for_them(shop: Shop) -> None:
    for minute in range(0, 200 * DAY, DAY):
        shop.now = minute + 1
        shop.order(1, minute, order_id=f"o{minute}")
    assert reserved(shop, 199, 199 * DAY - 1).drifts == []


# Suspects.


def test_the_likeliest_suspect_has_moved_just_the_drift(shop: Shop) -> None:
    shop.count(100, 1)
    for order_id, units, at in (("far", 1, 10), ("exact", 4, 5), ("near", 2, 18)):
        shop.sub_order(units, 0, order_id=order_id)
        shop.say("sub_order.shipped", at, order_id=order_id)
    drift = shop.count(89, 20).events(Topic.DRIFT)[0]
    assert drift["drift"] == -4
    suspects = [suspect["order_id"] for suspect in drift["suspects"]]
    assert suspects[:2] == ["exact", "near"]
    assert len(suspects) == len(set(suspects)) == 3
    assert drift["suspects"][0]["sub_order_id"] == "s"
    assert "release of 4" in drift["suspects"][0]["reason"]


def test_there_are_at_most_ten_suspects_and_counts_are_none(shop: Shop) -> None:
    shop.count(100, 1)
    shop.say("stock.adjusted", 2, delta=1)
    for number in range(15):
        shop.order(1, 3, order_id=f"o{number:02}")
    drift = shop.count(5, 20).events(Topic.DRIFT)[0]
    assert len(drift["suspects"]) == 10


def test_suspects_survive_a_restart(shop: Shop) -> None:
    shop.count(100, 1)
    shop.delivered_order(4)
    drift = shop.restarted().count(97, 25).events(Topic.DRIFT)[0]
    assert [suspect["order_id"] for suspect in drift["suspects"]] == ["o"]


def test_after_a_restart_suspects_are_what_orders_did_and_nothing_else(shop: Shop) -> None:
    shop.count(100, 1)
    shop.order(7, 2)
    shop.order(4, 3, order_id="given up")
    shop.say("order.cancelled", 4, order_id="given up")
    shop.sub_order(5, 5)
    shop.say("sub_order.shipped", 6)
    shop.say("sub_order.returned", 7, lines=lines(2))
    drift = shop.restarted().count(90, 8).events(Topic.DRIFT)[0]
    assert [(suspect["order_id"], suspect["reason"]) for suspect in drift["suspects"]] == [
        ("o", f"freeze of 7 at {iso(2)}, 360 s before the count: just the drift"),
        ("given up", f"unfreeze of 4 at {iso(4)}, 240 s before the count: near the count"),
    ]


def test_how_much_left_and_came_back_is_known_of_suspects_after_a_restart(shop: Shop) -> None:
    shop.count(100, 1)
    shop.delivered_order(4)
    shop.say("sub_order.returned", 22, lines=lines(3))
    for on_hand, reason in (
        (95, f"release of 4 at {iso(10)}, 900 s before the count: just the drift"),
        (96, f"restock of 3 at {iso(22)}, 180 s before the count: just the drift"),
    ):
        (drift,) = shop.restarted().count(on_hand, 25).events(Topic.DRIFT)[:1]
        assert [suspect["reason"] for suspect in drift["suspects"]] == [reason]


def test_the_latest_movements_are_suspects_after_a_restart_in_any_order(shop: Shop) -> None:
    shop.count(100, 1)
    for minute in (*range(100, 100 - 2 * SUSPECTS_KEPT_MAX, -1), *range(101, 101 + 3 * SUSPECTS_KEPT_MAX)):
        shop.now = minute
        shop.order(1, minute, order_id=f"o{minute}")
    latest = 100 + 3 * SUSPECTS_KEPT_MAX
    drift = shop.restarted().count(90, latest).events(Topic.DRIFT)[0]
    assert [suspect["order_id"] for suspect in drift["suspects"]] == [f"o{latest - age}" for age in range(10)]
