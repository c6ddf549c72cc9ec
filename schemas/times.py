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
    "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])[Tt ]"
    "([01][0-9]|2[0-3]):([0-5][0-9]):([0-5][0-9]|60)([.][0-9]+)?"
    "([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)
"""What a time looks like, as the JSON Schemas state it; they cannot express how many days a month has."""

_RFC3339: Final = re.compile(TIME_PATTERN)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_WITHOUT_ZONE: Final = _EPOCH.replace(tzinfo=None)  # whose isoformat takes a third of the time
_SECOND_MS: Final = 1_000
_SECONDS: Final = {f"{second:02d}.": second * _SECOND_MS for second in range(60)}
_MILLISECONDS: Final = {f"{millisecond:03d}Z": millisecond for millisecond in range(1000)}
_MINUTE_MS: Final = 60_000
_DAY_MINUTES: Final = 24 * 60
_DAY_MS: Final = _DAY_MINUTES * _MINUTE_MS
_ERA_MS: Final = 146_097 * _DAY_MS  # 400 years, after which the calendar repeats
_MINUTES: Final[dict[str, int]] = {}
"""Minutes that were read, as they stand before their seconds: the times of a stream lie in few of them."""
_MINUTES_KEPT: Final = 1_000


def read_time(text: str) -> tuple[str, int]:
    """Returns the time in its normal spelling, `YYYY-MM-DDTHH:MM:SS.mmmZ`, and as milliseconds since 1970 in UTC.

    Raises ValueError, with what is wrong as the rest of a sentence about the field, if `text` is not an RFC 3339 time.
    """
    minute_ms = _MINUTES.get(text[:17])
    if minute_ms is not None:
        second_ms, millisecond = _SECONDS.get(text[17:20]), _MILLISECONDS.get(text[20:])
        if second_ms is not None and millisecond is not None:
            return text, minute_ms + second_ms + millisecond
    # The normal spelling itself, which most producers write: with the punctuation in its places, fromisoformat takes
    # nothing else. (From Python 3.13 on it takes the hour 24, which RFC 3339 does not have.)
    if len(text) == 24 and text[4:20:3] == "--T::." and text[23] == "Z" and (text[12] != "4" or text[11] != "2"):
        try:
            ms = _ms_of(datetime.fromisoformat(text))
        except ValueError:
            pass  # _read_any finds what is wrong
        else:
            if len(_MINUTES) >= _MINUTES_KEPT:
                _MINUTES.clear()
            _MINUTES[text[:17]] = ms - ms % _MINUTE_MS
            return text, ms
    return _read_any(text)


def time_text(ms: int) -> str:
    """Returns the normal spelling of a time given as milliseconds since 1970 in UTC; its year must be 1 to 9999."""
    # By position, which takes a third less time than by keyword.
    return (_EPOCH_WITHOUT_ZONE + timedelta(0, 0, 0, ms)).isoformat("T", "milliseconds") + "Z"


def timestamp_text(timestamp_ms: int) -> str:
    """Returns the normal spelling of a record's timestamp, which may be any number: the nearest from 1970 to 9999."""
    return time_text(min(max(timestamp_ms, 0), _MS_MAX))


def _read_any(text: str) -> tuple[str, int]:
    if _RFC3339.fullmatch(text) is None:
        raise ValueError("is not an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z")
    spelled, further_ms = text.upper(), 0
    is_leap = text[17:19] == "60"
    if is_leap:
        spelled, further_ms = f"{spelled[:17]}59{spelled[19:]}", _SECOND_MS
    if text.startswith("0000"):  # which datetime does not have, and which a time of year 1 may be written in
        spelled, further_ms = f"0400{spelled[4:]}", further_ms - _ERA_MS
    try:
        ms = _ms_of(datetime.fromisoformat(spelled))
    except ValueError:
        raise ValueError("names a day that its month does not have") from None
    if is_leap and ms // _MINUTE_MS % _DAY_MINUTES != _DAY_MINUTES - 1:
        raise ValueError("names a leap second that is not at 23:59:60 UTC")
    ms += further_ms
    if not _MS_MIN <= ms <= _MS_MAX:
        raise ValueError("lies outside the years 1 to 9999 in UTC")
    return time_text(ms), ms


def _ms_of(moment: datetime) -> int:
    since = moment - _EPOCH
    return since.days * _DAY_MS + since.seconds * _SECOND_MS + since.microseconds // 1_000


_MS_MIN: Final = _ms_of(datetime(1, 1, 1, tzinfo=UTC))
_MS_MAX: Final = _ms_of(datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))
