"""What of a sub-order's lines is open, shipped, cancelled and back: contract section 3."""

from __future__ import annotations

from itertools import permutations

import pytest

from schemas.decoding import Decoded
from tests.unit.domain.shop import Shop, child, decoded, lines, order_of, ordered, rows_of
from worker.domain.order.state import OrderState, SubOrderFacts
from worker.domain.order.timeline import CancelledUnits
from worker.domain.order.units import (
    is_returned,
    over_returned_skus,
    returned_units,
    shipped_units,
    unit_rows,
)
from worker.domain.violations import InvariantViolation

FIVE = decoded("sub_order.created", 0, lines=lines(5))


def row(*events: Decoded) -> tuple[int, int, int]:
    """Open, shipped and cancelled units of the one leaf, the same in whatever order its events arrive."""
    found = {tuple(rows_of(*arrival)) for arrival in permutations(events)}
    ((only,),) = found
    return only[3:]


def back(*events: Decoded) -> list[tuple[str, int, int]]:
    """SKU, units that count, units beyond those shipped, return by return."""
    order = order_of(events)
    return [(sku, units, excess) for _, sku, units, excess in returned_units(order, order.sub_orders["s"])]


# Cancelling and shipping.


def test_units_are_open_until_something_happens() -> None:
    assert row(FIVE) == (5, 0, 0)


def test_units_cancelled_by_lines_are_the_most_that_any_event_says() -> None:
    assert row(
        FIVE, decoded("sub_order.cancelled", 2, lines=lines(3)), decoded("sub_order.cancelled", 4, lines=lines(1))
    ) == (2, 0, 3)


def test_lines_of_one_sku_in_a_cancellation_add_up() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2, lines=[*lines(1), *lines(2)])) == (2, 0, 3)


def test_no_more_is_cancelled_than_there_is() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2, lines=lines(9))) == (0, 0, 5)


def test_a_cancellation_of_skus_of_other_sub_orders_cancels_nothing() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2, lines=lines(9, "other"))) == (5, 0, 0)


def test_without_lines_everything_is_cancelled() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2)) == (0, 0, 5)


def test_shipping_beats_cancelling() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2), decoded("sub_order.shipped", 4)) == (0, 5, 0)
    assert row(FIVE, decoded("order.cancelled", 2), decoded("sub_order.shipped", 4)) == (0, 5, 0)


def test_what_was_cancelled_before_the_rest_shipped_stays_cancelled() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 2, lines=lines(2)), decoded("sub_order.shipped", 4)) == (0, 3, 2)


def test_a_cancellation_at_the_moment_of_shipping_is_in_time() -> None:
    assert row(FIVE, decoded("sub_order.cancelled", 4, lines=lines(2)), decoded("sub_order.shipped", 4)) == (0, 3, 2)


def test_a_late_cancellation_brings_nothing_back() -> None:
    assert row(FIVE, decoded("sub_order.shipped", 4), decoded("sub_order.cancelled", 5, lines=lines(2))) == (0, 5, 0)
    assert row(FIVE, decoded("sub_order.shipped", 4), decoded("sub_order.cancelled", 5)) == (0, 5, 0)


def test_only_the_cancellations_that_were_in_time_count_once_it_shipped() -> None:
    in_time = decoded("sub_order.cancelled", 2, lines=lines(1))
    late = decoded("sub_order.cancelled", 6, lines=lines(4))
    assert row(FIVE, in_time, late) == (1, 0, 4)
    assert row(FIVE, in_time, late, decoded("sub_order.shipped", 4)) == (0, 4, 1)


def test_units_that_do_not_add_up_stop_the_partition() -> None:
    order, spoilt = OrderState(), SubOrderFacts()
    spoilt.lines, spoilt.warehouse, spoilt.cancels = {"k": -1}, "w", {"k": CancelledUnits(b"", [0], [1])}
    order.sub_orders["s"] = spoilt
    with pytest.raises(InvariantViolation, match="SKU 'k'"):
        unit_rows(order)


# A child whose warehouse is not known counts as one whose lines are not known.


def test_a_child_without_a_warehouse_has_no_units() -> None:
    assert rows_of(decoded("sub_order.split", 1, sub_order_id="p", children=[child("s", 2)])) == []


