"""State records back to books: the counterpart of what the outbox wrote.

Records come in the order of the topic, a later one replacing an earlier, so nothing is derived before all are in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, TypeVar

from schemas.encoding import parts_of
from schemas.state import (
    VERSION,
    AdjustmentState,
    Flow,
    decode_account,
    decode_adjustment,
    decode_flood,
    decode_order_head,
    decode_part,
    decode_pending,
    decode_retired,
    decode_stock,
    version_of,
)
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.order.deadlines import Deadline
from worker.domain.order.state import Claim, claim_of
from worker.domain.policies import KEPT_AFTER_RETENTION_MS
from worker.domain.stock.snapshots import Snapshot
from worker.domain.stock.stock import Stock, SuspectMovement

K = TypeVar("K")
V = TypeVar("V")


STEP: Final = 200
"""How many records are derived at a step: about 2 ms."""


class UnknownStateVersion(Exception):
    """A state record has a schema version that this program does not know."""


class Restoration:
    """One restore of a partition's books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._parts: dict[tuple[str, ...], bytes] = {}

    def take(self, key: bytes, value: bytes | None) -> None:
        """Take one state record; None deletes it. Raises UnknownStateVersion."""
        if value is not None and not 1 <= version_of(value) <= VERSION:
            raise UnknownStateVersion(
                f"state record {key!r} has schema version {version_of(value)}, this program knows up to {VERSION}"
            )
        kind, account_id, *names = parts_of(key)
        account = self._books.account(account_id)
        match kind:
            case "order":
                _put(account.orders, names[0], value)
            case "retired":
                _put(account.retired, names[0], value)
            case "account":
                account.default_warehouse = None if value is None else decode_account(value).default_warehouse
            case "stock":
                account.stock_at(names[0], names[1]).base(None if value is None else decode_stock(value))
            case "adjustment":
                _put(account.adjustments, bytes.fromhex(names[0]), None if value is None else decode_adjustment(value))
            case "flood":
                _put(self._books.floods.known, account_id, None if value is None else decode_flood(value))
            case "pending":
                _put(
                    self._books.pending.codes,
                    (account_id, names[0]),
                    None if value is None else decode_pending(value).codes,
                )
            case "part":
                _put(self._parts, (account_id, *names), value)
            case _:
                raise UnknownStateVersion(f"state record {key!r} is of a kind that this program does not know")

    def finish(self, stream_time_ms: int) -> Iterator[None]:
        """All records are in: derive frozen units, flows, snapshots and deadlines, a few at a step."""
        self._books.stream_time_ms = stream_time_ms
        accounts = self._books.accounts
        for number, _ in enumerate(self._derive()):
            if number % STEP == 0:
                yield
        for account in accounts.values():
            for number, stock in enumerate(account.all_stock()):
                stock.restored()
                available = stock.available
                if available is not None and available < 0:
                    self._books.alerts.count("oversold", 1)
                if number % STEP == 0:
                    yield
        if self._books.floods.known:
            self._books.alerts.count("flooding", len(self._books.floods.known))
        self._books.state_records = len(self._parts) + sum(map(_records_of, accounts.values()))

    def _derive(self) -> Iterator[None]:
        """One record after the other."""
        for account in self._books.accounts.values():
            for order_id, value in account.orders.items():
                if isinstance(value, bytes):
                    self._restore_order(account, order_id, value)
                yield
            for order_id, value in account.retired.items():
                self._restore_retired(account, order_id, value)
                yield
            for event_hash, kept in account.adjustments.items():
                self._restore_adjustment(account, event_hash, kept)
                yield
        for key, value in self._parts.items():
            self._restore_part(key, value)
            yield

    def _restore_order(self, account: Account, order_id: str, value: bytes) -> None:
        head = decode_order_head(value)
        for warehouse, by_sku in head.claims.items():
            for sku, row in by_sku.items():
                claim = claim_of(row)
                stock = account.stock_at(warehouse, sku)
                stock.restore_claim(claim)
                _restore_suspects(stock, order_id, claim)
        if head.dead_letters:
            self._books.pending.restored(account.id, order_id, head.dead_letters)
        for alert, _, _ in head.alerts:
            self._books.alerts.count(alert, 1)
        if head.eligible:
            self._books.orders_eligible += 1
            self._books.deadlines.add(Deadline(account.retires_at(head), "order", account.id, order_id))

    def _restore_retired(self, account: Account, order_id: str, value: bytes) -> None:
        retired = decode_retired(value)
        _restore_flows(account, retired.flows)
        due_at = retired.retired_at + KEPT_AFTER_RETENTION_MS
        self._books.deadlines.add(Deadline(due_at, "retired", account.id, order_id))

    def _restore_adjustment(self, account: Account, event_hash: bytes, kept: AdjustmentState) -> None:
        _restore_flows(account, kept.flows)
        self._books.deadlines.add(Deadline(account.drops_at(kept), "adjustment", account.id, event_hash.hex()))

    def _restore_part(self, key: tuple[str, ...], value: bytes) -> None:
        account_id, warehouse, origin, snapshot_id, part = key
        state = decode_part(value)
        named = self._books.account(account_id).snapshots.setdefault((origin, warehouse), {})
        if snapshot_id not in named:
            named[snapshot_id] = Snapshot(snapshot_id, state.as_of, state.parts, state.absent_zero)
        named[snapshot_id].add(int(part), state)


def _records_of(account: Account) -> int:
    """How many records of the state an account has, parts of snapshots aside."""
    counted = sum(stock.count is not None for stock in account.all_stock())
    named = int(account.default_warehouse is not None)
    return named + counted + len(account.orders) + len(account.retired) + len(account.adjustments)


def _restore_suspects(stock: Stock, order_id: str, claim: Claim) -> None:
    """Remember what an order did at a key, as far as its claim has it: the sub-order is not known."""
    moves, shipments, returns = claim.moves, claim.shipments, claim.returns
    for i in range(0, len(moves), 2):
        at, frozen_delta = moves[i], moves[i + 1]
        if frozen_delta > 0:
            stock.restore_suspect(SuspectMovement(at, frozen_delta, "freeze", order_id, None))
        elif at not in shipments[::2]:
            stock.restore_suspect(SuspectMovement(at, -frozen_delta, "unfreeze", order_id, None))
    for i in range(0, len(shipments), 2):
        stock.restore_suspect(SuspectMovement(shipments[i], shipments[i + 1], "release", order_id, None))
    for i in range(0, len(returns), 2):
        stock.restore_suspect(SuspectMovement(returns[i], returns[i + 1], "restock", order_id, None))


def _restore_flows(account: Account, flows: list[Flow]) -> None:
    for warehouse, sku, at, delta in flows:
        account.stock_at(warehouse, sku).restore_flow(at, delta)


def _put(mapping: dict[K, V], key: K, value: V | None) -> None:
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
