"""Whose records are bad: what the engine's breaker asks, so that one account's broken source stops no other account.

For the engine, the one that bad records count for is a *party*; here each account is one. A bad record is of the
account that its field account_id names, or else its key. A flood raises the alert `flooding` of that account.

Bad records may name an account of another partition. Their flood stops nobody either, but raises no alert, because an
alert is a record of the account, and those lie in the account's own partition.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import NamedTuple

from schemas import decoding
from schemas.decoding import Decoded
from schemas.times import timestamp_text
from worker.domain.ledger import Ledger
from worker.domain.refusals import RefusedRecord
from worker.stream.processor import Blame
from worker.stream.records import InputRecord


class Refused(NamedTuple):
    """A record that was dead-lettered. `source` is its `topic/partition/offset`."""

    record: InputRecord
    source: str
    account_id: str | None
    """The account that it speaks of, None where none can be read."""
    decoded: Decoded | None
    is_replay: bool

    def readable_parts(self, account_id: str, order_id: str | None, *, with_stock: bool = False) -> RefusedRecord:
        """What can be read of it, for the alert or the order. The caller has read `account_id` and `order_id`.

        `with_stock`: the record is about stock, so warehouse and SKU are read too.
        """
        source, recorded_at = self.source, self.record.timestamp
        if self.decoded is None:
            event_id, occurred_at = decoding.id_and_time_of(self.record.value)
            dated = occurred_at or timestamp_text(recorded_at)
            return RefusedRecord(account_id, source, recorded_at, dated, event_id, order_id)
        event = self.decoded.event
        return RefusedRecord(
            account_id,
            source,
            recorded_at,
            event.occurred_at,
            event.event_id,
            order_id,
            sub_order_id=getattr(event, "sub_order_id", None),
            warehouse_id=getattr(event, "warehouse_id", None) if with_stock else None,
            sku=getattr(event, "sku", None),
        )


@dataclass(slots=True)
class RefusalCount:
    """Dead letters of one account, and the first of them."""

    topic: str
    partition: int
    offset: int
    code: str
    error: str
    count: int = 1


class AccountParties:
    """The accounts of one partition as the breaker's parties. `last_refused` is set with each dead letter."""

    def __init__(self, ledger: Ledger, lives_here: Callable[[str], bool]) -> None:
        self._ledger = ledger
        self._lives_here = lives_here
        self.last_refused: Refused | None = None

    def flooding(self) -> Collection[str]:
        """The accounts whose flood goes on, by the state."""
        return self._ledger.flooding()

    def blame(self) -> Blame | None:
        """The account of the last dead letter; None for a replay, which was counted when it was first refused.

        A Blame without an account stands for a new bad record of which no account can be read. That one is counted.
        """
        refused = self.last_refused
        return None if refused is None or refused.is_replay else Blame(refused.account_id)

    def serves_others(self, party: str) -> bool:
        """Whether the state of this partition has anything of another account."""
        return self._ledger.serves_others(party)

    def flood_began(self, party: str) -> None:
        """Raise the alert, with the last dead letter as its cause."""
        if self.last_refused is not None and self._lives_here(party):
            self._ledger.flood_began(self.last_refused.readable_parts(party, None))

    def flood_ceased(self, party: str) -> None:
        """Let the next flood of the account raise it again."""
        self._ledger.flood_ceased(party)
