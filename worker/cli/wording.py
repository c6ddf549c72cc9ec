"""Formatting times and counts for people."""

from __future__ import annotations


def to_the_minute(time: str | None) -> str | None:
    """`2026-11-22 06:00` of `2026-11-22T06:00:00.000Z`: as tables show a time, in UTC."""
    return None if time is None else time[:16].replace("T", " ")


def counted(count: int, noun: str) -> str:
    """`1 level`, `2 levels`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"
