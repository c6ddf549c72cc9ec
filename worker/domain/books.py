"""The books of one partition: all accounts, how their records rest, thaw, become dirty and leave.

The ledger decides; the books keep. An order rests as its encoded bytes and is an object only while a transaction
touches it: half the memory, and a restore that decodes no more than it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, assert_never

from schemas.encoding import key_of
from schemas.state import VERSION, AdjustmentState, Flow, OrderHead, RetiredOrder, decode_retired, encode
from worker.domain.accounts import Account
from worker.domain.cause import Cause
from worker.domain.floods import Floods
from worker.domain.order.archive import statuses_of
from worker.domain.order.deadlines import Deadline, Deadlines
from worker.domain.order.limits import SMALL_STATE_BYTES
from worker.domain.order.state import OrderState, freeze, thaw
from worker.domain.order.statuses import PROCESSING, STATUSES
from worker.domain.order.units import unit_rows
from worker.domain.outbox import Outbox, Record
from worker.domain.pending import Pending
from worker.domain.policies import KEPT_AFTER_RETENTION_MS, Rules
from worker.domain.steps import in_slices
from worker.domain.stock.stock import Posting, Stock
from worker.domain.views import OrderView, StockView

DUE_PER_RECORD_MAX: Final = 50
"""How many deadlines one record may bring about: a jump in time is worked off in small steps.

