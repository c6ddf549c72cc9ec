"""Alerts begin and end: the same `alert_id`, exactly the ids they are judged per, once a record. Contract section 8."""

from __future__ import annotations

from typing import Any

import msgspec

from schemas.topics import Topic
from tests.unit.domain.shop import DAY, Fields, Flushed, Shop, body_of, child, counted, iso, lines, ordered

ENVELOPE = {"type", "event_id", "account_id", "occurred_at", "cause"}


def only(flushed: Flushed) -> Fields:
    (event,) = flushed.events(Topic.ALERTS)
    return event


def ids_of(event: Fields) -> Fields:
    return {name: event[name] for name in event.keys() - ENVELOPE - {"alert_id", "alert", "severity", "detail"}}


def replay_of(dead_letter_id: str) -> tuple[tuple[str, bytes], ...]:
    return (("replay-of", dead_letter_id.encode()),)


BAD: Fields = {"type": "order.created", "account_id": "a", "order_id": "o", "lines": [{"sku": "k"}, {"sku": ""}]}


def test_an_alert_is_cleared_with_its_id_and_the_same_ids(shop: Shop) -> None:
    shop.count(2, 0)
    raised, cleared = only(shop.order(3)), only(shop.say("order.cancelled", 1, event_id="x"))
    assert (raised["type"], cleared["type"]) == ("alert.raised", "alert.cleared")
    assert (raised["alert_id"], ids_of(raised)) == (cleared["alert_id"], ids_of(cleared))
    assert ids_of(cleared) == {"warehouse_id": "w", "sku": "k"}
    assert (cleared["cause"], cleared["occurred_at"]) == ("x", iso(1))
    assert not {"severity", "detail"} & cleared.keys()


def test_an_alert_that_begins_again_has_the_same_id_another_its_own(shop: Shop) -> None:
    shop.count({"k": 2, "other": 0}, 0)
    first = only(shop.order(3))
    shop.say("order.cancelled", 1)
    assert only(shop.order(3, order_id="p"))["alert_id"] == first["alert_id"]
    other = only(shop.say("order.created", order_id="q", lines=ordered(1, "w", "other")))
    assert other["alert_id"] != first["alert_id"]


def test_each_alert_of_an_order_has_exactly_its_ids(shop: Shop) -> None:
    shop.order(1)
    assert ids_of(only(shop.sub_order(2))) == {"order_id": "o", "sku": "k"}
    over = only(shop.say("sub_order.returned", 2, lines=lines(3)))
    assert ids_of(over) == {"order_id": "o", "sub_order_id": "s", "sku": "k"}
    split = shop.say("sub_order.split", 3, children=[child("c", 1)]).events(Topic.ALERTS)
    assert [(event["type"], event["alert"]) for event in split] == [
        ("alert.cleared", "over_allocated"),
        ("alert.cleared", "over_returned"),
        ("alert.raised", "superseded_shipped"),
    ]
    assert ids_of(split[-1]) == {"order_id": "o", "sub_order_id": "s"}


def test_a_conflict_has_the_ids_that_its_record_gives(shop: Shop) -> None:
    shop.say("sub_order.return_started", 1, event_id="x")
    refused = shop.say("sub_order.returned", 1, event_id="x", warehouse_id="z").events(Topic.ALERTS)
    assert [event["alert"] for event in refused] == ["conflict", "order_refused"]
    given = {"order_id": "o", "sub_order_id": "s", "return_id": "r", "warehouse_id": "z"}
    assert (ids_of(refused[0]), ids_of(refused[1])) == (given, {"order_id": "o"})


def test_a_refused_order_is_raised_until_its_replay_is_accepted(shop: Shop) -> None:
    raised = only(shop.send(BAD))
    assert (raised["alert"], raised["severity"], ids_of(raised)) == ("order_refused", "critical", {"order_id": "o"})
    for word in ("invalid", "orders.events.v1/0/0", "SKUs are k."):
        assert word in raised["detail"]
    assert shop.send(BAD, headers=replay_of("orders.events.v1/0/0")).alerts == []
    cleared = only(shop.send(body_of("order.created", lines=ordered(1)), headers=replay_of("orders.events.v1/0/0")))
    assert (cleared["type"], cleared["alert_id"]) == ("alert.cleared", raised["alert_id"])


