"""Retention: what leaves the state, when, and what still counts. Contract section 8."""

from __future__ import annotations

import pytest

from tests.unit.domain.shop import APPLIED, DAY, DUPLICATE, STALE, Shop, body_of, iso
from worker.domain.policies import AccountPolicies
from worker.domain.retention import DUE_PER_RECORD_MAX

LEAVES = 60 + 90 * DAY
"""When an order leaves whose last event was recorded at minute 60."""


def tick(shop: Shop, now: int) -> None:
    """A record of another account: time alone."""
    shop.now = now
    shop.send(body_of("archive.requested", now, account_id="b"), key=b"b")


def is_there(shop: Shop, order_id: str = "o") -> bool:
    return shop.processor.ledger.order_of("a", order_id) is not None


def retired_shop() -> Shop:
    """10 counted at minute 5, an order of 3 shipped at 10, delivered at 20 and gone."""
    shop = Shop()
    shop.count(10, 5)
    shop.delivered_order(3)
    tick(shop, LEAVES)
    assert not is_there(shop)
    return shop


# When an order leaves.


def test_an_eligible_order_leaves_at_its_deadline_and_not_before(shop: Shop) -> None:
    shop.delivered_order(3)
    tick(shop, LEAVES - 1)
    assert is_there(shop)
    tick(shop, LEAVES)
    assert not is_there(shop)
    assert shop.state[b"order/a/o"] is None
    assert shop.state[b"retired/a/o"] is not None


