"""Reminders in the order of their times, a few together."""

from __future__ import annotations

from worker.domain.order.deadlines import Deadline, DeadlineHeap


def test_what_is_due_is_taken_in_the_order_of_time_and_once() -> None:
    deadlines = DeadlineHeap()
    for due_at in (30, 10, 20):
        deadlines.add(Deadline(due_at, "order", "a", str(due_at)))
    assert deadlines.due(9, 5) == []
    assert [deadline.id for deadline in deadlines.due(20, 5)] == ["10", "20"]
    assert [deadline.id for deadline in deadlines.due(30, 5)] == ["30"]
    assert deadlines.due(1000, 5) == []


def test_no_more_is_taken_at_once_than_asked_for() -> None:
    deadlines = DeadlineHeap()
    for due_at in range(5):
        deadlines.add(Deadline(due_at, "adjustment", "a", str(due_at)))
    assert [len(deadlines.due(10, 2)) for _ in range(4)] == [2, 2, 1, 0]
