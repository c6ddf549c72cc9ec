"""Why a record is dead-lettered: the values of the header `error-code`. Contract section 2."""

from __future__ import annotations

from typing import Final, Literal, get_args

DeadLetterCode = Literal[
    "undecodable", "unknown_type", "invalid", "key_mismatch", "wrong_partition", "future", "too_late", "conflict"
]
"""In the order in which they are decided."""

DEAD_LETTER_CODES: Final[tuple[DeadLetterCode, ...]] = get_args(DeadLetterCode)
