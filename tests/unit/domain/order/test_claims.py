"""What an order asks of each stock key: uncovered units, their excess, and the difference that an event makes.

Contract section 3.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from schemas.decoding import Decoded
from tests.unit.domain.shop import Fields, Shop, child, lines, ms, order_of, ordered, told
from worker.domain.order.claims import differences, replace_uncovered, settle
from worker.domain.order.state import Claim

Placed = list[Fields]


def uncovered(order_lines: Placed, *events: Decoded) -> dict[str, int]:
    """Open units of SKU "k" that no leaf covers, by warehouse."""
    order = order_of([told("order.created", lines=order_lines), *events])
    found = settle(order, None).uncovered.get("k", {})
    assert settle(order, ["k"]).uncovered.get("k", {}) == found, "one SKU alone comes to the same"
    return found


def fields_of(claim: Claim) -> tuple[object, ...]:
    return claim.open, claim.shipped, claim.restocked, claim.shipments, claim.returns, claim.moves


def leaf(quantity: int, sub_order_id: str = "s", warehouse_id: str = "w") -> Decoded:
    return told("sub_order.created", 1, sub_order_id=sub_order_id, warehouse_id=warehouse_id, lines=lines(quantity))


def test_units_that_no_leaf_has_are_open() -> None:
    assert uncovered(ordered(5)) == {"w": 5}
    assert uncovered(ordered(5), leaf(2)) == {"w": 3}
    assert uncovered(ordered(5), leaf(5)) == {}


def test_shipped_and_cancelled_units_of_a_leaf_are_covered() -> None:
    assert uncovered(ordered(5), leaf(2), told("sub_order.shipped", 2)) == {"w": 3}
    assert uncovered(ordered(5), leaf(2), told("sub_order.cancelled", 2)) == {"w": 3}


def test_a_leaf_whose_lines_are_not_known_covers_nothing() -> None:
    assert uncovered(ordered(5), told("sub_order.shipped", 2)) == {"w": 5}


def test_leaves_in_a_warehouse_that_was_not_asked_cover_units_elsewhere() -> None:
    assert uncovered(ordered(5), leaf(2, warehouse_id="z")) == {"w": 3}


def test_cancelled_units_in_a_warehouse_that_was_not_asked_cover_units_elsewhere_too() -> None:
    assert uncovered(ordered(5), leaf(2, warehouse_id="z"), told("sub_order.cancelled", 2)) == {"w": 3}


def test_the_excess_is_taken_off_uncovered_units_in_ascending_order_of_warehouse() -> None:
    asked = [*ordered(3, "c"), *ordered(3, "a"), *ordered(3, "b")]
    for arrival in permutations((leaf(2, "s", "z"), leaf(3, "t", "y"))):
        assert uncovered(asked, *arrival) == {"b": 1, "c": 3}


def test_what_leaves_hold_beyond_what_a_warehouse_was_asked_is_excess() -> None:
    asked = [*ordered(3, "a"), *ordered(2, "b")]
    assert uncovered(asked, leaf(4, warehouse_id="b")) == {"a": 1}


def test_what_leaves_cancelled_beyond_what_a_warehouse_was_asked_is_no_excess() -> None:
    asked = [*ordered(3, "a"), *ordered(2, "b")]
    cancelled = told("sub_order.cancelled", 2, lines=lines(3))
    assert uncovered(asked, leaf(4, warehouse_id="b"), cancelled) == {"a": 3}


def test_a_cancelled_order_has_nothing_uncovered() -> None:
    assert uncovered(ordered(5), told("order.cancelled", 2)) == {}


def test_what_a_sub_order_cancelled_before_it_was_split_stays_covered() -> None:
    split = told("sub_order.split", 3, children=[child("c", 3)])
    assert uncovered(ordered(5), leaf(5), split) == {"w": 2}
    assert uncovered(ordered(5), leaf(5), split, told("sub_order.cancelled", 2, lines=lines(2))) == {}


def test_no_more_of_it_than_its_children_do_not_have() -> None:
    split = told("sub_order.split", 3, children=[child("c", 4)])
    cancelled = told("sub_order.cancelled", 2, lines=lines(3))
    assert uncovered(ordered(6), leaf(5), split, cancelled) == {"w": 1}
    more = told("sub_order.split", 3, children=[child("c", 9)])
    assert uncovered(ordered(12), leaf(5), more, cancelled) == {"w": 3}


def test_the_shipment_of_a_superseded_sub_order_does_not_limit_what_it_cancelled() -> None:
    split = told("sub_order.split", 3, children=[child("c", 3)])
    late = told("sub_order.cancelled", 9, lines=lines(2))
    assert uncovered(ordered(5), leaf(5), split, told("sub_order.shipped", 4), late) == {}


def test_a_sub_order_without_an_order_holds_its_own_units(shop: Shop) -> None:
    assert shop.sub_order(2).moves == [("freeze", 2, 2, 0)]
    assert shop.order(2).moves == []


def test_an_order_freezes_all_its_skus_and_its_sub_orders_freeze_nothing_more(shop: Shop) -> None:
    said = shop.say("order.created", lines=[*ordered(3, "w", "b"), *ordered(2, "w", "a"), *ordered(1, "v", "c")])
    assert said.places == [("v", "c", "freeze", 1), ("w", "a", "freeze", 2), ("w", "b", "freeze", 3)]
    assert shop.say("sub_order.created", 1, lines=[*lines(3, "b"), *lines(2, "a")]).moves == []


def test_an_amendment_moves_the_difference(shop: Shop) -> None:
    shop.order(5)
    assert shop.say("order.amended", 1, revision=1, lines=ordered(3)).moves == [("unfreeze", 2, -2, 0)]
    assert shop.say("order.amended", 2, revision=2, lines=ordered(7, "x")).places == [
        ("w", "k", "unfreeze", 3),
        ("x", "k", "freeze", 7),
    ]


def test_the_same_shipment_twice_releases_once(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    assert shop.say("sub_order.shipped", 2, event_id="one").moves == [("release", 3, -3, 0)]
    assert shop.say("sub_order.shipped", 2, event_id="one").moves == []
    assert shop.say("sub_order.shipped", 2, event_id="two").moves == []


def test_a_shipment_from_another_warehouse_releases_there_alone(shop: Shop) -> None:
    shop.order(3)
    said = shop.sub_order(3, 1, warehouse_id="x")
    assert said.places == [("w", "k", "unfreeze", 3), ("x", "k", "freeze", 3)]
    assert shop.say("sub_order.shipped", 2).places == [("x", "k", "release", 3)]


@pytest.mark.parametrize(("ordered_units", "raised"), [(4, True), (5, False)])
def test_leaves_that_hold_more_than_was_ordered_are_over_allocated(ordered_units: int, *, raised: bool) -> None:
    order = order_of([told("order.created", lines=ordered(ordered_units)), leaf(5, warehouse_id="x")])
    assert (settle(order, None).over_allocated == {"k"}) is raised


def test_cancelled_units_do_not_over_allocate() -> None:
    order = order_of([told("order.created", lines=ordered(4)), leaf(5), told("sub_order.cancelled", lines=lines(1))])
    assert settle(order, None).over_allocated == set()


def test_an_order_that_is_not_placed_is_not_over_allocated() -> None:
    assert settle(order_of([leaf(5)]), None).over_allocated == set()


def test_a_claim_has_its_shipments_and_restocks_in_the_order_of_their_times() -> None:
    events = [
        leaf(2, "late"),
        told("sub_order.shipped", 9, sub_order_id="late"),
        leaf(3, "early"),
        told("sub_order.shipped", 4, sub_order_id="early"),
        leaf(4, "same"),
        told("sub_order.shipped", 4, sub_order_id="same"),
        told("sub_order.returned", 12, sub_order_id="early", lines=lines(1)),
        told("sub_order.returned", 11, sub_order_id="same", lines=lines(1)),
        told("sub_order.returned", 10, sub_order_id="late", lines=lines(1), restock=False),
    ]
    claim = settle(order_of(events), None).claims["w", "k"]
    assert fields_of(claim) == (0, 9, 2, [ms(4), 7, ms(9), 2], [ms(11), 1, ms(12), 1], [])


def test_differences_come_in_ascending_order_and_are_remembered() -> None:
    order = order_of([])
    claims = {("w", "b"): Claim(1), ("v", "z"): Claim(2), ("w", "a"): Claim(3)}
    assert [change.key for change in differences(order, claims, None)] == [("v", "z"), ("w", "a"), ("w", "b")]
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