def test_the_first_dead_letter_raises_and_the_last_clears(shop: Shop) -> None:
    assert [shop.send(BAD).alerts for _ in range(2)] == [["order_refused"], []]
    assert shop.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/0").alerts == []
    discarded = shop.restarted().say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/1")
    assert discarded.alerts == ["cleared order_refused"]


def test_skus_of_a_refused_order_are_named_up_to_a_bound(shop: Shop) -> None:
    many = [{"sku": f"k{number}", "quantity": 0} for number in range(12)]
    detail = only(shop.send({**BAD, "lines": many}))["detail"]
    assert detail.endswith("its SKUs are k0, k1, k2, k3, k4, k5, k6, k7, k8, k9 and 2 more.")
    assert only(shop.send({**BAD, "order_id": "p", "lines": 5}))["detail"].endswith("no SKU can be read in it.")


def test_one_unit_sold_twice_by_a_refused_order_is_heard_of_at_once(shop: Shop) -> None:
    """The history of cases/65-refused-order-is-told-nowhere.json."""
    shop.count(1, 0)
    refused = shop.say("order.created", 5, order_id="O1", lines=[*ordered(1), *ordered(1, "w", "")])
    raised = only(refused)
    assert (refused.code, raised["alert"], raised["severity"]) == ("invalid", "order_refused", "critical")
    assert (raised["order_id"], "(invalid)" in raised["detail"], "SKUs are k" in raised["detail"]) == ("O1", True, True)
    assert shop.order(1, 6, order_id="O2").alerts == []
    fixed = body_of("order.created", 5, order_id="O1", lines=ordered(1))
    accepted = shop.send(fixed, headers=replay_of("orders.events.v1/0/1"))
    assert sorted(accepted.alerts) == ["cleared order_refused", "oversold"]


def test_an_order_that_leaves_has_its_alerts_cleared_when_that_was_due(shop: Shop) -> None:
    shop.delivered_order()
    raised = only(shop.say("sub_order.returned", 30, lines=lines(2)))
    assert shop.processor.alerts_open()["over_returned"] == 1
    shop.now += 100 * DAY
    cleared = only(shop.count(9, 5))
    assert (cleared["type"], cleared["alert_id"]) == ("alert.cleared", raised["alert_id"])
    assert (cleared["occurred_at"], "cause" in cleared) == (iso(60 + 90 * DAY), False)
    assert shop.processor.alerts_open()["over_returned"] == 0


def test_a_restore_counts_the_alerts_that_hold(shop: Shop) -> None:
    shop.count(1, 0)
    shop.order(2)
    shop.sub_order(3)
    shop.send({**BAD, "order_id": "p"})
    held = {"oversold": 1, "over_allocated": 1, "order_refused": 1}
    assert shop.processor.alerts_open() == shop.restarted().processor.alerts_open() == held


def test_alerts_of_a_state_of_version_1_are_cleared(shop: Shop) -> None:
    shop.count(1, 0)
    shop.order(2)
    shop.sub_order(3)
    shop.send(BAD)
    older = of_version_1(shop)
    assert older.say("dead_letter.discarded", dead_letter_id="orders.events.v1/0/1").alerts == []
    assert sorted(older.say("order.cancelled", 3).alerts) == ["cleared over_allocated", "cleared oversold"]


def of_version_1(shop: Shop) -> Shop:
    """The shop restored from what an older program would have written: it knew no `order_refused`."""
    for key, value in shop.state.items():
        if key.startswith(b"order/") and value is not None:
            row: list[Any] = msgspec.msgpack.decode(value)
            row[0], row[13] = 1, [entry for entry in row[13] if entry[0] != "order_refused"]
            shop.state[key] = msgspec.msgpack.encode(row)
    return shop.restarted()


def test_conditions_are_judged_once_a_record_whatever_else_is_flushed() -> None:
    bodies = [
        body_of("stock.counted", 1, **counted(1, 0)),
        body_of("order.created", 2, lines=ordered(3)),
        body_of("order.cancelled", 3),
    ]
    shop = Shop()
    for body in bodies:
        shop.process(body)
    assert shop.flush().alerts == ["oversold", "cleared oversold"]
