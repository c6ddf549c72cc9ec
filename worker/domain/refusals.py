"""Why a well-formed event is dead-lettered all the same, and what can be read of a record that is: section 2."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple


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

    `source` is its `topic/partition/offset`, `recorded_at` its timestamp in milliseconds.
    """

    account_id: str
    source: str
    recorded_at: int
    occurred_at: str
    event_id: str | None
    order_id: str | None
    sub_order_id: str | None = None
    warehouse_id: str | None = None
    sku: str | None = None
    """Warehouse and SKU are those of an event of stock."""
