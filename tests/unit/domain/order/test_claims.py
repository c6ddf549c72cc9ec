"""What an order asks of each stock key: uncovered units, their excess, and the difference that an event makes.

Contract section 3.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from schemas.decoding import Decoded
from tests.unit.domain.shop import Fields, Shop, child, decoded, lines, merge_into, ms, order_of, ordered
from worker.domain.order.claims import (
    cover,
    differences,
    only_covers,
    replace_claims,
    replace_uncovered,
    settle,
    ship_directly,
)
from worker.domain.order.state import Claim, OrderState
from worker.domain.violations import InvariantViolation

Placed = list[Fields]


def uncovered(order_lines: Placed, *events: Decoded) -> dict[str, int]:
    """Open units of SKU "k" that no leaf covers, by warehouse."""
    order = order_of([decoded("order.created", lines=order_lines), *events])
    found = settle(order, None).uncovered.get("k", {})
    assert settle(order, ["k"]).uncovered.get("k", {}) == found, "one SKU alone comes to the same"
    return found


def fields_of(claim: Claim) -> tuple[object, ...]:
    return claim.open, claim.shipped, claim.restocked, claim.shipments, claim.returns, claim.moves


def leaf(quantity: int, sub_order_id: str = "s", warehouse_id: str = "w") -> Decoded:
    return decoded("sub_order.created", 1, sub_order_id=sub_order_id, warehouse_id=warehouse_id, lines=lines(quantity))


def test_units_that_no_leaf_has_are_open() -> None:
    assert uncovered(ordered(5)) == {"w": 5}
    assert uncovered(ordered(5), leaf(2)) == {"w": 3}
    assert uncovered(ordered(5), leaf(5)) == {}


def test_shipped_and_cancelled_units_of_a_leaf_are_covered() -> None:
    assert uncovered(ordered(5), leaf(2), decoded("sub_order.shipped", 2)) == {"w": 3}
    assert uncovered(ordered(5), leaf(2), decoded("sub_order.cancelled", 2)) == {"w": 3}


def test_a_leaf_whose_lines_are_not_known_covers_nothing() -> None:
    assert uncovered(ordered(5), decoded("sub_order.shipped", 2)) == {"w": 5}


def test_leaves_in_a_warehouse_that_was_not_asked_cover_units_elsewhere() -> None:
    assert uncovered(ordered(5), leaf(2, warehouse_id="z")) == {"w": 3}


def test_cancelled_units_in_another_warehouse_cover_units_elsewhere_too() -> None:
    assert uncovered(ordered(5), leaf(2, warehouse_id="z"), decoded("sub_order.cancelled", 2)) == {"w": 3}


def test_the_excess_is_taken_off_uncovered_units_warehouse_by_warehouse() -> None:
    asked = [*ordered(3, "c"), *ordered(3, "a"), *ordered(3, "b")]
    for arrival in permutations((leaf(2, "s", "z"), leaf(3, "t", "y"))):
        assert uncovered(asked, *arrival) == {"b": 1, "c": 3}


def test_what_leaves_hold_beyond_what_a_warehouse_was_asked_is_excess() -> None:
    asked = [*ordered(3, "a"), *ordered(2, "b")]
    assert uncovered(asked, leaf(4, warehouse_id="b")) == {"a": 1}


def test_what_leaves_cancelled_beyond_what_was_asked_is_no_excess() -> None:
    asked = [*ordered(3, "a"), *ordered(2, "b")]
    cancelled = decoded("sub_order.cancelled", 2, lines=lines(3))
    assert uncovered(asked, leaf(4, warehouse_id="b"), cancelled) == {"a": 3}


def test_a_cancelled_order_has_nothing_uncovered() -> None:
    assert uncovered(ordered(5), decoded("order.cancelled", 2)) == {}


def test_what_a_sub_order_cancelled_before_it_was_split_stays_covered() -> None:
    split = decoded("sub_order.split", 3, children=[child("c", 3)])
    assert uncovered(ordered(5), leaf(5), split) == {"w": 2}
    assert uncovered(ordered(5), leaf(5), split, decoded("sub_order.cancelled", 2, lines=lines(2))) == {}


def test_no_more_of_it_than_its_children_do_not_have() -> None:
    split = decoded("sub_order.split", 3, children=[child("c", 4)])
    cancelled = decoded("sub_order.cancelled", 2, lines=lines(3))
    assert uncovered(ordered(6), leaf(5), split, cancelled) == {"w": 1}
    more = decoded("sub_order.split", 3, children=[child("c", 9)])
    assert uncovered(ordered(12), leaf(5), more, cancelled) == {"w": 3}


def test_a_superseded_sub_orders_shipment_limits_no_cancellation_of_it() -> None:
    split = decoded("sub_order.split", 3, children=[child("c", 3)])
    late = decoded("sub_order.cancelled", 9, lines=lines(2))
    assert uncovered(ordered(5), leaf(5), split, decoded("sub_order.shipped", 4), late) == {}


def test_a_sub_order_without_an_order_holds_its_own_units(shop: Shop) -> None:
    assert shop.sub_order(2).moves == [("freeze", 2, 2, 0)]
    assert shop.order(2).moves == []


def test_an_order_freezes_all_its_skus_and_its_sub_orders_nothing_more(shop: Shop) -> None:
    flushed = shop.say("order.created", lines=[*ordered(3, "w", "b"), *ordered(2, "w", "a"), *ordered(1, "v", "c")])
    assert flushed.places == [("v", "c", "freeze", 1), ("w", "a", "freeze", 2), ("w", "b", "freeze", 3)]
    assert shop.say("sub_order.created", 1, lines=[*lines(3, "b"), *lines(2, "a")]).moves == []


@pytest.mark.parametrize(("ordered_units", "raised"), [(4, True), (5, False)])
def test_leaves_that_hold_more_than_was_ordered_are_over_allocated(ordered_units: int, *, raised: bool) -> None:
    order = order_of([decoded("order.created", lines=ordered(ordered_units)), leaf(5, warehouse_id="x")])
    assert (settle(order, None).over_allocated == {"k"}) is raised


def test_cancelled_units_do_not_over_allocate() -> None:
    order = order_of(
        [decoded("order.created", lines=ordered(4)), leaf(5), decoded("sub_order.cancelled", lines=lines(1))]
    )
    assert settle(order, None).over_allocated == set()


def test_an_order_that_is_not_placed_is_not_over_allocated() -> None:
    assert settle(order_of([leaf(5)]), None).over_allocated == set()


def test_a_claim_has_shipments_and_restocks_in_the_order_of_their_times() -> None:
    events = [
        leaf(2, "late"),
        decoded("sub_order.shipped", 9, sub_order_id="late"),
        leaf(3, "early"),
        decoded("sub_order.shipped", 4, sub_order_id="early"),
        leaf(4, "same"),
        decoded("sub_order.shipped", 4, sub_order_id="same"),
        decoded("sub_order.returned", 12, sub_order_id="early", lines=lines(1)),
        decoded("sub_order.returned", 11, sub_order_id="same", lines=lines(1)),
        decoded("sub_order.returned", 10, sub_order_id="late", lines=lines(1), restock=False),
    ]
    claim = settle(order_of(events), None).claims["w", "k"]
    assert fields_of(claim) == (0, 9, 2, [ms(4), 7, ms(9), 2], [ms(11), 1, ms(12), 1], [])


def test_differences_come_in_ascending_order_until_the_claims_are_replaced() -> None:
    order = order_of([])
    claims = {("w", "b"): Claim(1), ("v", "z"): Claim(2), ("w", "a"): Claim(3)}
    changed = differences(order, claims, None)
    assert [change.key for change in changed] == [("v", "z"), ("w", "a"), ("w", "b")]
    assert order.claims == {}, "to look for differences changes nothing"
    replace_claims(order, changed)
    assert differences(order, claims, None) == []
    (gone,) = differences(order, {key: claim for key, claim in claims.items() if key != ("w", "a")}, ["a", "b"])
    assert gone.key == ("w", "a")
    assert gone.before is not None
    assert fields_of(gone.before) == fields_of(Claim(3))
    assert fields_of(gone.after) == fields_of(Claim())


def test_uncovered_units_are_replaced_for_the_skus_that_were_looked_at() -> None:
    order = order_of([])
    assert replace_uncovered(order, {"a": {"w": 1}, "b": {"w": 2}}, None)
    assert not replace_uncovered(order, {"a": {"w": 1}}, ["a"])
    assert replace_uncovered(order, {}, ["a"])
    assert order.uncovered == {"b": {"w": 2}}


def placed_with(*events: Decoded) -> OrderState:
    """The order of 5 units with its claims, and then the facts of these events, of which nothing is derived yet."""
    order = order_of([decoded("order.created", lines=ordered(5))])
    settlement = settle(order, None)
    replace_uncovered(order, settlement.uncovered, None)
    replace_claims(order, differences(order, settlement.claims, None))
    for known in events:
        merge_into(order, known.event, known.occurred_at_ms)
    return order


def test_a_new_sub_order_within_what_is_uncovered_takes_it_over() -> None:
    order = placed_with(leaf(5))
    assert only_covers(order, order.sub_orders["s"])
    assert order.uncovered == {"k": {"w": 5}}, "to ask changes nothing"
    cover(order, order.sub_orders["s"])
    assert order.uncovered == settle(order, None).uncovered == {}


@pytest.mark.parametrize(
    "event", [leaf(6), leaf(5, warehouse_id="v")], ids=["more than is uncovered", "in another warehouse"]
)
def test_a_new_sub_order_beyond_what_is_uncovered_is_settled(event: Decoded) -> None:
    order = placed_with(event)
    assert not only_covers(order, order.sub_orders["s"])
    with pytest.raises((InvariantViolation, KeyError)):
        cover(order, order.sub_orders["s"])


def test_a_sub_order_that_ships_turns_open_units_into_shipped_ones() -> None:
    order = placed_with(leaf(2), decoded("sub_order.shipped", 9))
    changed = ship_directly(order, order.sub_orders["s"])
    assert changed is not None
    assert [(change.key, fields_of(change.after)) for change in changed] == [
        (("w", "k"), (3, 2, 0, [ms(9), 2], [], []))
    ]
    assert order.claims["w"]["k"].open == 5, "to find out changes nothing"
    (general,) = differences(order, settle(order, None).claims, None)
    assert fields_of(general.after) == fields_of(changed[0].after)


def test_units_that_ship_without_being_open_stop_the_partition() -> None:
    order = placed_with(leaf(6), decoded("sub_order.shipped", 9))
    with pytest.raises(InvariantViolation, match="6 units of SKU 'k' ship, and 5 are open"):
        ship_directly(order, order.sub_orders["s"])