What is touched before its turn is looked at then.
"""

RECORDS_PER_STEP: Final = 500
ORDERS_PER_STEP: Final = 10
"""How many are encoded at a step: some milliseconds, as an order may have thousands of lines."""


class Books:
    """State of one partition."""

    def __init__(self, rules: Rules, out: Outbox) -> None:
        self.out = out
        self.stream_time_ms = -1
        self.accounts: dict[str, Account] = {}
        self.deadlines = Deadlines()
        self.floods = Floods(out)
        self.pending = Pending(out)
        self.orders_eligible = 0
        self.state_records = 0
        """How many records the state has once all is flushed, those of floods and pending dead letters aside."""
        self._rules = rules
        self._opened: list[Account] = []
        self._touched: list[tuple[Account, str, OrderState]] = []
        """Orders that are objects since the last flush; some may have been removed again."""
        self._dirty_stock: dict[Stock, None] = {}

    def account(self, account_id: str) -> Account:
        """The account's books, opened when first asked for; closed by the flush if nothing was entered."""
        account = self.accounts.get(account_id)
        if account is None:
            account = self.accounts[account_id] = Account(account_id, self._rules.of(account_id))
            self._opened.append(account)
        return account

    def horizon(self, account: Account) -> int:
        """Flows up to this time are part of their counts for good."""
        return self.stream_time_ms - account.rules.retention_ms - KEPT_AFTER_RETENTION_MS

    def moves_horizon(self, account: Account) -> int:
        """Movements after this time are remembered: no order that has one of them has left by retention.

        An adjustment before it is too late, and its id is forgotten where it was seen before it too.
        """
        return self.stream_time_ms - account.rules.retention_ms

    # Orders

    def open_order(self, account: Account, order_id: str) -> OrderState | None:
        """The order as an object, from now until the flush.

        None where nothing is known of it, or it has left by retention: it may be due before its deadline's turn comes.
        """
        order = account.orders.get(order_id)
        if order is None:
            return None
        if isinstance(order, bytes):
            sizeable = len(order) > SMALL_STATE_BYTES
            order = account.orders[order_id] = thaw(order)
            order.sizeable = sizeable
            self._touched.append((account, order_id, order))
        if order.eligible and retires_at(account, order) <= self.stream_time_ms:
            self._retire(account, order_id, order)
            return None
        return order

    def new_order(self, account: Account, order_id: str) -> OrderState:
        """An order of which nothing is known yet, to be filled in at once."""
        order = account.orders[order_id] = OrderState(PROCESSING)
        self.state_records += 1
        self._touched.append((account, order_id, order))
        return order

    def remove_order(self, account: Account, order_id: str) -> None:
        """Forget an order and delete its record."""
        del account.orders[order_id]
        self.state_records -= 1
        self.out.drop("order", account.id, order_id)

    def became_eligible(self, account: Account, order_id: str, order: OrderState) -> None:
        """Count an order that may be archived, and look at it again when it may leave the state."""
        self.orders_eligible += 1
        self.deadlines.add(Deadline(retires_at(account, order), "order", account.id, order_id))

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
        """Write movements of a key to the journal, and raise `oversold` where they took it below zero."""
        for posting in postings:
            self.out.moved(cause, stock, posting)
        if postings:
            self.out.level_changed(cause, stock)
            available = stock.available
            if available is not None and available < 0 and (available_before is None or available_before >= 0):
                what = f"{-available} units of SKU {stock.sku} more are frozen"
                detail = f"{what} in warehouse {stock.warehouse} than are on hand."
                where = {"sub_order_id": cause.sub_order_id, "warehouse_id": stock.warehouse, "sku": stock.sku}
                self.out.alert(cause, "oversold", detail, **where)
        if stock.dirty:
            self._dirty_stock[stock] = None

    def adjustment(self, account: Account, event_hash: bytes) -> AdjustmentState | None:
        """A known adjustment, while its id is remembered."""
        known = account.adjustments.get(event_hash)
        if known is None or known.seen_at < self.moves_horizon(account):
            return None
        return known

    def keep_adjustment(
        self, account: Account, event_hash: bytes, content: bytes, seen_at: int, flow: Flow | None
    ) -> None:
        """Remember an adjustment by the hash of its id. `seen_at` is the later of its time and its record's timestamp,
        in milliseconds.

        `flow` is None where the key's count had it already. Flows of an earlier use of a forgotten id are kept too.
        """
        before = account.adjustments.get(event_hash)
        flows = [] if before is None else before.flows
        kept = AdjustmentState(VERSION, content, seen_at, flows if flow is None else [*flows, flow])
        if before is None:
            self.state_records += 1
        account.adjustments[event_hash] = kept
        self.out.keep(kept, "adjustment", account.id, event_hash.hex())
        self.deadlines.add(Deadline(dropped_at(account, kept), "adjustment", account.id, event_hash.hex()))

    # Retention

    def advance(self, recorded_at: int) -> None:
        """Move stream time on to a record's timestamp (milliseconds), and let leave what has fallen due."""
        if recorded_at <= self.stream_time_ms:
            return
        self.stream_time_ms = recorded_at
        if not self.deadlines.any_due(recorded_at):
            return
        for deadline in self.deadlines.due(recorded_at, DUE_PER_RECORD_MAX):
            account = self.accounts.get(deadline.account_id)
            if account is None:
                continue  # closed: what was to fall due had left before
            match deadline.kind:
                case "order":
                    self._look_at_order(account, deadline.id)
                case "retired":
                    self.retired_order(account, deadline.id)
                case "adjustment":
                    self._drop_adjustment(account, bytes.fromhex(deadline.id))
                case _:
                    assert_never(deadline.kind)

    def retired_order(self, account: Account, order_id: str) -> RetiredOrder | None:
        """The order, if it has left by retention and its id is still kept. To be asked after `open_order`."""
        value = account.retired.get(order_id)
        if value is None:
            return None
        retired = decode_retired(value)
        if retired.retired_at + KEPT_AFTER_RETENTION_MS > self.stream_time_ms:
            return retired
        del account.retired[order_id]
        self.state_records -= 1
        self.out.drop("retired", account.id, order_id)
        self._fold_all(account, retired.flows)
        return None

    def _look_at_order(self, account: Account, order_id: str) -> None:
        order = self.open_order(account, order_id)
        if order is not None and order.eligible:
            self.deadlines.add(Deadline(retires_at(account, order), "order", account.id, order_id))

    def _retire(self, account: Account, order_id: str, order: OrderState) -> None:
        self.out.write_status(key_of(account.id, order_id), order_id, order)
        self.remove_order(account, order_id)
        self.ceased_to_be_eligible()
        retired = RetiredOrder(VERSION, order.occurred_at_max, retires_at(account, order), _flows_of(order))
        if order_id not in account.retired:
            self.state_records += 1
        account.retired[order_id] = encode(retired)
        self.out.keep(retired, "retired", account.id, order_id)
        self.deadlines.add(Deadline(retired.retired_at + KEPT_AFTER_RETENTION_MS, "retired", account.id, order_id))

    def _drop_adjustment(self, account: Account, event_hash: bytes) -> None:
        kept = account.adjustments.get(event_hash)
        if kept is not None and dropped_at(account, kept) <= self.stream_time_ms:
            del account.adjustments[event_hash]
            self.state_records -= 1
            self.out.drop("adjustment", account.id, event_hash.hex())
            self._fold_all(account, kept.flows)

    def _fold_all(self, account: Account, flows: list[Flow]) -> None:
        """Flows that are about to lose their record must be in their counts first."""
        for warehouse, sku, at, _ in flows:
            stock = account.stock_at(warehouse, sku)
            stock.close_at(at)
            self.fold(account, stock)

    # Flush

    def flush(self) -> Iterator[list[Record]]:
        """Records of everything decided since the last flush, a few at a time; what was thawed rests again."""
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
        for account in self._opened:
            if account.is_empty:  # anybody may name any number of accounts, in records that are refused
                del self.accounts[account.id]
        self._opened = []
        self._touched, self._dirty_stock = [], {}

    def _write_levels(self, levels: list[Stock]) -> None:
        for stock in levels:
            self.out.write_level(stock)

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
                record = freeze(order)
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
            order = thaw(order)
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
    """The level of a stock key, as it is published with the account's rules."""
    available = stock.available
    return StockView(
        account_id=account.id,
        warehouse_id=stock.warehouse,
        sku=stock.sku,
        on_hand=stock.on_hand,
        frozen=stock.frozen,
        available=available,
        publishable=None if available is None else max(0, available - account.rules.buffer),
        as_of=stock.as_of_text,
    )


def retires_at(account: Account, order: OrderState | OrderHead) -> int:
    """When an eligible order leaves the state."""
    return max(order.occurred_at_max, order.seen_at) + account.rules.retention_ms


def dropped_at(account: Account, kept: AdjustmentState) -> int:
    """When nothing needs an adjustment any more: its id is forgotten and its flows are older than any that is kept.

    The id is still remembered in the last millisecond in which the same adjustment is not `too_late`.
    """
    kept_ms = account.rules.retention_ms + KEPT_AFTER_RETENTION_MS
    return max([kept.seen_at + account.rules.retention_ms + 1, *(at + kept_ms for _, _, at, _ in kept.flows)])


def _flows_of(order: OrderState) -> list[Flow]:
    flows: list[Flow] = []
    for warehouse, by_sku in order.claims.items():
        for sku, claim in by_sku.items():
            for flat, sign in ((claim.shipments, -1), (claim.returns, 1)):
                flows += [(warehouse, sku, flat[i], sign * flat[i + 1]) for i in range(0, len(flat), 2)]
    return flows
