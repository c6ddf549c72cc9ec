from __future__ import annotations

import pytest

from worker.stream.processor import Blame
from worker.stream.transactions.breaker import Breaker


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


# Parties.


class _Served:
    """Parties whose records are their names in capitals where they are bad; `?` is nobody's, `r` a retry."""

    def __init__(self, *known: str, flooding: tuple[str, ...] = ()) -> None:
        self.known = set(known)
        self.reports: list[str] = [f"{party} floods" for party in flooding]
        self.last = ""
        self._flooding = flooding

    def flooding(self) -> tuple[str, ...]:
        return self._flooding

    def blame(self) -> Blame | None:
        return None if self.last == "r" else Blame(None if self.last == "?" else self.last)

    def serves_others(self, party: str) -> bool:
        return bool(self.known - {party})

    def flood_began(self, party: str) -> None:
        self.reports.append(f"{party} floods")

    def flood_ceased(self, party: str) -> None:
        self.reports.append(f"{party} is calm")


def _serve(served: _Served, records: str, bad_max: int = 3, window: int = 4) -> int | None:
    breaker = Breaker(bad_max, window, served)
    for number, record in enumerate(records, start=1):
        served.last = record
        if breaker.open_after(bad=record != "."):
            return number
    return None


def test_a_flood_of_one_party_among_several_stops_none_of_them() -> None:
    served = _Served("A", "B")
    assert _serve(served, "AAAAAAA.AAA") is None
    assert served.reports == ["A floods"]


@pytest.mark.parametrize("records", ["AAB", "A.BA", "AA?", "???", "?.B?"])
def test_it_opens_for_bad_records_of_several_or_unreadable_parties(records: str) -> None:
    served = _Served("A", "B", "C")
    assert _serve(served, records) == len(records)
    assert served.reports == []


def test_it_opens_where_the_party_is_the_only_one_that_is_served() -> None:
    assert _serve(_Served("A"), "AAA") == 3
    assert _serve(_Served(), "AAA") == 3
    assert _serve(_Served("B"), "AAA") is None, "there is another party that it would stop"


def test_a_single_bad_record_of_another_party_does_not_end_a_flood() -> None:
    served = _Served("A", "B")
    assert _serve(served, "B" + "A" * 50 + "B." + "A" * 50, bad_max=20, window=40) is None
    assert served.reports == ["A floods"]
    assert _serve(_Served("A", "B"), "BB" + "A" * 17 + "B", bad_max=20, window=40) == 20, "17 of 20 are not nearly all"


def test_a_flood_that_began_with_a_stray_record_goes_on_at_its_edge() -> None:
    served = _Served("A", "B")
    assert _serve(served, "B" + "A" * 19 + ".A" * 40, bad_max=20, window=40) is None
    assert served.reports == ["A floods"]


def test_a_flood_to_which_another_party_adds_opens_it() -> None:
    served = _Served("A", "B")
    assert _serve(served, "AAAAAB") == 6
    assert served.reports == ["A floods"]


def test_a_flood_that_ceased_is_reported_again_when_it_returns() -> None:
    served = _Served("A", "B")
    assert _serve(served, "AAA..AAA") is None
    assert served.reports == ["A floods", "A is calm", "A floods"]


def test_a_flood_that_went_on_before_a_restart_is_not_told_again() -> None:
    served = _Served("A", "B", flooding=("A",))
    assert _serve(served, "A.AA") is None
    assert served.reports == ["A floods"]


@pytest.mark.parametrize(("records", "count"), [("A..", 1), ("A...", 2), ("AA..", 2)])
def test_a_flood_that_ceased_before_a_restart_ends_after_a_window(records: str, count: int) -> None:
    served = _Served("A", "B", flooding=("A",))
    assert _serve(served, records) is None
    assert served.reports == ["A floods", "A is calm"][:count]


def test_a_retry_that_is_refused_again_counts_for_no_party() -> None:
    served = _Served("A")
    assert _serve(served, "rrrrAArr.A") == 10
    assert served.reports == []


def test_where_it_is_switched_off_no_flood_is_told() -> None:
    served = _Served("A", "B")
    assert _serve(served, "A" * 10, bad_max=0) is None
    assert served.reports == []
