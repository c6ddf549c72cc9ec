"""Times of the wire: RFC 3339 with an offset in, UTC milliseconds and one normal spelling out.

Separate from the decoder because it is stricter than the parsers at hand: `datetime.fromisoformat` takes week dates and
bare dates, msgspec takes `+0100` and rounds beyond the microsecond. Contract section 2 asks for RFC 3339, with the
digits beyond the millisecond cut off.

Where RFC 3339 leaves a choice: the separator may be `T`, `t` or a space, the letter `Z` may be small, `-00:00` is UTC.
A leap second (`23:59:60` in UTC, nowhere else) is read as POSIX clocks count it, as the second after it. A time whose
year in UTC is not 1 to 9999 is refused.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

TIME_PATTERN: Final = (
    "^([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]"
    "([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)([.][0-9]+)?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""What a time looks like, as the JSON Schemas state it; which days a month has, it cannot say."""

_RFC3339 = re.compile(TIME_PATTERN)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_SECOND_MS = 1_000
_MINUTE_MS = 60_000
_DAY_MINUTES = 24 * 60
_ERA_MS = 146_097 * _DAY_MINUTES * _MINUTE_MS  # 400 years, after which the calendar repeats
_MS_MIN = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MILLISECOND
_MS_MAX = (datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC) - _EPOCH) // _MILLISECOND


def read_time(text: str) -> tuple[str, int]:
    """Returns the time in its normal spelling, `YYYY-MM-DDTHH:MM:SS.mmmZ`, and as milliseconds since 1970 in UTC.

    Raises ValueError, with what is wrong as the rest of a sentence about the field, if `text` is not an RFC 3339 time.
    """
    # The normal spelling itself, which most producers write: with the punctuation in its places, fromisoformat takes
    # nothing else. (From Python 3.13 on it takes the hour 24, which RFC 3339 does not have.)
    if text[4:20:3] == "--T::." and text[23:] == "Z" and text[11:13] != "24":
        try:
            return text, (datetime.fromisoformat(text) - _EPOCH) // _MILLISECOND
        except ValueError:
            pass  # said in full below
    return _read_any(text)


def time_text(ms: int) -> str:
    """Returns the normal spelling of a time given as milliseconds since 1970 in UTC; its year must be 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=ms)).isoformat(timespec="milliseconds")[:-6] + "Z"


def _read_any(text: str) -> tuple[str, int]:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("is not an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z")
    year, month, day, hour, minute, second, fraction, offset, _ = match.groups()
    is_leap = second == "60"
    try:
        # datetime has no year 0, in which a time east of year 1 may lie: read it one era later.
        local = datetime(int(year) or 400, int(month), int(day), int(hour), int(minute), tzinfo=UTC)
    except ValueError:
        raise ValueError("names a day that its month does not have") from None
    ms = (local - _EPOCH) // _MILLISECOND - _offset_ms(offset) - (_ERA_MS if year == "0000" else 0)
    if is_leap and ms // _MINUTE_MS % _DAY_MINUTES != _DAY_MINUTES - 1:
        raise ValueError("names a leap second that is not at 23:59:60 UTC")
    ms += int(second) * _SECOND_MS + int((fraction or ".")[1:4].ljust(3, "0"))
    if not _MS_MIN <= ms <= _MS_MAX:
        raise ValueError("lies outside the years 1 to 9999 in UTC")
    return time_text(ms), ms


def _offset_ms(offset: str) -> int:
    if offset in {"Z", "z"}:
        return 0
    size = (int(offset[1:3]) * 60 + int(offset[4:6])) * _MINUTE_MS
    return -size if offset[0] == "-" else size
