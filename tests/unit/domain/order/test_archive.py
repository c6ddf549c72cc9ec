"""When an order may be archived, and why not: contract section 7."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from schemas.topics import Topic
from tests.unit.domain.shop import APPLIED, Fields, Shop, body_of, child, lines, ordered

MESSAGE = "Order status must be one of: delivered, cancelled, returned, failed_to_deliver"
BROKEN = b'{"type":"sub_order.shipped","account_id":"a","order_id":"o"}'


def ask(shop: Shop, order_id: str = "o") -> Fields:
    flushed = shop.say("archive.requested", 50, order_id=order_id)
    assert flushed.outcome == APPLIED
    return flushed.answer


def reason(shop: Shop) -> str:
    answer = ask(shop)
    return str(answer.get("code", answer["type"]))


# The four refusals.


def test_an_order_of_which_nothing_is_known_is_not_found(shop: Shop) -> None:
    answer = ask(shop, "unheard")
    assert (answer["type"], answer["code"], answer["order_id"]) == ("archive.rejected", "NOT_FOUND", "unheard")
    assert answer["statuses"] == {}
    assert answer["message"]


def test_an_order_of_which_only_a_dead_letter_is_known_is_not_found(shop: Shop) -> None:
    shop.send(BROKEN, topic=Topic.SUB_ORDERS)
    assert reason(shop) == "NOT_FOUND"


def test_what_is_not_terminal_is_a_validation_error_that_names_it(shop: Shop) -> None:
    shop.order(9)
    shop.sub_order(1)
    shop.sub_order(1, 0, sub_order_id="r")
    shop.say("sub_order.delivered", 1, sub_order_id="r")
    shop.sub_order(2, 0, sub_order_id="p")
    shop.say("sub_order.split", 1, sub_order_id="p", children=[child("c", 2)])
    shop.say("sub_order.in_transit", 2, sub_order_id="c")
    answer = ask(shop)
    assert (answer["code"], answer["message"]) == ("VALIDATION_ERROR", MESSAGE)
    assert answer["blocking"] == [
        {"sub_order_id": "c", "status": "in_transit"},
        {"sub_order_id": "s", "status": "processing"},
        {"sub_order_id": None, "status": "processing"},
    ]
    assert answer["statuses"] == {"c": "in_transit", "p": "superseded", "r": "delivered", "s": "processing"}


def test_an_order_that_is_not_placed_is_a_validation_error(shop: Shop) -> None:
    shop.sub_order(1)
    shop.say("sub_order.delivered", 1)
    answer = ask(shop)
    assert (answer["code"], answer["blocking"]) == ("VALIDATION_ERROR", [])


def test_an_order_without_leaves_and_with_nothing_open_is_eligible(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3, 5)
    shop.say("sub_order.cancelled", 6, lines=lines(3))
    other = {"sub_order_id": "c", "lines": lines(1, "other")}
    shop.say("sub_order.split", 1, children=[other])
    shop.say("sub_order.split", 2, sub_order_id="c", children=[child("s", 3)])
    assert set(shop.view().sub_orders.values()) == {"superseded"}
    assert (shop.units(), shop.view().status) == ([], "cancelled")
    assert ask(shop)["type"] == "archive.eligible"


def test_a_return_under_way_refuses(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.say("sub_order.return_started", 30)
    answer = ask(shop)
    assert answer["code"] == "RETURN_IN_PROGRESS"
    assert "blocking" not in answer
    assert answer["statuses"] == {"s": "delivered"}


def test_a_pending_dead_letter_refuses(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.send(BROKEN, topic=Topic.SUB_ORDERS)
    answer = ask(shop)
    assert answer["code"] == "DEAD_LETTERED"
    assert "sub-orders.events.v1/0/4" in answer["message"]


# Eligibility.


def test_an_eligible_order_is_answered_each_time_it_is_asked_for(shop: Shop) -> None:
    shop.delivered_order(3)
    for _ in range(2):
        answer = ask(shop)
        assert (answer["type"], answer["statuses"], answer["order_id"]) == ("archive.eligible", {"s": "delivered"}, "o")


def deliver(shop: Shop) -> None:
    shop.delivered_order(3)


def cancel_before_any_sub_order(shop: Shop) -> None:
    shop.order(3)
    shop.say("order.cancelled", 1)


def return_all(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.say("sub_order.return_started", 30)
    shop.say("sub_order.returned", 40)


def deliver_the_children(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    shop.say("sub_order.return_started", 1)
    shop.say("sub_order.split", 2, children=[child("c", 3)])
    shop.say("sub_order.delivered", 3, sub_order_id="c")


def fail_one_and_cancel_the_rest(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(2)
    shop.say("sub_order.failed_to_deliver", 3)
    shop.say("order.cancelled", 4)


@pytest.mark.parametrize(
    "bring_about",
    [deliver, cancel_before_any_sub_order, return_all, deliver_the_children, fail_one_and_cancel_the_rest],
)
def test_an_order_becomes_eligible_once_all_is_over(shop: Shop, bring_about: Callable[[Shop], None]) -> None:
    bring_about(shop)
    assert shop.view().eligible
    assert reason(shop) == "archive.eligible"


def test_becoming_eligible_and_ceasing_to_be_is_written_when_it_happens(shop: Shop) -> None:
    shop.order(3)
    shop.sub_order(3)
    assert shop.say("sub_order.shipped", 10).archive == []
    assert shop.say("sub_order.delivered", 20).archive == ["archive.eligible"]
    assert shop.say("sub_order.label_issued", 5).archive == []
    assert shop.say("sub_order.return_started", 30).archive == ["archive.revoked"]
    flushed = shop.say("sub_order.returned", 40)
    assert flushed.archive == ["archive.eligible"]
    assert flushed.statuses[0]["eligible"] is True


def test_an_order_that_gets_more_units_is_revoked(shop: Shop) -> None:
    shop.delivered_order(3)
    flushed = shop.say("order.amended", 30, revision=1, lines=ordered(4))
    assert flushed.archive == ["archive.revoked"]
    assert flushed.answer["statuses"] == {"s": "delivered"}


def test_a_dead_letter_revokes_and_its_end_makes_eligible_again(shop: Shop) -> None:
    shop.delivered_order(3)
    flushed = shop.send(BROKEN, topic=Topic.SUB_ORDERS)
    assert flushed.archive == ["archive.revoked"]
    assert flushed.statuses[0]["eligible"] is False
    replayed = body_of("sub_order.label_issued", 5)
    assert shop.send(replayed, headers=(("replay-of", b"sub-orders.events.v1/0/4"),)).archive == ["archive.eligible"]


def test_held_goods_are_not_terminal(shop: Shop) -> None:
    shop.delivered_order(3)
    assert shop.say("sub_order.on_hold", 30).archive == ["archive.revoked"]
    assert reason(shop) == "VALIDATION_ERROR"


def test_a_leaf_may_be_terminal_while_units_are_uncovered(shop: Shop) -> None:
    shop.order(3)
    shop.say("sub_order.delivered", 3)
    assert not shop.view().eligible
    assert shop.say("sub_order.created", 1, lines=lines(3)).archive == ["archive.eligible"]
