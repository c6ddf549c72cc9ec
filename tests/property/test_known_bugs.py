"""Bugs that others shipped, each as a story told to the real processor over the wire: none of them may be ours."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.topics import Topic
from tests.model import reading
from tests.model.reading import HOUR_MS, MINUTE_MS
from tests.model.run import AccountRules, Record
from tests.property.drafts import ACCOUNTS, PARTITION, START_MS
from tests.property.histories import moment
from tests.property.real import Real, Written, levels_of, statuses_of
from worker.stream.processor import Outcome

ACCOUNT = ACCOUNTS[0]


class Story:
    """Events of order `o`, sub-order `s`, SKU `k` in warehouse `w` unless said otherwise; `at` in minutes."""

    def __init__(self, rules: AccountRules = AccountRules()) -> None:  # noqa: B008 -- immutable
        self.real = Real(rules)
        self.offset = 0

    def tell(self, kind: str, at: int, **fields: object) -> Written:
        return self.outcome_of(kind, at, **fields)[1]

    def outcome_of(self, kind: str, at: int, **fields: object) -> tuple[Outcome, Written]:
        topic = next(topic for topic, types in reading.TYPES.items() if kind in types)
        body: dict[str, object] = {
            "type": kind,
            "event_id": f"e{self.offset}",
            "account_id": ACCOUNT,
            "occurred_at": moment(at_ms(at)),
        }
        if not kind.startswith("stock"):
            body["order_id"] = "o"
        if kind.startswith("sub_order"):
            body["sub_order_id"] = "s"
        value = json.dumps({**body, **fields}).encode()
        timestamp = START_MS + 2 * HOUR_MS
        record = Record(topic, PARTITION, self.offset, timestamp, ACCOUNT.encode(), value)
        self.offset += 1
        return self.real.feed(record)

    def count(self, on_hand: int, as_of: int, **fields: object) -> Written:
        snapshot = {"origin": "erp", "snapshot_id": f"n{self.offset}", "part": 1, "parts": 1, "warehouse_id": "w"}
        counts = [{"sku": "k", "on_hand": on_hand}]
        return self.tell(
            "stock.counted", as_of, **{**snapshot, "as_of": moment(at_ms(as_of)), "counts": counts, **fields}
        )

    def level(self, warehouse_id: str = "w") -> tuple[int | None, int, int | None]:
        """on_hand, frozen, available."""
        level = levels_of(self.real)[ACCOUNT, warehouse_id, "k"]
        return level["on_hand"], level["frozen"], level["available"]

    def status(self) -> dict[str, Any]:
        return statuses_of(self.real)[ACCOUNT, "o"]


def at_ms(minutes: int) -> int:
    return START_MS + minutes * MINUTE_MS


def order_lines(quantity: int, warehouse_id: str = "w") -> list[dict[str, Any]]:
    return [{"sku": "k", "quantity": quantity, "warehouse_id": warehouse_id}]


def lines(quantity: int) -> list[dict[str, Any]]:
    return [{"sku": "k", "quantity": quantity}]


def moves(written: Written) -> list[tuple[str, int]]:
    return [(event["movement"], event["quantity"]) for event in written.events(Topic.MOVEMENTS)]


@pytest.fixture
def story() -> Story:
    story = Story()
    story.count(10, 0)
    return story


def test_the_same_shipment_told_twice_releases_once(story: Story) -> None:
    story.tell("sub_order.created", 1, warehouse_id="w", lines=lines(4))
    assert moves(story.tell("sub_order.shipped", 2, event_id="ship")) == [("release", 4)]
    outcome, written = story.outcome_of("sub_order.shipped", 2, event_id="ship")
    assert (outcome, written.outputs()) == (Outcome.DUPLICATE, [])
    outcome, written = story.outcome_of("sub_order.shipped", 2)  # polled, so with another event_id
    assert (outcome, written.outputs()) == (Outcome.STALE, [])
    assert story.level() == (6, 0, 6)


def test_an_order_told_twice_is_reserved_once(story: Story) -> None:
    story.tell("order.created", 1, lines=order_lines(4), event_id="order")
    assert story.tell("order.created", 1, lines=order_lines(4), event_id="order").outputs() == []
    assert story.level() == (10, 4, 6)


def test_a_cancel_after_a_partial_shipment_unfreezes_only_the_rest(story: Story) -> None:
    story.tell("order.created", 1, lines=order_lines(5))
    story.tell("sub_order.created", 2, warehouse_id="w", lines=lines(2))
    story.tell("sub_order.shipped", 3)
    assert moves(story.tell("order.cancelled", 4)) == [("unfreeze", 3)]
    assert story.level() == (8, 0, 8)
    assert story.tell("sub_order.cancelled", 5).of(Topic.MOVEMENTS) == []
    assert story.level() == (8, 0, 8)


def test_a_shipment_from_another_warehouse_leaves_both_right(story: Story) -> None:
    story.count(7, 0, warehouse_id="v")
    story.tell("order.created", 1, lines=order_lines(5))
    story.tell("sub_order.created", 2, warehouse_id="v", lines=lines(5))
    assert (story.level("w"), story.level("v")) == ((10, 0, 10), (7, 5, 2))
    story.tell("sub_order.shipped", 3)
    assert (story.level("w"), story.level("v")) == ((10, 0, 10), (2, 0, 2))


def test_a_shipment_of_what_was_never_reserved_drives_no_counter_negative(story: Story) -> None:
    story.tell("sub_order.shipped", 3)
    assert story.level() == (10, 0, 10)
    written = story.tell("sub_order.created", 1, warehouse_id="w", lines=lines(4))
    assert moves(written) == [("freeze", 4), ("release", 4)]
    assert story.level() == (6, 0, 6)


def test_a_cancellation_of_what_was_never_reserved_changes_no_stock(story: Story) -> None:
    assert story.tell("order.cancelled", 1).of(Topic.MOVEMENTS) == []
    assert story.tell("sub_order.cancelled", 1, lines=lines(3)).of(Topic.MOVEMENTS) == []
    assert story.level() == (10, 0, 10)


def test_a_cancellation_that_comes_before_its_order_is_not_lost(story: Story) -> None:
    story.tell("order.cancelled", 5)
    assert moves(story.tell("order.created", 1, lines=order_lines(4))) == []
    assert story.level() == (10, 0, 10)
    assert (story.status()["status"], story.status()["eligible"]) == ("cancelled", True)


def test_a_delivery_that_comes_before_its_order_is_not_dropped(story: Story) -> None:
    story.tell("sub_order.delivered", 5)
    story.tell("sub_order.created", 2, warehouse_id="w", lines=lines(4))
    story.tell("order.created", 1, lines=order_lines(4))
    assert story.level() == (6, 0, 6)
    assert (story.status()["status"], story.status()["eligible"]) == ("delivered", True)


def test_reservations_sum_to_zero_when_the_order_completes(story: Story) -> None:
    told = [
        story.tell("order.created", 1, lines=order_lines(6)),
        story.tell("sub_order.created", 2, warehouse_id="w", lines=lines(4)),
        story.tell("sub_order.created", 2, sub_order_id="t", warehouse_id="w", lines=lines(2)),
        story.tell("sub_order.cancelled", 3, lines=lines(1)),
        story.tell("sub_order.delivered", 4),
        story.tell("sub_order.cancelled", 5, sub_order_id="t"),
    ]
    deltas = [event["frozen_delta"] for written in told for event in written.events(Topic.MOVEMENTS)]
    assert sum(deltas) == 0
    assert (story.level(), story.status()["status"]) == ((7, 0, 7), "delivered")


def test_what_is_frozen_is_not_published() -> None:
    story = Story(AccountRules(buffer=2))
    story.count(10, 0)
    written = story.tell("order.created", 1, lines=order_lines(7))
    assert [event["publishable"] for event in written.events(Topic.LEVELS)] == [1]
    written = story.tell("order.amended", 2, revision=1, lines=order_lines(9))
    assert [(event["available"], event["publishable"]) for event in written.events(Topic.LEVELS)] == [(1, 0)]


def test_a_shortage_is_shown_and_not_clamped(story: Story) -> None:
    written = story.tell("order.created", 1, lines=order_lines(13))
    assert (story.level(), [a["alert"] for a in written.events(Topic.ALERTS)]) == ((10, 13, -3), ["oversold"])


def test_units_that_shipped_before_the_count_are_not_taken_off_twice(story: Story) -> None:
    story.tell("sub_order.created", 1, warehouse_id="w", lines=lines(4))
    assert story.count(6, 5).events(Topic.DRIFT)[0]["drift"] == -4
    story.tell("sub_order.shipped", 2)
    assert story.level() == (6, 0, 6)


def test_a_sku_that_vanished_from_the_snapshot_is_reported(story: Story) -> None:
    summary = story.count(0, 5, counts=[{"sku": "other", "on_hand": 1}]).events(Topic.DRIFT)[-1]
    assert summary["missing_in_count"] == {"count": 1, "skus": ["k"]}
    assert summary["missing_in_ledger"] == {"count": 1, "skus": ["other"]}


def test_a_return_told_twice_restocks_once_and_never_more_than_shipped(story: Story) -> None:
    story.tell("sub_order.created", 1, warehouse_id="w", lines=lines(4))
    story.tell("sub_order.shipped", 2)
    assert moves(story.tell("sub_order.returned", 3, return_id="r", restock=True, lines=lines(3))) == [("restock", 3)]
    assert story.tell("sub_order.returned", 3, return_id="r", restock=True, lines=lines(3)).of(Topic.MOVEMENTS) == []
    assert moves(story.tell("sub_order.returned", 4, return_id="q", restock=True, lines=lines(3))) == [("restock", 1)]
    assert story.level() == (10, 0, 10)
