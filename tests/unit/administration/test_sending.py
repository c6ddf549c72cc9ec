"""Events on their way into the inputs: which lines are good, where they go, and what was read of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.times import time_text
from schemas.topics import Topic
from worker.administration.sending import BadLine, Checking, Sent
from worker.domain.policies import DAY_MS, AccountPolicies, Policies

NOW_MS = 1_772_359_200_000
ORDER = {"type": "order.created", "event_id": "e", "account_id": "acme", "order_id": "o"}
COUNT = {
    "type": "stock.counted",
    "event_id": "e",
    "account_id": "acme",
    "origin": "erp",
    "snapshot_id": "n",
    "part": 1,
    "parts": 1,
    "warehouse_id": "w",
    "counts": [{"sku": "k", "on_hand": 1}],
}


def line(fields: dict[str, Any], ago_ms: int = 0) -> bytes:
    common = {"occurred_at": time_text(NOW_MS - ago_ms), "lines": [{"sku": "k", "quantity": 1}]}
    return json.dumps(common | fields).encode()


def checking(*, as_of_event: bool = False, retention_days: int = 90) -> Checking:
    return Checking(NOW_MS, as_of_event, Policies(accounts={"acme": AccountPolicies(retention_days=retention_days)}))


def refusal(value: bytes, *, as_of_event: bool = False) -> str:
    with pytest.raises(BadLine) as caught:
        checking(as_of_event=as_of_event).check(value)
    return str(caught.value)


def test_an_event_goes_to_the_topic_of_its_type_with_its_account() -> None:
    order = checking().check(line(ORDER))
    count = checking().check(line(COUNT | {"as_of": time_text(NOW_MS)}))

    assert (order.topic, order.account_id, order.timestamp_ms) == (Topic.ORDERS, "acme", None)
    assert (order.value, count.topic) == (line(ORDER), Topic.STOCK)


def test_a_record_has_the_time_of_its_event_where_that_is_asked_for() -> None:
    ago_ms = 200 * DAY_MS
    assert checking(as_of_event=True).check(line(ORDER, ago_ms)).timestamp_ms == NOW_MS - ago_ms


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"not json", "undecodable"),
        (b"[]", "undecodable"),
        (b"{}", "The field type is missing"),
        (
            line(ORDER | {"type": "order.crated"}),
            "(unknown_type); did you mean order.created?",
        ),
        (line(ORDER | {"type": "stock.moved"}), "The type stock.moved is an output of the worker"),
        (line(ORDER | {"type": 5}), "unknown_type"),
        (line(ORDER | {"lines": [{"sku": "k", "quantity": 0}]}), "lines[0].quantity"),
        (line(ORDER, -25 * 3_600_000), "more than 24 h ahead (future)"),
        (line(COUNT | {"as_of": time_text(NOW_MS + 6 * 60_000)}), "as_of is more than 5 min after"),
        (line(ORDER | {"more": "x" * (4 << 20)}), "at most 4 MiB"),
    ],
)
def test_a_line_that_would_be_a_dead_letter_is_bad_with_the_reason(value: bytes, reason: str) -> None:
    assert reason in refusal(value)


def test_what_no_timestamp_can_say_is_bad_only_where_it_must() -> None:
    value = line(ORDER | {"occurred_at": "1969-12-31T23:59:59Z"})

    assert "before 1970" in refusal(value, as_of_event=True)
    assert checking().check(value).timestamp_ms is None


def test_an_event_is_old_beyond_the_retention_of_its_account() -> None:
    value = line(ORDER, 5 * DAY_MS)
    within, beyond, as_of_event = checking(), checking(retention_days=4), checking(as_of_event=True, retention_days=4)

    assert not within.is_old(within.check(value))
    assert beyond.is_old(beyond.check(value))
    assert not as_of_event.is_old(as_of_event.check(value))


def test_what_is_read_and_what_is_lost_is_told_by_offsets() -> None:
    sent = Sent()
    for offset in (5, 7, 9):
        sent.add("t", 0, offset)
    sent.add("t", 1, 0)

    assert sent.by_topic() == {"t": 4}
    assert sent.unread({}) == 4
    assert sent.unread({("t", 0): 7, ("t", 1): 1}) == 2
    assert sent.unread({("t", 0): 10, ("t", 1): 1}) == 0
    assert sent.lost({("t", 0): 7, ("t", 1): 1}, {("t", 0): 9, ("t", 1): 1}) == 1
    assert sent.lost({("t", 0): 10, ("t", 1): 1}, {("t", 0): 10, ("t", 1): 1}) == 0
    assert sent.lost({}, {("t", 0): 6, ("t", 1): 0}) == 1