def test_a_child_without_a_warehouse_is_not_returned(shop: Shop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="p", children=[child("s", 2)])
    flushed = shop.say("sub_order.returned", 3, lines=lines(9))
    assert (shop.status(), flushed.alerts, flushed.moves) == ("picked_up", [], [])
    assert shop.sub_order(2, 0, sub_order_id="p").alerts == ["over_returned"]
    assert shop.status() == "returned"


def test_a_child_without_a_warehouse_is_not_cancelled_whole_by_lines(shop: Shop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="p", children=[child("s", 2)])
    shop.say("sub_order.cancelled", 3, lines=lines(2))
    assert shop.status() == "processing"
    shop.sub_order(2, 0, sub_order_id="p")
    assert shop.status() == "cancelled"


# Returns.


def test_what_comes_back_is_what_the_return_says() -> None:
    assert back(FIVE, decoded("sub_order.returned", 4, lines=lines(2))) == [("k", 2, 0)]


def test_a_return_without_lines_has_those_it_was_started_with() -> None:
    assert back(FIVE, decoded("sub_order.return_started", 3, lines=lines(2)), decoded("sub_order.returned", 4)) == [
        ("k", 2, 0)
    ]


def test_a_return_without_any_lines_is_of_all_that_shipped_and_is_not_back() -> None:
    two = decoded("sub_order.returned", 4, lines=lines(2))
    rest = decoded("sub_order.returned", 6, return_id="q")
    assert back(FIVE, rest, two) == [("k", 2, 0), ("k", 3, 0)]


def test_returns_are_capped_at_what_shipped_by_their_times_then_ids() -> None:
    first = decoded("sub_order.returned", 4, return_id="b", lines=lines(3))
    second = decoded("sub_order.returned", 6, return_id="a", lines=lines(3))
    tied = decoded("sub_order.returned", 6, return_id="c", lines=lines(1))
    for arrival in permutations((first, second, tied)):
        assert back(FIVE, *arrival) == [("k", 3, 0), ("k", 2, 1), ("k", 0, 1)]


def test_only_shipped_units_can_come_back() -> None:
    events = (FIVE, decoded("sub_order.cancelled", 2, lines=lines(4)), decoded("sub_order.returned", 4, lines=lines(3)))
    assert back(*events) == [("k", 1, 2)]
    order = order_of(events)
    assert over_returned_skus(order, order.sub_orders["s"]) == {"k"}


def test_units_are_back_only_with_the_returned_event() -> None:
    order = order_of([FIVE, decoded("sub_order.return_started", 4)])
    assert not is_returned(order, order.sub_orders["s"])
    order = order_of([FIVE, decoded("sub_order.returned", 4)])
    assert is_returned(order, order.sub_orders["s"])


def test_a_sub_order_of_which_nothing_shipped_is_not_returned() -> None:
    order = order_of([FIVE, decoded("sub_order.cancelled", 1, lines=lines(5)), decoded("sub_order.returned", 4)])
    assert shipped_units(order, order.sub_orders["s"]) == {"k": 0}
    assert not is_returned(order, order.sub_orders["s"])


# Rows of the status record.


def test_rows_are_leaves_by_id_then_uncovered_units_by_warehouse(shop: Shop) -> None:
    shop.say("order.created", lines=[*ordered(9, "x", "b"), *ordered(9, "w", "b"), *ordered(1, "w", "a")])
    shop.say("sub_order.created", 1, sub_order_id="t", lines=lines(2, "b"))
    shop.say("sub_order.created", 1, sub_order_id="s", lines=[*lines(2, "b"), *lines(1, "a")])
    flushed = shop.say("sub_order.cancelled", 2, lines=lines(1, "b"))
    rows = [
        ("s", "w", "a", 1, 0, 0),
        ("s", "w", "b", 1, 0, 1),
        ("t", "w", "b", 2, 0, 0),
        (None, "w", "b", 5, 0, 0),
        (None, "x", "b", 9, 0, 0),
    ]
    assert shop.units() == rows
    (status,) = flushed.statuses
    assert [tuple(row.values()) for row in status["units"]] == rows


def test_uncovered_units_have_no_row_once_they_are_not_open(shop: Shop) -> None:
    shop.order(3)
    assert shop.units() == [(None, "w", "k", 3, 0, 0)]
    shop.say("order.cancelled", 1)
    assert shop.units() == []
