"""How an event that was not dead-lettered ended."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Effect(StrEnum):
    """What an event did: something, nothing because it was known, or nothing because something later is known."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"


# A member is looked up in its class by a method in Python: too dear for every event.
APPLIED: Final = Effect.APPLIED
DUPLICATE: Final = Effect.DUPLICATE
STALE: Final = Effect.STALE
