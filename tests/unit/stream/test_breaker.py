from __future__ import annotations

import pytest

from worker.stream.breaker import Breaker


def _opens_at(breaker: Breaker, records: str) -> int | None:
    """The number of the record that opens it; `x` is bad."""
    for number, record in enumerate(records, start=1):
        if breaker.open_after(bad=record == "x"):
            return number
    return None


def test_it_opens_with_the_last_bad_record_that_is_needed() -> None:
    assert _opens_at(Breaker(3, 10), "x.x.x") == 5


def test_bad_records_beyond_the_window_are_forgotten() -> None:
    assert _opens_at(Breaker(2, 3), "x..x..x.x") == 9


@pytest.mark.parametrize(("between", "opens"), [(998, True), (999, False)])
def test_the_window_has_exactly_its_length(between: int, *, opens: bool) -> None:
    breaker = Breaker(2, 1000)
    assert _opens_at(breaker, "x" + "." * between + "x") == (between + 2 if opens else None)


def test_half_of_the_last_thousand_open_it_as_the_contract_says() -> None:
    assert _opens_at(Breaker(500, 1000), "x." * 499 + "xx") == 999
    assert _opens_at(Breaker(500, 1000), "x.." * 1000) is None


def test_it_can_be_switched_off() -> None:
    assert _opens_at(Breaker(0, 1000), "x" * 3000) is None
