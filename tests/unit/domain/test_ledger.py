"""The one way in: identities, refusals by the rules, dead letters of orders, commands. Contract sections 2, 7 and 8."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.unit.domain.shop import (
    APPLIED,
    DAY,
    DEAD_LETTERED,
    DUPLICATE,
    STALE,
    Fields,
    Flushed,
    Shop,
    body_of,
    counted,
    iso,
    lines,
    ordered,
)
from worker.domain.order.rows import encode_order
from worker.domain.order.state import Claim, OrderState
from worker.domain.policies import AccountPolicies
from worker.domain.searches import LevelsWanted
from worker.domain.violations import InvariantViolation
from worker.stream.processor import Outcome

BROKEN: Fields = {"type": "order.created", "event_id": "b", "account_id": "a", "order_id": "o", "lines": []}


def replay(shop: Shop, body: Fields, dead_letter_id: str) -> Flushed:
    return shop.send(body, headers=(("replay-of", dead_letter_id.encode()),))


# Identity.


def test_the_same_event_again_is_a_duplicate_and_changes_nothing(shop: Shop) -> None:
    body = body_of("order.created", lines=ordered(3))
    assert shop.send(body).outcome == APPLIED
    flushed = shop.send(body)
    assert (flushed.outcome, flushed.outputs) == (DUPLICATE, [])
    assert shop.restarted().send(body).outcome == DUPLICATE


@pytest.mark.parametrize(
    "spelling", [{"source": "erp"}, {"occurred_at": "2026-03-01T03:00:00.0004+03:00"}, {"unknown": 1}, {"reason": None}]
)
def test_what_is_said_in_other_words_is_the_same(shop: Shop, spelling: Fields) -> None:
    body = body_of("order.cancelled")
    shop.send(body)
    assert shop.send({**body, **spelling}).outcome == DUPLICATE


@pytest.mark.parametrize(
    "change", [{"occurred_at": iso(1)}, {"reason": "x"}, {"type": "order.created", "lines": lines(1)}]
)
def test_the_same_event_id_with_other_content_is_a_conflict_and_an_alert(shop: Shop, change: Fields) -> None:
    body = body_of("order.cancelled")
    shop.send(body)
    flushed = shop.send({**body, **change})
    assert (flushed.outcome, flushed.code) == (DEAD_LETTERED, "conflict")
    alert = flushed.events(Topic.ALERTS)[0]
    assert (alert["alert"], alert["severity"], alert["order_id"]) == ("conflict", "warning", "o")


def test_the_order_of_lines_is_content(shop: Shop) -> None:
    body = body_of("order.created", lines=[*ordered(1), *ordered(2)])
    shop.send(body)
    assert shop.send({**body, "lines": [*ordered(2), *ordered(1)]}).code == "conflict"


def test_every_conflicting_record_is_an_alert(shop: Shop) -> None:
    body = body_of("order.cancelled")
    shop.send(body)
    first, second = (shop.send({**body, "reason": "x"}) for _ in range(2))
    assert (first.alerts, second.alerts) == (["conflict", "order_refused"], ["conflict"])
    assert len({flushed.events(Topic.ALERTS)[0]["alert_id"] for flushed in (first, second)}) == 2


def test_a_replay_that_conflicts_again_is_no_alert(shop: Shop) -> None:
    body = body_of("order.cancelled")
    shop.send(body)
    shop.send({**body, "reason": "x"})
    again = shop.send({**body, "reason": "x"}, headers=(("replay-of", b"orders.events.v1/0/1"),))
    assert (again.code, again.alerts) == ("conflict", [])


def test_an_identity_is_scoped_to_its_order(shop: Shop) -> None:
    shop.order(3, event_id="same")
    assert shop.order(4, order_id="other", event_id="same").outcome == APPLIED
    assert shop.sub_order(4, event_id="same").code == "conflict"


def test_identities_are_found_among_many(shop: Shop) -> None:
    bodies = [body_of("sub_order.label_issued", minute, event_id=f"label-{minute}") for minute in range(50)]
    for body in bodies:
        shop.send(body)
    assert {shop.send(body).outcome for body in bodies} == {DUPLICATE}


def test_a_dead_lettered_record_leaves_no_identity(shop: Shop) -> None:
    shop.order(1)
    assert shop.say("order.cancelled", 60 + DAY + 1, event_id="x").code == "future"
    assert shop.say("order.cancelled", 5, event_id="x").outcome == APPLIED


def test_an_identity_of_an_adjustment_is_scoped_to_the_account(shop: Shop) -> None:
    body = body_of("stock.adjusted", 5, delta=3)
    assert shop.send(body).outcome == APPLIED
    assert shop.send(body).outcome == DUPLICATE
    flushed = shop.send({**body, "warehouse_id": "x"})
    assert (flushed.code, flushed.alerts) == ("conflict", ["conflict"])
    assert "order_id" not in flushed.events(Topic.ALERTS)[0]


def test_a_stale_adjustment_leaves_its_identity(shop: Shop) -> None:
    shop.count(10, 5)
    body = body_of("stock.adjusted", 5, delta=3)
    assert shop.send(body).outcome == STALE
    assert shop.send(body).outcome == DUPLICATE


def test_commands_have_no_identity(shop: Shop) -> None:
    body = body_of("archive.requested", event_id="same")
    assert shop.send(body).outcome == APPLIED
    assert shop.send({**body, "order_id": "other"}).outcome == APPLIED


# Refusals by time.


@pytest.mark.parametrize(
    "body",
    [body_of("order.cancelled"), body_of("stock.adjusted", delta=1), body_of("archive.requested")],
    ids=["order", "adjustment", "command"],
)
def test_what_happened_more_than_a_day_after_its_record_is_future(shop: Shop, body: Fields) -> None:
    assert shop.send({**body, "occurred_at": iso(60 + DAY)}).outcome != DEAD_LETTERED
    assert shop.send({**body, "event_id": "late", "occurred_at": iso(60 + DAY + 1)}).code == "future"


def test_a_count_more_than_five_minutes_after_its_record_is_future(shop: Shop) -> None:
    assert shop.count(1, 65).outcome == APPLIED
    assert shop.count(1, 66).code == "future"


def test_future_is_decided_before_conflict(shop: Shop) -> None:
    shop.order(1, event_id="same")
    assert shop.order(2, 61 + DAY, event_id="same").code == "future"


def test_an_old_event_of_an_order_that_is_not_known_is_too_late() -> None:
    shop = Shop(AccountPolicies(retention_days=30), now=30 * DAY + 10)
    assert shop.order(1, 9).code == "too_late"
    assert shop.order(1, 10).outcome == APPLIED
    assert shop.sub_order(1, 9).outcome == APPLIED


def test_a_dead_letter_alone_does_not_make_an_order_known() -> None:
    shop = Shop(now=90 * DAY + 10)
    shop.send(BROKEN)
    assert shop.order(1, 9).code == "too_late"


# Dead letters of an order.


def test_a_dead_letter_holds_its_order_back(shop: Shop) -> None:
    shop.send(BROKEN)
    shop.order(1)
    assert shop.view().dead_letters == ["orders.events.v1/0/0"]
    assert shop.restarted().view().dead_letters == ["orders.events.v1/0/0"]


def test_an_order_known_by_a_dead_letter_alone_has_no_status_record(shop: Shop) -> None:
    assert shop.send(BROKEN).statuses == []


@pytest.mark.parametrize("outcome", [APPLIED, DUPLICATE, STALE])
def test_a_replay_that_is_accepted_ends_it_however_it_is(shop: Shop, outcome: Outcome) -> None:
    shop.say("sub_order.on_hold", 5, event_id="known")
    shop.send(BROKEN)
    bodies = {
        APPLIED: body_of("order.created", lines=ordered(1)),
        DUPLICATE: body_of("sub_order.on_hold", 5, event_id="known"),
        STALE: body_of("sub_order.on_hold", 4),
    }
    assert replay(shop, bodies[outcome], "orders.events.v1/0/1").outcome == outcome
    assert shop.view().dead_letters == []


def test_a_replay_that_is_refused_again_keeps_its_id_and_is_pending_once(shop: Shop) -> None:
    shop.order(1)
    shop.send(BROKEN)
    flushed = replay(shop, BROKEN, "orders.events.v1/0/1")
    headers = dict(flushed.of(Topic.DEAD_LETTERS)[0].headers)
    assert (headers["source-topic"], headers["source-partition"], headers["source-offset"]) == (
        b"orders.events.v1",
        b"0",
        b"1",
    )
    assert shop.view().dead_letters == ["orders.events.v1/0/1"]


def test_several_dead_letters_end_one_by_one(shop: Shop) -> None:
    shop.order(1)
    shop.send(BROKEN)
    shop.send(BROKEN)
    replay(shop, body_of("order.cancelled"), "orders.events.v1/0/1")
    assert shop.view().dead_letters == ["orders.events.v1/0/2"]


def test_a_dead_letter_whose_replay_is_too_late_is_pending_until_discarded(shop: Shop) -> None:
    ahead = body_of("order.cancelled", 3 * DAY)
    assert shop.send(ahead).code == "future"
    shop.now = 200 * DAY
    assert replay(shop, ahead, "orders.events.v1/0/0").code == "too_late"
    assert shop.view().dead_letters == ["orders.events.v1/0/0"]
    assert shop.say("dead_letter.discarded", 200 * DAY, dead_letter_id="orders.events.v1/0/0").outcome == APPLIED
    assert shop.processor.ledger.order_of("a", "o") is None


def test_a_discarded_dead_letter_is_pending_again_if_its_replay_is_refused(shop: Shop) -> None:
    shop.order(1)
    shop.send(BROKEN)
    discarded = shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/1")
    assert (discarded.outcome, shop.view().dead_letters) == (APPLIED, [])
    assert shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/1").outcome == STALE
    replay(shop, BROKEN, "orders.events.v1/0/1")
    assert shop.view().dead_letters == ["orders.events.v1/0/1"]


def test_discarding_what_is_not_pending_is_stale(shop: Shop) -> None:
    assert shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/7").outcome == STALE


def test_discarding_all_that_was_known_of_an_order_forgets_it(shop: Shop) -> None:
    shop.send(BROKEN)
    shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/0")
    assert shop.processor.ledger.order_of("a", "o") is None
    assert shop.state[b"order/a/o"] is None


def test_a_conflict_holds_its_order_back(shop: Shop) -> None:
    shop.order(1, event_id="same")
    shop.order(2, event_id="same")
    assert shop.view().dead_letters == ["orders.events.v1/0/1"]


def test_a_record_that_is_too_late_holds_nothing_back() -> None:
    shop = Shop(now=100 * DAY)
    assert shop.order(1, 5).code == "too_late"
    shop.order(1, 99 * DAY)
    assert shop.view().dead_letters == []


def test_a_bad_command_holds_nothing_back(shop: Shop) -> None:
    shop.order(1)
    assert shop.say("dead_letter.discarded", dead_letter_id="").code == "invalid"
    assert shop.view().dead_letters == []


def test_a_dead_letter_whose_account_is_not_its_key_holds_nothing_back(shop: Shop) -> None:
    shop.order(1)
    assert shop.send(body_of("order.cancelled"), key=b"b").code == "key_mismatch"
    assert shop.send({**BROKEN, "account_id": "b"}).code == "invalid"
    assert shop.view().dead_letters == []


def test_a_dead_letter_without_a_valid_order_id_holds_nothing_back(shop: Shop) -> None:
    shop.order(1)
    for order_id in ("", "\u0001", 5, None, "o" * 129):
        assert shop.send({**BROKEN, "order_id": order_id}).code == "invalid"
    assert shop.view().dead_letters == []
    assert [order.order_id for order in shop.processor.ledger.orders()] == ["o"]


# Settings and views.


def test_the_default_warehouse_is_fixed_when_it_is_first_needed(shop: Shop) -> None:
    renamed = AccountPolicies(default_warehouse="renamed")
    shop.order(1)
    unneeded = shop.restarted(renamed)
    unneeded.say("order.created", order_id="p", lines=lines(1))
    assert unneeded.units("p") == [(None, "renamed", "k", 1, 0, 0)]
    shop.say("order.created", order_id="p", lines=lines(1))
    needed = shop.restarted(renamed)
    needed.say("order.created", order_id="q", lines=lines(1))
    assert needed.units("q") == [(None, "default", "k", 1, 0, 0)]


def test_every_account_has_its_own_stock_and_policies() -> None:
    shop = Shop(AccountPolicies(buffer=4))
    shop.count(10, 5)
    shop.send(body_of("stock.counted", 5, **counted(10, 5), account_id="b"), key=b"b")
    ledger = shop.processor.ledger
    assert [(level.account_id, level.publishable) for level in ledger.levels()] == [("a", 6), ("b", 10)]
    assert ledger.levels_page(LevelsWanted("unheard", 10)) is None
    assert ledger.order_of("unheard", "o") is None


def test_sizes_of_the_state_are_told(shop: Shop) -> None:
    shop.delivered_order(3)
    shop.order(1, order_id="p")
    gauges = shop.processor.gauges()
    assert {**gauges, "accounts": 1, "orders": 2, "orders_open": 1, "orders_retired": 0, "stock_keys": 1} == gauges
    assert shop.restarted().processor.gauges() == gauges


# What cannot happen.


def test_an_eligible_order_with_open_units_stops_the_partition(shop: Shop) -> None:
    spoilt = OrderState()
    spoilt.known, spoilt.lines, spoilt.cancelled_at = True, {}, 1
    spoilt.dead_letters, spoilt.claims = ["t/0/1"], {"w": {"k": Claim(3)}}
    shop.processor.restore(b"order/a/o", encode_order(spoilt))
    shop.processor.restored(0)
    with pytest.raises(InvariantViolation, match="eligible"):
        shop.say("dead_letter.discarded", dead_letter_id="t/0/1")
