"""The sources of outputs."""

from __future__ import annotations

import pytest

from worker.verification.sources import SourceTracker, unknown_sources


def test_a_source_is_read_from_an_event_id_or_refused_in_words() -> None:
    sources = SourceTracker(3, {"orders": 10})
    assert sources.parse("orders/3/7/0") == ("orders", 7, 0)
    for event_id in ("", "x", "orders/3/7", "orders/3/seven/0", "orders/3//0"):
        with pytest.raises(ValueError, match=r"is not topic/partition/offset/number|is not in this partition"):
            sources.parse(event_id)
    with pytest.raises(ValueError, match="orders/4 is not in this partition"):
        sources.parse("orders/4/7/0")


def test_the_newest_source_beyond_the_cut_must_be_in_a_later_cut() -> None:
    sources = SourceTracker(3, {"stock": 5})
    places = [("orders", 0), ("stock", 4), ("stock", 5), ("stock", 8), ("stock", 7)]
    assert [sources.is_before_cut(*place) for place in places] == [False, True, False, False, False]
    assert sources.beyond == {"orders": 0, "stock": 8}
    assert unknown_sources(sources.beyond, {"orders": 1, "stock": 9}) == []
    assert unknown_sources(sources.beyond, {"stock": 8}) == [("orders", 0, 0), ("stock", 8, 8)]
