"""Examples of dead letters, archive answers, and what leaves with time. Contract sections 2, 7 and 8."""

from __future__ import annotations

from schemas.topics import Topic
from tests.examples.shops import ExampleShop
from tests.model.alerts import cleared, raised
from tests.unit.domain.shop import DAY, body_of

HOUR = 60


def reason(shop: ExampleShop) -> str:
    answer = shop.say("archive.requested").answer
    return str(answer.get("code", answer["type"]))


def test_an_event_id_with_other_content_holds_back_until_discarded(shop: ExampleShop) -> None:
    shop.order(5, 1, event_id="x", source="one")
    assert shop.order(5, 1, event_id="x", source="two").outcomes == {"duplicate"}
    assert shop.say("order.cancelled", 2).archive == ["archive.eligible"]
    refused = shop.order(6, 1, event_id="x")
    assert (refused.code, refused.alerts) == (
        "conflict",
        [raised("conflict", order_id="o"), raised("order_refused", order_id="o")],
    )
    assert refused.archive == ["archive.revoked"]
    assert reason(shop) == "DEAD_LETTERED"
    discarded = shop.say("dead_letter.discarded", dead_letter_id=refused.dead_letter_id)
    assert discarded.archive == ["archive.eligible"]
    assert discarded.alerts == [cleared("order_refused", order_id="o")]


def test_a_conflict_about_stock_names_the_order_it_holds_back(shop: ExampleShop) -> None:
    shop.say("stock.adjusted", 1, event_id="x", delta=1)
    refused = shop.say("stock.adjusted", 1, event_id="x", delta=2, order_id="o")
    where = {"order_id": "o", "warehouse_id": "w", "sku": "k"}
    assert refused.alerts == [raised("conflict", **where), raised("order_refused", order_id="o")]


def test_an_accepted_replay_holds_nothing_back_a_refused_one_does(shop: ExampleShop) -> None:
    shop.order(5, 1)
    shop.say("order.cancelled", 1)
    body = body_of("order.cancelled", 30 * HOUR)
    refused = shop.send(body)
    assert (refused.code, refused.dead_letter_id) == ("future", "orders.events.v1/0/2")
    header = (("replay-of", b"orders.events.v1/0/2"),)
    again = shop.send(body, headers=header)
    assert (again.code, again.dead_letter_id) == ("future", "orders.events.v1/0/2")
    shop.now += 7 * HOUR
    accepted = shop.send(body, headers=header)
    assert (accepted.code, accepted.archive) == (None, ["archive.eligible"])


def test_the_archive_answers_with_the_first_reason_that_fits(shop: ExampleShop) -> None:
    assert reason(shop) == "NOT_FOUND"
    broken = shop.send(b'{"type":"sub_order.shipped","account_id":"a","order_id":"o"}', topic=Topic.SUB_ORDERS)
    assert reason(shop) == "NOT_FOUND"
    shop.sub_order(1, 1)
    assert shop.say("archive.requested").answer["blocking"] == [{"sub_order_id": "s", "status": "processing"}]
    shop.say("sub_order.delivered", 2)
    assert reason(shop) == "VALIDATION_ERROR"
    shop.order(1)
    assert reason(shop) == "DEAD_LETTERED"
    shop.say("sub_order.return_started", 3)
    assert reason(shop) == "RETURN_IN_PROGRESS"
    shop.say("sub_order.returned", 4)
    shop.say("dead_letter.discarded", 5, dead_letter_id=broken.dead_letter_id)
    assert reason(shop) == "archive.eligible"


def test_an_eligible_order_leaves_and_late_events_change_nothing(shop: ExampleShop) -> None:
    shop.order(1, 1)
    shop.say("order.cancelled", 2)
    shop.now += 91 * DAY
    assert shop.say("order.cancelled", 1).outcomes == {"stale"}
    assert shop.say("order.cancelled", 3).code == "too_late"
    answer = shop.say("archive.requested").answer
    assert (answer["type"], answer["statuses"]) == ("archive.eligible", {})
    shop.now += 400 * DAY
    assert reason(shop) == "NOT_FOUND"


def test_an_old_event_of_an_unknown_order_is_too_late(shop: ExampleShop) -> None:
    shop.now += 91 * DAY
    assert shop.order(1, 1).code == "too_late"
