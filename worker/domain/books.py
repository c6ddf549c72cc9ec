"""The books of one partition: all accounts, and how their records are opened, changed and written.

The ledger decides; the books keep. An order rests as its encoded bytes and is an object only while a transaction
touches it: half the memory, and a restore that decodes no more than it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from schemas.encoding import key_of
from schemas.outputs import AlertIds
from schemas.state import VERSION, AdjustmentState, Flow, RetiredOrder, decode_retired, encode
from worker.domain.accounts import Account
from worker.domain.alerts import Alerts
from worker.domain.cause import Cause
from worker.domain.floods import Floods
from worker.domain.order.archive import statuses_of
from worker.domain.order.deadlines import Deadline, DeadlineHeap
from worker.domain.order.limits import SMALL_STATE_BYTES
from worker.domain.order.rows import decode_order, encode_order
from worker.domain.order.state import OrderState
from worker.domain.order.statuses import PROCESSING, STATUSES
from worker.domain.order.units import unit_rows
from worker.domain.outbox import Outbox, Record
from worker.domain.pending import Pending
from worker.domain.policies import KEPT_AFTER_RETENTION_MS, Policies
from worker.domain.steps import in_slices
from worker.domain.stock.stock import Posting, Stock
from worker.domain.views import OrderView, StockView

RECORDS_PER_STEP: Final = 500
ORDERS_PER_STEP: Final = 10
"""How many are encoded at a step: some milliseconds, as an order may have thousands of lines."""


class Books:
    """State of one partition."""

    def __init__(self, policies: Policies, out: Outbox) -> None:
        self.out = out
        self.stream_time_ms = -1
        self.accounts: dict[str, Account] = {}
        self.deadlines = DeadlineHeap()
        self.alerts = Alerts(out)
        self.floods = Floods(out)
        self.pending = Pending(out)
        self.orders_eligible = 0
        self.state_records = 0
        """How many records the state has once all is flushed, those of floods and pending dead letters aside."""
        self._policies = policies
        self._opened: list[Account] = []
        self._touched: list[tuple[Account, str, OrderState]] = []
        """Orders that are objects since the last flush; some may have been removed again."""
        self._dirty_stock: dict[Stock, None] = {}

    def account(self, account_id: str) -> Account:
        """The account's books, opened when first asked for; closed by the flush if nothing was entered."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id, self._policies.of(account_id))
            self._opened.append(account)
        return account

    def horizon(self, account: Account) -> int:
        """Flows up to this time are part of their counts for good."""
        return self.stream_time_ms - account.retention_ms - KEPT_AFTER_RETENTION_MS

    def moves_horizon(self, account: Account) -> int:
        """Movements after this time are remembered: no order that has one of them has left by retention.

        An adjustment or transfer before it is too late, and its id is forgotten where it was seen before it too.
        """
        return self.stream_time_ms - account.retention_ms

    # Orders

    def open_order(self, account: Account, order_id: str) -> OrderState | None:
        """The order as an object, from now until the flush; None where nothing is known of it, or it has left.

        `Retention.open_or_retire` is how an event gets it: it may be due to leave.
        """
        order = account.orders.get(order_id)
        if order is None:
            return None
        if isinstance(order, bytes):
            sizeable = len(order) > SMALL_STATE_BYTES
            order = account.orders[order_id] = decode_order(order)
            order.sizeable = sizeable
            self._touched.append((account, order_id, order))
        return order

    def new_order(self, account: Account, order_id: str) -> OrderState:
        """An order of which nothing is known yet, to be filled in immediately."""
        order = account.orders[order_id] = OrderState(PROCESSING)
        self.state_records += 1
        self._touched.append((account, order_id, order))
        return order

    def remove_order(self, account: Account, order_id: str) -> None:
        """Forget an order and delete its record."""
        del account.orders[order_id]
        self.state_records -= 1
        self.out.drop("order", account.id, order_id)

    def retired_order(self, account: Account, order_id: str) -> RetiredOrder | None:
        """What is kept of an order that left by retention; None where it has not, or its id is forgotten."""
        value = account.retired.get(order_id)
        return None if value is None else decode_retired(value)

    def became_eligible(self, account: Account, order_id: str, order: OrderState) -> None:
        """Count an order that may be archived, and set the deadline at which it may leave the state."""
        self.orders_eligible += 1
        self.deadlines.add(Deadline(account.retires_at(order), "order", account.id, order_id))

    def ceased_to_be_eligible(self) -> None:
        """The counterpart: an order may no longer be archived, or it has left."""
        self.orders_eligible -= 1

    # Stock

    def fold(self, account: Account, stock: Stock) -> None:
        """Take flows older than any that is kept into the key's count, before anything is read from it."""
        stock.fold(self.horizon(account))
        if stock.dirty:
            self._dirty_stock[stock] = None

    def post(self, stock: Stock, postings: list[Posting], available_before: int | None, cause: Cause) -> None:
        """Write movements of a key to the journal, and raise or clear `oversold` where they took it across zero."""
        for posting in postings:
            self.out.moved(cause, stock, posting)
        if postings:
            self.out.level_changed(cause, stock)
            available = stock.available
            if available is not None:
                is_short = available < 0
                if is_short != (available_before is not None and available_before < 0):
                    self._cross_zero(stock, -available, cause, is_short=is_short)
        if stock.dirty:
            self._dirty_stock[stock] = None

    def _cross_zero(self, stock: Stock, short_by: int, cause: Cause, *, is_short: bool) -> None:
        ids: AlertIds = {"warehouse_id": stock.warehouse, "sku": stock.sku}
        if not is_short:
            self.alerts.ceased(cause, "oversold", ids)
            return
        what = f"{short_by} units of SKU {stock.sku} more are frozen"
        self.alerts.began(cause, "oversold", ids, f"{what} in warehouse {stock.warehouse} than are on hand.")

    def adjustment(self, account: Account, event_hash: bytes) -> AdjustmentState | None:
        """A known adjustment or transfer, while its id is remembered."""
        known = account.adjustments.get(event_hash)
        if known is None or known.seen_at < self.moves_horizon(account):
            return None
        return known

    def keep_adjustment(
        self, account: Account, event_hash: bytes, content: bytes, seen_at: int, flows: list[Flow]
    ) -> None:
        """Remember an adjustment or a transfer by the hash of its id. `seen_at` is the later of its time and its
        record's timestamp, in milliseconds.

        `flows` lack those that their key's count had already. Flows of an earlier use of a forgotten id are kept too.
        """
        before = account.adjustments.get(event_hash)
        kept = AdjustmentState(VERSION, content, seen_at, flows if before is None else [*before.flows, *flows])
        if before is None:
            self.state_records += 1
        account.adjustments[event_hash] = kept
        self.out.keep(kept, "adjustment", account.id, event_hash.hex())
        self.deadlines.add(Deadline(account.drops_at(kept), "adjustment", account.id, event_hash.hex()))

    # Flush

    def flush(self) -> Iterator[list[Record]]:
        """Records of everything decided since the last flush, a few at a time; orders rest as bytes again."""
        yield from in_slices(self.out.take(), RECORDS_PER_STEP)
        # What a slice takes is done in functions of their own: the variables of a generator are dear.
        for levels in in_slices(self.out.take_levels(), RECORDS_PER_STEP):
            self._write_levels(levels)
            yield self.out.take()
        for stocks in in_slices(self._dirty_stock, RECORDS_PER_STEP):
            self._keep_counts(stocks)
            yield self.out.take()
        for touched in in_slices(self._touched, ORDERS_PER_STEP):
            self._write_orders(touched)
            yield self.out.take()
        self.out.check_statuses_written()
        for account in self._opened:
            if account.is_empty:  # records that are refused may name any number of accounts
                del self.accounts[account.id]
        self._opened = []
        self._touched, self._dirty_stock = [], {}

    def _write_levels(self, levels: list[tuple[Stock, tuple[Cause, int]]]) -> None:
        for stock, change in levels:
            self.out.write_level(stock, change)

    def _keep_counts(self, stocks: list[Stock]) -> None:
        for stock in stocks:
            if stock.count is not None:
                self.out.put(b"stock/" + stock.key, encode(stock.count))
            stock.dirty = False

    def _write_orders(self, orders: list[tuple[Account, str, OrderState]]) -> None:
        for account, order_id, order in orders:
            if account.orders.get(order_id) is not order:
                continue  # removed
            record = order.record
            if record is None or order.changed:
                key = key_of(account.id, order_id)
                self.out.write_status(key, order_id, order)
                record = encode_order(order)
                self.out.put(b"order/" + key, record)
            account.orders[order_id] = record

    # Views

    def order_of(self, account_id: str, order_id: str) -> OrderView | None:
        """The order, None where nothing is known of it or it has left by retention."""
        account = self.accounts.get(account_id)
        order = None if account is None else account.orders.get(order_id)
        if account is None or order is None:
            return None
        return self._order_view(account, order_id, order)

    def levels(self) -> Iterator[StockView]:
        """Every stock key of the partition, in no order."""
        for account in self.accounts.values():
            for stock in account.all_stock():
                yield stock_view(account, stock)

    def orders(self) -> Iterator[OrderView]:
        """Every order of the partition that has not left, in no order."""
        for account in self.accounts.values():
            for order_id, order in account.orders.items():
                yield self._order_view(account, order_id, order)

    def gauges(self) -> dict[str, float]:
        """Sizes of the state: how many accounts, orders and stock keys there are."""
        accounts = self.accounts.values()
        orders = sum(len(account.orders) for account in accounts)
        return {
            "accounts": len(accounts),
            "orders": orders,
            "orders_open": orders - self.orders_eligible,
            "orders_retired": sum(len(account.retired) for account in accounts),
            "stock_keys": sum(len(by_sku) for account in accounts for by_sku in account.stock.values()),
        }

    def _order_view(self, account: Account, order_id: str, order: OrderState | bytes) -> OrderView:
        if isinstance(order, bytes):
            order = decode_order(order)
        return OrderView(
            account_id=account.id,
            order_id=order_id,
            known=order.known,
            status=STATUSES[order.status],
            placed=order.lines is not None,
            eligible=order.eligible,
            sub_orders=statuses_of(order),
            units=unit_rows(order),
            dead_letters=list(order.dead_letters),
            lines=[
                (sku, warehouse, quantity)
                for sku, by_warehouse in sorted((order.lines or {}).items())
                for warehouse, quantity in sorted(by_warehouse.items())
            ],
            alerts=list(order.alerts),
        )


def stock_view(account: Account, stock: Stock) -> StockView:
    """The level of a stock key, as it is published."""
    available = stock.available
    return StockView(
        account_id=account.id,
        warehouse_id=stock.warehouse,
        sku=stock.sku,
        on_hand=stock.on_hand,
        frozen=stock.frozen,
        available=available,
        publishable=account.policies.publishable(available),
        as_of=stock.as_of_text,
    )
