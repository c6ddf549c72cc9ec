"""What follows once an order's facts have changed, and what is not written where nothing has. Contract section 4."""

from __future__ import annotations

from tests.unit.domain.shop import DAY, Shop, child, lines, ms, ordered
from worker.domain.order.rows import decode_order


def test_a_status_record_is_written_whenever_any_of_it_changes(shop: Shop) -> None:
    assert shop.sub_order(3).statuses[0]["placed"] is False
    assert shop.order(3).statuses[0]["placed"] is True
    assert shop.say("sub_order.cancelled", 1, lines=lines(1)).statuses[0]["units"][0]["cancelled"] == 1
    assert shop.say("sub_order.on_hold", 2).statuses[0]["sub_orders"] == {"s": "on_hold"}
    assert shop.say("sub_order.delivered", 3).statuses[0]["eligible"] is True
    assert shop.send(b'{"type":"order.created","account_id":"a","order_id":"o"}').statuses[0]["eligible"] is False


def test_a_split_that_only_deals_units_out_anew_is_written(shop: Shop) -> None:
    shop.sub_order(5)
    shop.say("sub_order.split", 1, children=[child("c", 3), child("d", 2)])
    flushed = shop.say("sub_order.split", 2, children=[child("c", 2), child("d", 3)])
    assert flushed.moves == []
    assert [unit["open"] for unit in flushed.statuses[0]["units"]] == [2, 3]


def test_a_split_that_deals_shipped_units_out_anew_is_written(
    shop: Shop,
) -> None:
    shop.sub_order(5)
    shop.say("sub_order.split", 1, children=[child("c", 3), child("d", 2)])
    shop.say("sub_order.shipped", 10, sub_order_id="c")
    shop.say("sub_order.shipped", 20, sub_order_id="d")
    flushed = shop.say("sub_order.split", 2, children=[child("c", 2), child("d", 3)])
    assert flushed.moves == []
    assert [unit["shipped"] for unit in flushed.statuses[0]["units"]] == [2, 3]


def test_no_status_record_is_written_when_nothing_of_it_changes(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    assert shop.say("sub_order.label_issued", 1).statuses == []
    assert shop.say("order.amended", 1, revision=1, lines=ordered(3)).statuses == []


def test_returns_and_redated_shipments_write_no_status_record(shop: Shop) -> None:
    shop.count(10, 5)
    shop.delivered_order(3)
    flushed = shop.say("sub_order.shipped", 4)
    assert (flushed.moves, flushed.statuses) == ([("adjust", 3, 0, 3)], [])
    flushed = shop.say("sub_order.returned", 30, lines=lines(1), warehouse_id="v")
    assert ([move[:2] for move in flushed.moves], flushed.statuses) == ([("restock", 1)], [])
    flushed = shop.say("sub_order.returned", 40, return_id="r2", lines=lines(2))
    assert flushed.statuses[0]["sub_orders"] == {"s": "returned"}


def test_units_that_ship_while_the_status_stays_are_written(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.on_hold", 50)
    (status,) = shop.say("sub_order.shipped", 10).statuses
    assert (status["sub_orders"], status["units"][0]["shipped"]) == ({"s": "on_hold"}, 3)


def test_what_is_polled_again_under_new_ids_writes_no_status_record(shop: Shop) -> None:
    shop.order(5)
    shop.sub_order(5)
    assert shop.sub_order(5, 1).statuses == []
    assert shop.sub_order(5, 2, warehouse_id="v").statuses[0]["units"][0]["warehouse_id"] == "v"
    children = [child("c", 3), child("d", 2, warehouse_id="u")]
    shop.say("sub_order.split", 3, children=children)
    assert shop.say("sub_order.split", 4, children=children).statuses == []
    assert shop.sub_order(5, 5, warehouse_id="v").statuses == []
    (status,) = shop.sub_order(5, 6, warehouse_id="w").statuses
    assert [(unit["sub_order_id"], unit["warehouse_id"]) for unit in status["units"]] == [("c", "w"), ("d", "u")]


def test_cancelled_units_dealt_out_anew_are_written_though_no_stock_moves(shop: Shop) -> None:
    shop.order(3)
    shop.say("order.cancelled", 1)
    shop.sub_order(3, 2)
    flushed = shop.sub_order(2, 3)
    assert (flushed.moves, flushed.statuses[0]["units"][0]["cancelled"]) == ([], 2)


def test_moves_older_than_the_retention_leave_the_record_with_the_next_one(shop: Shop) -> None:
    shop.order(5)
    shop.now = 20 * DAY
    shop.say("order.amended", 20 * DAY, revision=1, lines=ordered(6))
    shop.now = 100 * DAY
    shop.say("order.amended", 99 * DAY, revision=2, lines=ordered(8))
    assert decode_order(shop.state[b"order/a/o"] or b"").claims["w"]["k"].moves == [ms(20 * DAY), 1, ms(99 * DAY), 2]
