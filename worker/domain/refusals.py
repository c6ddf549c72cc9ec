"""Why a well-formed event is dead-lettered all the same. Contract section 2."""

from __future__ import annotations

from typing import Final, Literal


class RuleRefusal(Exception):
    """An event that the rules refuse. `code` is the dead letter's, the message one sentence that names the field."""

    def __init__(
        self,
        code: Literal["invalid", "key_mismatch", "wrong_partition", "future", "too_late", "conflict"],
        message: str,
    ) -> None:
        super().__init__(message)
        self.code: Final = code
        self.message: Final = message
