"""Where outputs say that they come from."""

from __future__ import annotations

import pytest

from worker.edges.verification.sources import Sources


def test_a_source_is_read_from_an_event_id_and_what_is_none_is_told_in_words() -> None:
    sources = Sources(3, {"orders": 10})
    assert sources.parse("orders/3/7/0") == ("orders", 7, 0)
    for event_id in ("", "x", "orders/3/7", "orders/3/seven/0", "orders/3//0"):
        with pytest.raises(ValueError, match=r"is not topic/partition/offset/number|is not in this partition"):
            sources.parse(event_id)
    with pytest.raises(ValueError, match="orders/4 is not in this partition"):
        sources.parse("orders/4/7/0")
