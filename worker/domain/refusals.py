"""Why a well-formed event is dead-lettered all the same, and what can be read of a record that is: section 2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from schemas.outputs import ConflictIds

SKUS_NAMED_MAX: Final = 10


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


class DeadLetterOfOrder(NamedTuple):
    """A dead letter that holds an order back while it is pending."""

    account_id: str
    order_id: str
    dead_letter_id: str


class RefusedRecord(NamedTuple):
    """What can be read of a record that is dead-lettered, as far as anything follows from it.

    `source` is its `topic/partition/offset`, `recorded_at` its timestamp in milliseconds, `ids` those that it gives.
    """

    account_id: str
    source: str
    recorded_at: int
    occurred_at: str
    event_id: str | None
    ids: ConflictIds
    value: bytes | None
    is_replay: bool


def detail_of_refusal(dead_letter_id: str, code: str, skus: Sequence[str]) -> str:
    """What an operator must know of the dead letter that holds an order back: a bounded number of its SKUs."""
    named = ", ".join(skus[:SKUS_NAMED_MAX])
    more = f" and {len(skus) - SKUS_NAMED_MAX} more" if len(skus) > SKUS_NAMED_MAX else ""
    of_skus = f"its SKUs are {named}{more}" if skus else "no SKU can be read in it"
    return f"The dead letter {dead_letter_id} ({code}) holds the order back; {of_skus}."
