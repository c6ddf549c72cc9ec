"""The value of `--since`."""

from __future__ import annotations

import click
import pytest

from worker.cli.since import Since
from worker.clock import Clock

NOW_MS = 1_795_000_000_000
SINCE = Since(Clock(now_ms=lambda: NOW_MS))


@pytest.mark.parametrize(
    ("text", "since_ms"),
    [
        ("30s", NOW_MS - 30_000),
        ("90m", NOW_MS - 90 * 60_000),
        ("24h", NOW_MS - 86_400_000),
        ("7d", NOW_MS - 7 * 86_400_000),
        ("1970-01-02", 86_400_000),
        ("1970-01-01T01:00:00+01:00", 0),
    ],
)
def test_a_time_a_day_or_a_span_before_now_is_read(text: str, since_ms: int) -> None:
    assert SINCE.convert(text, None, None) == since_ms


@pytest.mark.parametrize("text", ["", "yesterday", "0d", "-1h", "1w", "2026-02-30", "1970-01-01T00:00"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no time such as"):
        SINCE.convert(text, None, None)
