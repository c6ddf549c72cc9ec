from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulator.shrinking import folded, shrink, unfolded


def test_what_is_left_is_what_it_takes_to_fail() -> None:
    items = [f"r{number}" for number in range(40)]
    needed = {"r3", "r17", "r18"}

    def fails(left_out: Sequence[str]) -> bool:
        return needed.isdisjoint(left_out)

    assert set(items) - set(shrink(items, fails, out_of_time=lambda: False)) == needed


def test_shrinking_ends_when_its_time_is_over() -> None:
    tried: list[object] = []

    def fails(left_out: Sequence[str]) -> bool:
        tried.append(left_out)
        return False

    shrink([f"r{number}" for number in range(100)], fails, out_of_time=lambda: len(tried) >= 7)
    assert len(tried) == 7


def test_names_are_folded_into_one_word_and_back() -> None:
    names = ["r1", "r2", "r3", "f7", "w1", "static", "r9"]
    assert folded(names) == "f7,r1-3,r9,static,w1"
    assert sorted(unfolded(folded(names))) == sorted(names)
    assert unfolded("") == []


def test_a_word_that_is_no_range_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        unfolded("r1-x")
