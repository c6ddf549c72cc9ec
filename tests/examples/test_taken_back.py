"""Examples of what is taken back: cancellations, shipments, returns, whole parcels. Contract section 3."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.examples.conftest import NewShop
from tests.examples.shops import ExampleShop
from tests.model.alerts import raised
from tests.unit.domain.shop import child, lines, ordered

TAKING_BACK = (
    "order.reinstated",
    "sub_order.withdrawn",
    "sub_order.reinstated",
    "sub_order.shipment_voided",
    "sub_order.return_withdrawn",
)


def test_an_order_paid_after_its_cancellation_is_frozen_again(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(3, 10)
    assert shop.say("order.cancelled", 20, reason="payment expired").moves == [("unfreeze", 3, -3, 0)]
    revived = shop.say("order.reinstated", 30, reason="paid after all")
    assert (revived.moves, revived.alerts) == ([("freeze", 3, 3, 0)], [])
    assert shop.sub_order(3, 31).moves == []
    assert shop.say("sub_order.label_issued", 32).alerts == []
    assert shop.stock() == (10, 3)
    assert shop.say("sub_order.shipped", 40).moves == [("release", 3, -3, -3)]


def test_an_amendment_alone_does_not_revive_a_cancelled_order(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(3, 10)
    shop.say("order.cancelled", 20)
    assert shop.say("order.amended", 30, revision=1, lines=ordered(3)).moves == []
    assert (shop.status(), shop.stock()) == ("cancelled", (10, 0))


def test_a_cancellation_after_the_reinstatement_counts(shop: ExampleShop) -> None:
    shop.order(3, 10)
    shop.say("order.reinstated", 30)
    late = shop.say("order.cancelled", 20)  # arrives late: it was taken back before
    assert ("stale" in late.outcomes, late.moves) == (True, [])
    assert shop.say("order.cancelled", 30).moves == []  # not after it
    assert shop.say("order.cancelled", 31).moves == [("unfreeze", 3, -3, 0)]


def test_a_voided_shipment_is_frozen_and_on_hand_again(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(3, 10)
    shop.sub_order(3, 11)
    steps = [shop.say("sub_order.shipped", 20)]
    voided = shop.say("sub_order.shipment_voided", 25, reason="not accepted by the carrier")
    assert voided.moves == [("release", -3, 3, 3)]
    assert (shop.stock(), shop.sub_order_status()) == ((10, 3), "processing")
    steps += [voided, shop.say("sub_order.shipped", 40), shop.say("sub_order.delivered", 50)]
    assert (shop.stock(), shop.status()) == ((7, 0), "delivered")
    assert [step.alerts for step in steps] == [[]] * 4
    assert [step.archive for step in steps] == [[], [], [], ["archive.eligible"]]


def test_a_voided_shipment_takes_its_returns_along(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(3, 1)
    shop.say("sub_order.delivered", 2)
    shop.say("sub_order.returned", 3, lines=lines(1))
    assert shop.say("sub_order.shipment_voided", 4).moves == [("release", -3, 3, 3), ("restock", -1, 0, -1)]
    assert (shop.stock(), shop.sub_order_status()) == ((10, 3), "processing")


def test_a_return_that_the_buyer_withdraws_lets_the_order_be_archived(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(2, 5)
    shop.sub_order(2, 6)
    shop.say("sub_order.delivered", 10)
    assert shop.say("sub_order.return_started", 20, return_id="r1", lines=lines(1)).archive == ["archive.revoked"]
    assert shop.say("sub_order.return_withdrawn", 30, return_id="r1").archive == ["archive.eligible"]
    assert shop.say("archive.requested", 31).answer["type"] == "archive.eligible"
    back = shop.say("sub_order.returned", 50, return_id="r2", lines=lines(2))
    assert (back.moves, back.alerts) == ([("restock", 2, 0, 2)], [])
    assert shop.stock() == (10, 0)


def test_a_withdrawn_return_may_begin_again_with_other_lines(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.sub_order(5, 1)
    shop.say("sub_order.delivered", 2)
    shop.say("sub_order.returned", 3, lines=lines(4), warehouse_id="x")
    assert shop.say("sub_order.return_withdrawn", 4).places == [("x", "k", "restock", -4)]
    assert shop.say("sub_order.returned", 5, lines=lines(1)).places == [("w", "k", "restock", 1)]


def test_the_later_of_two_creations_in_a_second_wins_by_its_revision(shop: ExampleShop) -> None:
    shop.count(10, 0)
    shop.order(5, 5)
    shop.sub_order(2, 6, event_id="hook-9")
    shop.sub_order(5, 6, event_id="hook-10", revision=1)
    shop.say("sub_order.shipped", 7)
    assert (shop.stock(), shop.units()) == ((5, 0), [("s", "w", "k", 0, 5, 0)])


def test_a_reinstated_sub_order_forgets_cancelled_lines_too(shop: ExampleShop) -> None:
    shop.sub_order(5, 1)
    shop.say("sub_order.cancelled", 2, lines=lines(2))
    shop.say("sub_order.cancelled", 3)
    assert shop.say("sub_order.reinstated", 3).moves == [("freeze", 5, 5, 0)]
    shop.say("sub_order.cancelled", 4, lines=lines(1))
    assert shop.units() == [("s", "w", "k", 4, 0, 1)]


def test_the_units_of_a_withdrawn_parcel_are_the_orders_again(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(5, 2)
    assert shop.say("sub_order.withdrawn", 3).moves == []
    assert (shop.units(), shop.sub_order_status()) == ([(None, "w", "k", 5, 0, 0)], "withdrawn")
    assert shop.status() == "processing"


def test_units_of_a_withdrawn_parcel_are_free_until_the_order_comes(shop: ExampleShop) -> None:
    shop.sub_order(5, 2)
    assert shop.say("sub_order.withdrawn", 3).moves == [("unfreeze", 5, -5, 0)]
    assert shop.order(5, 1).moves == [("freeze", 5, 5, 0)]


def test_cancelling_all_of_a_withdrawn_parcel_counts_for_nothing(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(5, 2)
    shop.say("sub_order.withdrawn", 4)
    assert shop.say("sub_order.cancelled", 5).moves == []
    assert shop.stock() == (None, 5)


def test_lines_cancelled_of_a_withdrawn_parcel_stay_cancelled(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(5, 2)
    shop.say("sub_order.cancelled", 3, lines=lines(2))
    shop.say("sub_order.withdrawn", 4)
    assert shop.units() == [(None, "w", "k", 3, 0, 0)]
    closed = shop.say("sub_order.cancelled", 5, lines=lines(5))
    assert (shop.status(), closed.archive) == ("cancelled", ["archive.eligible"])


def test_a_withdrawn_parcel_that_ships_raises_an_alert_and_moves_nothing(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.sub_order(5, 2)
    shop.say("sub_order.withdrawn", 3)
    shipped = shop.say("sub_order.shipped", 4)
    assert (shipped.moves, shipped.alerts) == ([], [raised("superseded_shipped", order_id="o", sub_order_id="s")])


def test_a_parcel_created_again_is_not_born_cancelled_or_shipped(new_shop: NewShop) -> None:
    events: list[tuple[str, int, dict[str, object]]] = [
        ("sub_order.created", 1, {"lines": lines(5)}),
        ("sub_order.cancelled", 2, {}),
        ("sub_order.shipped", 3, {}),
        ("sub_order.withdrawn", 3, {}),
        ("sub_order.created", 4, {"lines": lines(4), "revision": 1}),
    ]
    for arrival in permutations(events):
        shop = new_shop()
        for kind, at, fields in arrival:
            shop.say(kind, at, **fields)
        assert shop.units() == [("s", "w", "k", 4, 0, 0)], arrival
        assert shop.sub_order_status() == "processing", arrival


def test_a_parcel_created_again_with_a_lower_revision_stays_withdrawn(shop: ExampleShop) -> None:
    shop.sub_order(5, 1, revision=2)
    shop.say("sub_order.withdrawn", 3)
    assert shop.sub_order(4, 5, revision=1).moves == []
    assert shop.sub_order_status() == "withdrawn"
    assert shop.sub_order(4, 5, revision=3).moves == [("freeze", 4, 4, 0)]


def test_an_earlier_entry_of_a_greater_revision_unhides_the_past(shop: ExampleShop) -> None:
    shop.sub_order(5, 10)
    shop.say("sub_order.shipped", 11)
    shop.say("sub_order.withdrawn", 12)
    shop.sub_order(5, 13, revision=1)
    assert shop.sub_order_status() == "processing"
    shop.sub_order(5, 9, revision=2)
    assert shop.sub_order_status() == "withdrawn"  # the withdrawal is after that entry
    shop.say("sub_order.split", 20, children=[child("c", 5)])
    assert shop.sub_order_status() == "superseded"


def test_a_shipment_dates_from_the_earliest_event_of_it(shop: ExampleShop) -> None:
    shop.count(10, 5)
    shop.sub_order(3, 1)
    shop.say("sub_order.shipped", 9)
    assert shop.stock() == (7, 0)
    assert shop.say("sub_order.in_transit", 4).moves == [("adjust", 3, 0, 3)]  # the count had it


@pytest.mark.parametrize("kind", TAKING_BACK)
def test_what_takes_back_may_not_lie_in_the_future(shop: ExampleShop, kind: str) -> None:
    assert shop.say(kind, shop.now + 6).code == "future"
    assert shop.say(kind, shop.now + 5).code is None


@pytest.mark.parametrize(
    ("kind", "fields"), [("sub_order.return_withdrawn", {"return_id": None}), ("sub_order.created", {"revision": -1})]
)
def test_a_take_back_or_revision_that_makes_no_sense_is_dead_lettered(
    shop: ExampleShop, kind: str, fields: dict[str, object]
) -> None:
    assert shop.say(kind, 1, **{"lines": lines(1), **fields}).code == "invalid"