def test_its_last_status_record_stays(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.now = LEAVES
    flushed = shop.order(1, LEAVES, order_id="other")
    assert [status["order_id"] for status in flushed.statuses] == ["other"]
    assert all(record.value is not None for record in flushed.outputs)


def test_a_status_still_to_be_written_is_written_as_the_order_leaves(shop: Shop) -> None:
    for body in (
        body_of("order.created", lines=[{"sku": "k", "quantity": 1, "warehouse_id": "w"}]),
        body_of("order.cancelled", 1),
    ):
        shop.process(body)
    shop.now = LEAVES
    shop.process(body_of("archive.requested", account_id="b", occurred_at=iso(60)), key=b"b")
    flushed = shop.flush()
    assert [(status["order_id"], status["eligible"]) for status in flushed.statuses] == [("o", True)]
    assert not is_there(shop)


def test_an_order_that_is_not_eligible_stays(shop: Shop) -> None:
    shop.order(3)
    tick(shop, LEAVES + 1000 * DAY)
    assert is_there(shop)


def test_an_order_that_becomes_eligible_late_leaves_late(shop: Shop) -> None:
    shop.order(3)
    shop.now = 200 * DAY
    shop.say("order.cancelled", 1)
    tick(shop, 290 * DAY - 1)
    assert is_there(shop)
    tick(shop, 290 * DAY)
    assert not is_there(shop)


def test_the_deadline_counts_from_the_later_of_occurrence_and_record(shop: Shop) -> None:
    shop.order(3)
    shop.say("order.cancelled", 60 + DAY)
    tick(shop, LEAVES + DAY - 1)
    assert is_there(shop)
    tick(shop, LEAVES + DAY)
    assert not is_there(shop)


def test_duplicates_and_stale_events_put_the_deadline_off(shop: Shop) -> None:
    body = body_of("sub_order.label_issued", 5)
    shop.send(body)
    shop.delivered_order(3)
    shop.now = 60 + DAY
    assert shop.send(body).outcome == DUPLICATE
    tick(shop, LEAVES + DAY - 1)
    assert is_there(shop)
    assert shop.restarted().view().eligible
    shop.now = LEAVES + DAY - 1
    assert shop.say("sub_order.label_issued", 4).outcome == STALE
    tick(shop, LEAVES + DAY)
    assert is_there(shop)


def test_commands_and_dead_letters_do_not_put_the_deadline_off(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.now = 60 + DAY
    shop.say("archive.requested")
    shop.send({"type": "order.created", "account_id": "a", "order_id": "o"})
    shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/5")
    tick(shop, LEAVES)
    assert not is_there(shop)


def test_a_pending_dead_letter_keeps_an_order(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.send({"type": "order.created", "account_id": "a", "order_id": "o"})
    tick(shop, LEAVES + DAY)
    assert is_there(shop)


def test_time_never_goes_back(shop: Shop) -> None:
    shop.delivered_order(3)
    tick(shop, LEAVES)
    tick(shop, 61)
    assert not is_there(shop)


def test_a_jump_in_time_is_worked_off_in_steps_but_what_is_touched_at_once(shop: Shop) -> None:
    orders = [f"o{number:03}" for number in range(2 * DUE_PER_RECORD_MAX + 10)]
    for order_id in orders:
        shop.order(1, order_id=order_id)
        shop.say("order.cancelled", 1, order_id=order_id)
    tick(shop, LEAVES)
    assert sum(is_there(shop, order_id) for order_id in orders) == len(orders) - DUE_PER_RECORD_MAX
    left = next(order_id for order_id in orders if is_there(shop, order_id))
    assert shop.say("archive.requested", order_id=left).answer["statuses"] == {}
    assert shop.say("order.cancelled", 0, order_id=orders[-1]).outcome == STALE
    tick(shop, LEAVES + 1)
    tick(shop, LEAVES + 2)
    assert not any(is_there(shop, order_id) for order_id in orders)


def test_retention_is_per_account() -> None:
    shop = Shop(AccountPolicies(retention_days=1))
    shop.delivered_order(3)
    tick(shop, 60 + DAY)
    assert not is_there(shop)


# After it left.


def test_a_dead_letter_of_a_gone_order_brings_nothing_back() -> None:
    shop = retired_shop()
    shop.send({"type": "order.created", "account_id": "a", "order_id": "o"})
    assert not is_there(shop)


@pytest.mark.parametrize("restarts", [False, True])
def test_the_id_of_a_gone_order_is_forgotten_after_400_days(*, restarts: bool) -> None:
    shop = retired_shop()
    shop = shop.restarted() if restarts else shop
    tick(shop, LEAVES + 400 * DAY - 1)
    assert shop.say("sub_order.delivered", 20).outcome == STALE
    tick(shop, LEAVES + 400 * DAY)
    assert shop.state[b"retired/a/o"] is None
    assert shop.say("archive.requested").answer["code"] == "NOT_FOUND"
    assert shop.say("sub_order.delivered", 20).code == "too_late"
    assert shop.order(2, LEAVES + 400 * DAY).outcome == APPLIED


@pytest.mark.parametrize("restarts", [False, True])
def test_shipments_of_a_gone_order_still_count(*, restarts: bool) -> None:
    shop = retired_shop()
    shop = shop.restarted() if restarts else shop
    assert shop.stock() == (7, 0)
    assert shop.count(10, 9).drifts == []
    assert shop.stock() == (7, 0)
    assert shop.count(7, 30).drifts == []
    assert shop.stock() == (7, 0)


@pytest.mark.parametrize("restarts", [False, True])
def test_restocks_of_a_gone_order_still_count(*, restarts: bool) -> None:
    shop = Shop()
    shop.count(10, 5)
    shop.delivered_order(3)
    shop.say("sub_order.returned", 30)
    tick(shop, LEAVES)
    assert not is_there(shop)
    shop = shop.restarted() if restarts else shop
    assert shop.count(7, 25).drifts == []
    assert shop.stock() == (10, 0)


# Flows that are folded.


@pytest.mark.parametrize("restarts", [False, True])
def test_flows_older_than_any_that_is_kept_are_folded_into_their_count(*, restarts: bool) -> None:
    shop = retired_shop()
    tick(shop, 10 + 490 * DAY)
    assert shop.stock() == (7, 0)
    tick(shop, LEAVES + 400 * DAY)
    shop = shop.restarted() if restarts else shop
    assert shop.stock() == (7, 0)
    now = LEAVES + 400 * DAY
    assert shop.count(7, now).drifts == []


def test_a_count_from_before_the_oldest_flow_is_too_late(shop: Shop) -> None:
    shop.now = 490 * DAY + 100
    assert shop.count(10, 99).code == "too_late"
    assert shop.count(10, 100).outcome == APPLIED


def test_too_late_is_decided_before_conflict(shop: Shop) -> None:
    shop.count(10, 5)
    shop.now = 490 * DAY + 100
    assert shop.count(11, 5).code == "too_late"


def test_a_fact_of_a_folded_time_still_corrects_on_hand(shop: Shop) -> None:
    shop.count(10, 5)
    shop.sub_order(3)
    shop.say("sub_order.shipped", 10)
    shop.order(5, order_id="open")
    now = 10 + 490 * DAY
    tick(shop, now)
    assert shop.say("stock.adjusted", now, delta=1).moves == [("adjust", 1, 0, 1)]
    assert shop.stock() == (8, 5)
    assert shop.say("sub_order.cancelled", 9, lines=[{"sku": "k", "quantity": 1}]).moves == [
        ("release", -1, 1, 1),
        ("unfreeze", 1, -1, 0),
    ]
    assert shop.restarted().stock() == shop.stock() == (9, 5)


# Adjustments.


def test_the_id_of_an_adjustment_is_remembered_for_the_retention() -> None:
    body = body_of("stock.adjusted", 60, delta=3)
    for restarts in (False, True):
        shop = Shop()
        shop.send(body)
        shop = shop.restarted() if restarts else shop
        shop.now = LEAVES
        assert shop.send(body).outcome == DUPLICATE
        assert shop.send({**body, "delta": 4}).code == "conflict"
        shop.now = LEAVES + 1
        assert shop.send({**body, "delta": 4, "occurred_at": iso(LEAVES)}).outcome == APPLIED


def test_an_id_is_remembered_from_the_later_of_event_and_record() -> None:
    shop = Shop()
    body = body_of("stock.adjusted", 60 + DAY, delta=3)
    shop.send(body)
    shop.now = LEAVES + DAY
    assert shop.send(body).outcome == DUPLICATE


def test_an_adjustment_is_too_late_by_the_newest_record_of_its_partition() -> None:
    shop = Shop(now=95 * DAY)
    tick(shop, 95 * DAY)
    shop.now = 94 * DAY  # an older record, read later
    assert shop.say("stock.adjusted", 5 * DAY - 1, delta=3).code == "too_late"
    assert shop.say("stock.adjusted", 5 * DAY, delta=3).outcome == APPLIED


def test_an_old_adjustment_whose_id_is_still_remembered_is_a_duplicate() -> None:
    shop = Shop(now=80 * DAY)
    body = body_of("stock.adjusted", 0, delta=3)
    shop.send(body)
    shop.now = 100 * DAY
    assert shop.send(body).outcome == DUPLICATE
    assert shop.send({**body, "delta": 4}).code == "too_late", "the codes are decided in their order"


def test_an_adjustment_counts_for_longer_than_its_id_is_remembered() -> None:
    shop = Shop()
    shop.count(10, 5)
    body = body_of("stock.adjusted", 8, delta=3)
    shop.send(body)
    shop.now = LEAVES + 1
    shop.send({**body, "occurred_at": iso(LEAVES), "delta": 1})
    for later in (shop, shop.restarted()):
        assert later.stock() == (14, 0)
        assert later.count(13, 9).drifts == []
        assert later.stock() == (14, 0)


def test_an_adjustment_leaves_the_state_once_its_flow_is_folded() -> None:
    shop = Shop()
    shop.count(10, 5)
    shop.say("stock.adjusted", 8, delta=3)
    (key,) = [key for key in shop.state if key.startswith(b"adjustment/")]
    tick(shop, 8 + 490 * DAY - 1)
    assert shop.state[key] is not None
    tick(shop, 8 + 490 * DAY)
    assert shop.state[key] is None
    assert shop.restarted().stock() == shop.stock() == (13, 0)


def test_a_stale_adjustment_leaves_the_state_with_its_id() -> None:
    shop = Shop()
    shop.count(10, 5)
    shop.say("stock.adjusted", 4, delta=3)
    (key,) = [key for key in shop.state if key.startswith(b"adjustment/")]
    tick(shop, LEAVES)
    assert shop.state[key] is not None
    tick(shop, LEAVES + 1)
    assert shop.state[key] is None
