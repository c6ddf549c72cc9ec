"""The pending dead letters of a partition, by the code they were refused with last: for metrics.

An order knows the ids of its own; what each was refused with stands in a record beside the order's, written only when
one comes or goes. One without a recorded code counts as `unknown`.
"""

from __future__ import annotations

from typing import Final

from schemas.state import VERSION, PendingState
from worker.domain.outbox import Outbox

UNKNOWN: Final = "unknown"


class Pending:
    """How many dead letters hold an order back, by code."""

    def __init__(self, out: Outbox) -> None:
        self._out = out
        self.counts: dict[str, int] = {}
        self.codes: dict[tuple[str, str], dict[str, str]] = {}
        """By account and order: the code of each id."""

    def began(self, account_id: str, order_id: str, dead_letter_id: str, code: str) -> None:
        """A dead letter holds its order back, or was refused again with this code."""
        by_id = self.codes.setdefault((account_id, order_id), {})
        before = by_id.get(dead_letter_id)
        if before is not None:
            self._add(before, -1)
        by_id[dead_letter_id] = code
        self._add(code, 1)
        self._out.keep(PendingState(VERSION, by_id), "pending", account_id, order_id)

    def ended(self, account_id: str, order_id: str, dead_letter_id: str) -> None:
        """A dead letter does not hold its order back any longer."""
        by_id = self.codes.get((account_id, order_id), {})
        self._add(by_id.pop(dead_letter_id, UNKNOWN), -1)
        if by_id:
            self._out.keep(PendingState(VERSION, by_id), "pending", account_id, order_id)
        elif self.codes.pop((account_id, order_id), None) is not None:
            self._out.drop("pending", account_id, order_id)

    def restored(self, account_id: str, order_id: str, dead_letter_ids: list[str]) -> None:
        """An order was restored whose pending dead letters these are."""
        by_id = self.codes.get((account_id, order_id), {})
        for dead_letter_id in dead_letter_ids:
            self._add(by_id.get(dead_letter_id, UNKNOWN), 1)

    def _add(self, code: str, by: int) -> None:
        self.counts[code] = self.counts.get(code, 0) + by
