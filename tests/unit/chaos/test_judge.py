"""The judgement: each kind of damage is seen, and reported as what it is."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy

from tests.chaos.judge import Books, Effect, compared
from tests.e2e.end_state import EndState

FROZEN: Effect = ("account", "order", "warehouse", "sku", "frozen")


def books() -> Books:
    return Books(
        inputs=10,
        outcomes=Counter(applied=7, duplicate=2, dead_lettered=1),
        effects=Counter({FROZEN: 5}),
        movements=9,
        end=EndState(levels={b"account/warehouse/sku": {"frozen": 5}}, eligible={("account", "done")}),
    )


def test_nothing_is_found_where_nothing_differs() -> None:
    verdict = compared(books(), books())
    assert verdict.right
    assert verdict.examples == []


def test_units_that_are_missing_are_lost_and_units_too_many_are_doubled() -> None:
    found = books()
    found.effects[FROZEN] = 4
    assert (compared(found, books()).lost, compared(found, books()).doubled) == (1, 0)
    found.effects[FROZEN] = 10
    assert (compared(found, books()).lost, compared(found, books()).doubled) == (0, 1)
    del found.effects[FROZEN]
    assert compared(found, books()).lost == 1


def test_an_input_without_an_outcome_is_lost_and_one_with_two_is_doubled() -> None:
    found = books()
    found.outcomes["applied"] -= 1
    assert compared(found, books()).lost == 1
    found.outcomes["applied"] += 2
    assert compared(found, books()).doubled == 1


def test_an_output_that_was_written_twice_is_doubled() -> None:
    found = books()
    found.repeated = 1
    assert compared(found, books()).doubled == 1


def test_an_event_that_was_taken_for_a_duplicate_differs() -> None:
    found = books()
    found.outcomes.update(applied=-1, duplicate=1)
    assert compared(found, books()).different == 1


def test_another_end_differs() -> None:
    for end in (EndState(), EndState(levels={b"account/warehouse/sku": {"frozen": 4}}, eligible={("account", "done")})):
        found = books()
        found.end = end
        assert compared(found, books()).different >= 1
    found = books()
    found.end = deepcopy(found.end)
    found.end.dead_letters["topic/0/7", "invalid"] += 1
    assert compared(found, books()).different == 1


def test_what_verify_finds_is_wrong() -> None:
    found = books()
    found.findings.append("a level differs")
    assert not compared(found, books()).right
