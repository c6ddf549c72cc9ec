from __future__ import annotations

import pytest

from tests.bench.growth.series import NOTHING_MORE, Point, Series, exponent


def series(touched: str, *costs: float) -> Series:
    return Series("cost", "sizes", touched, [Point(10**number, cost) for number, cost in enumerate(costs)])


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_found(power: float) -> None:
    sizes = [1, 10, 100]
    assert exponent(sizes, [3 * size**power for size in sizes]) == pytest.approx(power)


def test_a_cost_that_stays_is_flat() -> None:
    assert series(NOTHING_MORE, 20, 20, 20, 20).verdict.startswith("flat")


def test_a_cost_that_grows_with_what_an_event_does_not_touch_is_a_finding() -> None:
    grown = series(NOTHING_MORE, 20, 20, 40, 80)
    assert grown.slope > grown.allowed
    assert grown.verdict.startswith("GROWS")


def test_a_cost_may_grow_with_what_an_event_touches() -> None:
    grown = series("its lines", 20, 20, 200, 2000)
    assert grown.slope <= grown.allowed
    assert grown.verdict.startswith("with what it touches")


def test_a_cost_that_grows_faster_than_what_an_event_touches_is_a_finding() -> None:
    assert series("its lines", 20, 20, 600, 18_000).verdict.startswith("GROWS")


def test_small_sizes_do_not_hide_the_growth_at_large_ones() -> None:
    assert series(NOTHING_MORE, 20, 20, 20, 20, 40, 80).verdict.startswith("GROWS")
