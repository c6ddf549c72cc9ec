"""The one error that means the program is wrong, not the data."""

from __future__ import annotations


class InvariantViolation(Exception):
    """An invariant of contract section 10 does not hold. The partition stops before anything commits."""
