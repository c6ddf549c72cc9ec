"""Retention: what leaves the state with time, and when. Contract section 8.

An order that may be archived leaves `retention_days` after its last event; its id is kept for 400 days more. The id of
an adjustment or a transfer is forgotten likewise. Time is stream time, the greatest record timestamp read in the
partition.

A deadline is a reminder, and each record takes only some of those that are due. So an order may be due before its turn
comes: `open_or_retire` is how every event gets its order.
"""

from __future__ import annotations

from typing import Final, assert_never

from schemas.encoding import key_of
from schemas.state import VERSION, Flow, RetiredOrder, decode_retired, encode
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.order.deadlines import Deadline
from worker.domain.order.state import OrderState
from worker.domain.policies import KEPT_AFTER_RETENTION_MS

DUE_PER_RECORD_MAX: Final = 50
"""How many deadlines one record may bring about: a jump in time is worked off in small steps."""


class Retention:
    """Lets orders, ids and adjustments leave the books when they are due."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._out = books.out

    def advance(self, recorded_at: int) -> None:
        """Move stream time on to a record's timestamp (milliseconds), and let leave what has fallen due.

        It must be later than any before.
        """
        books = self._books
        books.stream_time_ms = recorded_at
        if not books.deadlines.any_due(recorded_at):
            return
        for deadline in books.deadlines.due(recorded_at, DUE_PER_RECORD_MAX):
            account = books.accounts.get(deadline.account_id)
            if account is None:
                continue  # closed: what was to fall due had left before
            match deadline.kind:
                case "order":
                    self._look_at_order(account, deadline.id)
                case "retired":
                    self._forget_if_due(account, deadline.id)
                case "adjustment":
                    self._drop_adjustment_if_due(account, bytes.fromhex(deadline.id))
                case _:
                    assert_never(deadline.kind)

    def open_or_retire(self, account: Account, order_id: str) -> OrderState | None:
        """The order as an object, from now until the flush; one that is due to leave is retired instead.

        None where nothing is known of it or it has left. The id of one that left is forgotten first if it is due.
        """
        books = self._books
        order = books.open_order(account, order_id)
        if order is None:
            if order_id in account.retired:
                self._forget_if_due(account, order_id)
            return None
        if order.eligible and account.retires_at(order) <= books.stream_time_ms:
            self._retire(account, order_id, order)
            return None
        return order

    def _look_at_order(self, account: Account, order_id: str) -> None:
        order = self.open_or_retire(account, order_id)
        if order is not None and order.eligible:
            self._books.deadlines.add(Deadline(account.retires_at(order), "order", account.id, order_id))

    def _retire(self, account: Account, order_id: str, order: OrderState) -> None:
        self._out.write_status(key_of(account.id, order_id), order_id, order)
        self._books.remove_order(account, order_id)
        self._books.ceased_to_be_eligible()
        retired = RetiredOrder(VERSION, order.occurred_at_max, account.retires_at(order), _flows_of(order))
        if order_id not in account.retired:
            self._books.state_records += 1
        account.retired[order_id] = encode(retired)
        self._out.keep(retired, "retired", account.id, order_id)
        forgotten_at = retired.retired_at + KEPT_AFTER_RETENTION_MS
        self._books.deadlines.add(Deadline(forgotten_at, "retired", account.id, order_id))

    def _forget_if_due(self, account: Account, order_id: str) -> None:
        value = account.retired.get(order_id)
        if value is None:
            return
        retired = decode_retired(value)
        if retired.retired_at + KEPT_AFTER_RETENTION_MS <= self._books.stream_time_ms:
            del account.retired[order_id]
            self._books.state_records -= 1
            self._out.drop("retired", account.id, order_id)
            self._close(account, retired.flows)

    def _drop_adjustment_if_due(self, account: Account, event_hash: bytes) -> None:
        kept = account.adjustments.get(event_hash)
        if kept is not None and account.drops_at(kept) <= self._books.stream_time_ms:
            del account.adjustments[event_hash]
            self._books.state_records -= 1
            self._out.drop("adjustment", account.id, event_hash.hex())
            self._close(account, kept.flows)

    def _close(self, account: Account, flows: list[Flow]) -> None:
        """Add flows that just lost their record to the counts of their keys, for good."""
        for warehouse, sku, at, _ in flows:
            stock = account.stock_at(warehouse, sku)
            stock.close_at(at)
            self._books.fold(account, stock)


def _flows_of(order: OrderState) -> list[Flow]:
    flows: list[Flow] = []
    for warehouse, by_sku in order.claims.items():
        for sku, claim in by_sku.items():
            for flat, sign in ((claim.shipments, -1), (claim.returns, 1)):
                flows += [(warehouse, sku, flat[i], sign * flat[i + 1]) for i in range(0, len(flat), 2)]
    return flows
