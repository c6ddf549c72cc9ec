"""Watermarks: what they hide for good, what may come back, and what they cost the other events."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import permutations
from random import Random
from types import FrameType
from typing import Any

import pytest

from schemas.decoding import Decoded
from tests.unit.domain.shop import APPLIED, STALE, Fields, Shop, decoded, lines, merge_into, ms, order_of
from worker.domain.order import timeline
from worker.domain.order.rows import encode_order
from worker.domain.order.state import OrderState

TAKEN_BACK: list[tuple[str, Fields]] = [
    ("sub_order.shipped", {}),
    ("sub_order.in_transit", {}),
    ("sub_order.delivered", {}),
    ("sub_order.failed_to_deliver", {}),
    ("sub_order.cancelled", {}),
    ("sub_order.cancelled", {"lines": lines(1)}),
    ("sub_order.return_started", {}),
    ("sub_order.returned", {}),
]
WATERMARKS: list[tuple[str, str, Fields]] = [
    ("sub_order.shipment_voided", "sub_order.delivered", {}),
    ("sub_order.shipment_voided", "sub_order.returned", {"lines": lines(1), "warehouse_id": "x"}),
    ("sub_order.reinstated", "sub_order.cancelled", {"lines": lines(1)}),
    ("sub_order.reinstated", "sub_order.cancelled", {}),
    ("sub_order.return_withdrawn", "sub_order.returned", {"lines": lines(1), "warehouse_id": "x"}),
    ("sub_order.return_withdrawn", "sub_order.return_started", {"lines": lines(1)}),
]


def told(kind: str, at: int, fields: Fields, number: int = 0) -> Decoded:
    return decoded(kind, at, event_id=f"{kind}-{at}-{number}", **fields)


@pytest.mark.parametrize(("watermark", "kind", "fields"), WATERMARKS)
def test_the_facts_are_the_same_in_any_order_ties_included(watermark: str, kind: str, fields: Fields) -> None:
    events = [decoded("sub_order.created", lines=lines(3)), told(watermark, 5, {}), told(watermark, 3, {})]
    events += [told(kind, at, fields) for at in (4, 5, 6)]
    expected = encode_order(order_of(events))
    for arrival in permutations(events):
        assert encode_order(order_of(arrival)) == expected


@pytest.mark.parametrize(("watermark", "kind", "fields"), WATERMARKS)
def test_what_is_gone_for_good_leaves_nothing_but_its_identity(watermark: str, kind: str, fields: Fields) -> None:
    known = [decoded("sub_order.created", lines=lines(3), event_id="c"), told(watermark, 5, {})]
    without = encode_order(order_of(known))
    for at in (4, 5):
        assert encode_order(order_of([*known, told(kind, at, fields)])) == without


def test_an_order_event_that_is_taken_back_already_is_stale(shop: Shop) -> None:
    assert shop.say("order.reinstated", 5).outcome == APPLIED
    assert shop.say("order.cancelled", 5).outcome == STALE
    assert shop.say("order.reinstated", 4).outcome == STALE


@pytest.mark.parametrize("kind", ["sub_order.withdrawn", "sub_order.reinstated", "sub_order.shipment_voided"])
def test_a_watermark_that_is_not_later_is_stale(shop: Shop, kind: str) -> None:
    shop.say(kind, 5)
    assert shop.say(kind, 5).outcome == STALE
    assert shop.status() == ("withdrawn" if kind == "sub_order.withdrawn" else "processing")


def test_an_entry_of_a_greater_revision_brings_hidden_facts_back() -> None:
    events = [
        told("sub_order.created", 10, {"lines": lines(3)}),
        told("sub_order.shipped", 11, {}),
        told("sub_order.returned", 12, {"lines": lines(1), "warehouse_id": "x"}),
        told("sub_order.cancelled", 10, {"lines": lines(2)}),
        told("sub_order.withdrawn", 13, {}),
        told("sub_order.created", 14, {"lines": lines(3), "revision": 1}),
    ]
    facts = order_of(events).sub_orders["s"]
    assert (facts.shipped_at, facts.returns["r"].returned_at, facts.cancels["k"].most(None)) == (None, None, 0)
    facts = order_of([*events, told("sub_order.created", 9, {"lines": lines(3), "revision": 2})]).sub_orders["s"]
    assert (facts.shipped_at, facts.returns["r"].returned_at, facts.cancels["k"].most(None)) == (ms(11), ms(12), 2)


def test_a_void_forgets_the_returns_that_it_takes_back() -> None:
    order = order_of([told("sub_order.returned", 4, {}), told("sub_order.shipment_voided", 5, {})])
    assert order.sub_orders["s"].returns == {}


def test_a_void_ends_no_hold_and_frees_the_hold_that_a_shipment_ended(shop: Shop) -> None:
    shop.say("sub_order.on_hold", 5)
    shop.say("sub_order.shipped", 6)
    assert shop.status() == "picked_up"
    shop.say("sub_order.shipment_voided", 7)
    assert shop.status() == "on_hold"


def test_a_hold_before_a_parcel_was_created_again_is_over(shop: Shop) -> None:
    shop.sub_order(3, 1)
    shop.say("sub_order.on_hold", 5)
    shop.say("sub_order.withdrawn", 5)
    shop.sub_order(3, 6, revision=1)
    assert shop.status() == "processing"


@pytest.mark.parametrize(("kind", "fields"), TAKEN_BACK)
def test_the_cost_of_an_event_does_not_grow_with_what_is_known(kind: str, fields: Fields) -> None:
    """A binary search grows with the logarithm: from 60 to 6000 it is twice as long."""
    few, many = cost_after(60, kind, fields), cost_after(6000, kind, fields)
    assert many <= 2.2 * few


def cost_after(number: int, kind: str, fields: Fields) -> int:
    """Bytecodes of merging an event in the middle of so many others of its kind, all at times of their own."""
    order = OrderState()
    minutes = list(range(0, 2 * number, 2))
    Random(1).shuffle(minutes)
    template = told(kind, 0, fields)
    for minute in minutes:
        if "lines" in fields:  # each cancels more than those before
            template.event.lines[0].quantity = minute + 1  # type: ignore[union-attr, index]
        merge_into(order, template.event, ms(minute))
    assert len(timeline.entries(timeline_of(order))) == number
    return bytecodes(lambda: merge_into(order, template.event, ms(number + number % 2 + 1)))


def timeline_of(order: OrderState) -> bytes:
    facts = order.sub_orders["s"]
    return facts.timeline or facts.returns["r"].timeline


def bytecodes(run: Callable[[], object]) -> int:
    """How many Python executes."""
    executed = 0

    def trace(frame: FrameType, event: str, _: Any) -> Any:  # noqa: ANN401 - as sys.settrace has it
        nonlocal executed
        frame.f_trace_opcodes = True
        executed += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        run()
    finally:
        sys.settrace(before)
    return executed
