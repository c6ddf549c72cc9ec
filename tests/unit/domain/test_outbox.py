"""Envelopes of outputs, their ids, and what one transaction shares. Contract sections 5 and 8."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from schemas.outputs import (
    Alert,
    AlertCleared,
    AlertRaised,
    ArchiveEligible,
    ArchiveRejected,
    ArchiveRevoked,
    DriftDetected,
    DriftSummary,
    Movement,
    OrderStatusChanged,
    StockLevelChanged,
    StockMoved,
)
from schemas.topics import Topic
from tests.unit.domain.shop import Flushed, Shop, body_of, counted, iso, lines, ordered
from worker.domain.accounts import Account
from worker.domain.cause import Cause
from worker.domain.order.state import OrderState
from worker.domain.outbox import _MOVEMENT_TALLY, SEVERITIES, Outbox
from worker.domain.policies import AccountPolicies
from worker.domain.violations import InvariantViolation

SHAPES: dict[Topic, msgspec.json.Decoder[Any]] = {
    Topic.MOVEMENTS: msgspec.json.Decoder(StockMoved, strict=True),
    Topic.LEVELS: msgspec.json.Decoder(StockLevelChanged, strict=True),
    Topic.STATUS: msgspec.json.Decoder(OrderStatusChanged, strict=True),
    Topic.ELIGIBILITY: msgspec.json.Decoder(ArchiveEligible | ArchiveRevoked | ArchiveRejected, strict=True),
    Topic.DRIFT: msgspec.json.Decoder(DriftDetected | DriftSummary, strict=True),
    Topic.ALERTS: msgspec.json.Decoder(AlertRaised | AlertCleared, strict=True),
}


def ids(flushed: Flushed) -> list[str]:
    return [json.loads(record.value or b"")["event_id"] for record in flushed.outputs]


def busy_shop() -> tuple[Shop, list[Flushed]]:
    """Every kind of output."""
    shop = Shop()
    flushed = [
        shop.count(2, 1),
        shop.say("order.created", 2, lines=[*ordered(3), *ordered(1, "x", "other")]),
        shop.sub_order(4, 3),
        shop.say("order.cancelled", 4),
        shop.say("sub_order.delivered", 5),
        shop.say("sub_order.return_started", 6),
        shop.say("archive.requested", 7),
        shop.say("sub_order.returned", 8),
        shop.say("archive.requested", 9),
        shop.count({"k": 9, "new": 1}, 30, absent="zero"),
        shop.say("sub_order.delivered", 9, event_id="e"),
        shop.say("sub_order.delivered", 10, event_id="e"),
    ]
    return shop, flushed


def test_every_output_has_its_declared_shape_and_key() -> None:
    seen = set()
    for flushed in busy_shop()[1]:
        for record in flushed.outputs:
            topic = Topic(record.topic)
            event = SHAPES[topic].decode(record.value or b"")
            seen.add(type(event))
            if isinstance(event, StockLevelChanged):
                assert record.key == f"a/{event.warehouse_id}/{event.sku}".encode()
            elif isinstance(event, OrderStatusChanged):
                assert record.key == f"a/{event.order_id}".encode()
            else:
                assert record.key == b"a"
    assert len(seen) == 10


def test_event_ids_are_the_source_and_a_running_number_and_all_differ() -> None:
    _, flushed = busy_shop()
    for offset, step in enumerate(flushed):
        sources = [event_id.rpartition("/") for event_id in ids(step)]
        assert {source.rpartition("/")[2] for source, _, _ in sources} <= {str(offset)}
        numbers = sorted(int(number) for _, _, number in sources)
        assert numbers == sorted(set(numbers))
        assert numbers[:1] in ([], [0])
    everything = [event_id for step in flushed for event_id in ids(step)]
    assert len(everything) == len(set(everything)) > 20
    assert everything[0] == "stock.events.v1/0/0/0"


def test_outputs_say_what_caused_them_and_when_that_happened(shop: Shop) -> None:
    flushed = shop.order(3, 7, event_id="cause of it")
    for record in flushed.outputs:
        event = json.loads(record.value or b"")
        assert (event["account_id"], event["cause"], event["occurred_at"]) == ("a", "cause of it", iso(7))


def test_longer_keys_are_percent_encoded(shop: Shop) -> None:
    order_id, sku, warehouse_id = "№ 1/2", 'a"b', "w%\\"
    flushed = shop.say("order.created", order_id=order_id, lines=ordered(1, warehouse_id, sku))
    assert [record.key for record in flushed.of(Topic.STATUS)] == [b"a/%E2%84%96%201%2F2"]
    assert [record.key for record in flushed.of(Topic.LEVELS)] == [b"a/w%25%5C/a%22b"]
    assert (flushed.levels[0]["warehouse_id"], flushed.levels[0]["sku"]) == (warehouse_id, sku)
    assert flushed.statuses[0]["order_id"] == order_id
    assert shop.restarted().view(order_id) == shop.view(order_id)


def test_changes_in_one_transaction_share_a_level_and_a_status_record(shop: Shop) -> None:
    shop.process(body_of("order.created", 1, lines=ordered(3), event_id="first"))
    shop.process(body_of("order.amended", 2, revision=1, lines=ordered(5), event_id="second"))
    flushed = shop.flush()
    assert [move[:2] for move in flushed.moves] == [("freeze", 3), ("freeze", 2)]
    assert [(level["frozen"], level["cause"], level["occurred_at"]) for level in flushed.levels] == [
        (5, "second", iso(2))
    ]
    assert [(status["units"][0]["open"], status["cause"]) for status in flushed.statuses] == [(5, "second")]


def test_event_ids_do_not_depend_on_where_a_transaction_ends() -> None:
    bodies = [
        body_of("stock.counted", 1, **counted(2, 1)),
        body_of("order.created", 1, lines=ordered(3)),
        body_of("sub_order.created", 2, lines=lines(3)),
        body_of("sub_order.shipped", 3),
        body_of("sub_order.delivered", 4),
    ]
    one_by_one, at_once = Shop(), Shop()
    singly = [record for body in bodies for record in one_by_one.send(body).outputs]
    for body in bodies:
        at_once.process(body)
    together = at_once.flush().outputs
    assert set(together) <= set(singly)
    journal = [record for record in singly if record.topic == Topic.MOVEMENTS]
    assert [record for record in together if record.topic == Topic.MOVEMENTS] == journal


def test_a_flush_without_anything_new_writes_nothing(shop: Shop) -> None:
    shop.order(3)
    assert shop.flush().records == []


def test_only_what_changed_is_written_to_the_state(shop: Shop) -> None:
    shop.order(3)
    flushed = shop.order(1, order_id="other")
    assert [record.key for record in flushed.of(Topic.STATE)] == [b"order/a/other"]
    assert shop.say("archive.requested").of(Topic.STATE) == []


def test_what_was_decided_is_counted_by_kind() -> None:
    shop, _ = busy_shop()
    tally = shop.processor.tally
    assert tally["movement", "count"] == 3
    assert tally["movement", "release"] == 1
    assert tally["alert", "oversold"] == 2
    assert tally["alert", "conflict"] == 1
    assert tally["archive", "rejected"] == 1
    assert tally["drift_checked", "erp"] == 1
    assert tally["dead_letter", "conflict"] == 1


def test_every_alert_has_a_severity_and_every_movement_is_counted() -> None:
    assert SEVERITIES.keys() == set(get_args(Alert))
    assert _MOVEMENT_TALLY.keys() == set(get_args(Movement))


def test_a_changed_status_that_was_not_written_stops_the_partition() -> None:
    out, order = Outbox(), OrderState()
    account = Account("a", AccountPolicies())
    out.status_changed(Cause(account, "orders.events.v1/0/1", 0, iso(0), "e"), order)
    with pytest.raises(InvariantViolation, match="status records of 1 orders"):
        out.check_statuses_written()
    out.write_status(b"a/o", "o", order)
    out.check_statuses_written()
