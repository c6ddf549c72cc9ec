"""Packed times: sorted sets, whatever order they are made in."""

from __future__ import annotations

from itertools import permutations

import pytest

from worker.domain.order import timeline
from worker.domain.order.timeline import DELIVERED, HOLD, NEVER, SHIPPED, CancelledUnits

EARLIEST_MS, LATEST_MS = -62_135_596_800_000 - 86_400_000, 253_402_300_799_999 + 86_400_000
"""0001-01-01 and 9999-12-31, with a day for the offset."""


def timeline_of(entries: list[tuple[int, int]]) -> bytes:
    made = b""
    for at, kind in entries:
        made = timeline.add(made, at, kind)
    return made


def cancelled_of(cancellations: list[tuple[int, int]]) -> CancelledUnits:
    cancelled = CancelledUnits()
    for at, units in cancellations:
        cancelled.note(at, units)
        cancelled.stand(at, units)
    return cancelled


def test_a_timeline_is_the_same_in_any_order_and_repetition() -> None:
    entries = [(5, SHIPPED), (5, HOLD), (7, DELIVERED), (-3, SHIPPED), (5, SHIPPED)]
    for arrival in permutations(entries):
        assert timeline.entries(timeline_of(list(arrival))) == [(-3, SHIPPED), (5, HOLD), (5, SHIPPED), (7, DELIVERED)]


@pytest.mark.parametrize("at", [EARLIEST_MS, -1, 0, LATEST_MS])
def test_every_time_that_an_event_can_have_is_kept(at: int) -> None:
    assert timeline.entries(timeline.add(b"", at, timeline.RETURNED)) == [(at, timeline.RETURNED)]
    assert at > NEVER


def test_only_the_kinds_that_are_taken_back_are_dropped() -> None:
    made = timeline_of([(1, SHIPPED), (1, HOLD), (2, SHIPPED), (3, SHIPPED)])
    assert timeline.entries(timeline.drop(made, frozenset({SHIPPED}), 2)) == [(1, HOLD), (3, SHIPPED)]


def test_cancelled_units_are_the_most_until_a_time_in_any_order() -> None:
    for arrival in permutations([(10, 2), (12, 5), (11, 1), (12, 4), (9, 1)]):
        cancelled = cancelled_of(list(arrival))
        assert [cancelled.most(until) for until in (8, 9, 10, 11, 12, None)] == [0, 1, 2, 2, 5, 5]
        assert (cancelled.times, cancelled.units) == ([9, 10, 12], [1, 2, 5])


def test_a_cancellation_that_cancels_no_more_than_before_is_no_news() -> None:
    cancelled = cancelled_of([(10, 2)])
    assert not cancelled.stand(10, 2)
    assert not cancelled.stand(11, 1)
    assert cancelled.stand(9, 2)


def test_what_stood_in_the_shadow_counts_once_the_greater_is_hidden() -> None:
    cancelled = cancelled_of([(10, 5), (11, 1), (12, 3)])
    cancelled.stand_after(10)
    assert (cancelled.times, cancelled.units) == ([11, 12], [1, 3])
    cancelled.stand_after(NEVER)
    assert cancelled.most(None) == 5
    cancelled.drop(11)
    cancelled.stand_after(NEVER)
    assert cancelled.most(None) == 3


def test_the_most_units_that_a_cancellation_can_have_are_kept() -> None:
    cancelled = cancelled_of([(LATEST_MS, 1000 * 10**9)])
    cancelled.stand_after(NEVER)
    assert cancelled.most(LATEST_MS) == 1000 * 10**9
