"""The value of `--since`: a time, a day, or how long ago. One type for all commands, so that all read the same."""

from __future__ import annotations

import re
from typing import Final

import click

from schemas.times import read_time
from worker.clock import Clock

_AGO: Final = re.compile(r"([1-9][0-9]{0,5})([smhd])")
_UNITS_MS: Final = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


class Since(click.ParamType):
    """A moment in the past, as milliseconds since 1970."""

    name = "time"

    def __init__(self, clock: Clock = Clock()) -> None:
        self._clock = clock

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read `2026-11-22T06:00:00Z`, `2026-11-22` (in UTC), `90m`, `24h` or `7d`."""
        if isinstance(value, int):
            return value  # click converts a default twice
        text = str(value)
        ago = _AGO.fullmatch(text)
        if ago is not None:
            return self._clock.now_ms() - int(ago[1]) * _UNITS_MS[ago[2]]
        try:
            return read_time(text if "T" in text.upper() else f"{text}T00:00:00Z")[1]
        except ValueError:
            self.fail(f"{text!r} is no time such as 2026-11-22, 2026-11-22T06:00:00Z, 24h or 7d", param, ctx)
