"""One account: its orders, stock keys, adjustments and snapshots, as they rest in memory."""

from __future__ import annotations

from collections.abc import Iterator

from schemas.encoding import json_string, key_of, stock_json
from schemas.state import AdjustmentState, OrderHead
from worker.domain.order.state import OrderState
from worker.domain.policies import KEPT_AFTER_RETENTION_MS, AccountPolicies
from worker.domain.stock.snapshots import Snapshot
from worker.domain.stock.stock import Stock


class Account:
    """The state of one account.

    An order is its encoded `OrderState` at rest, and the object itself from the first touch of a transaction until its
    flush.
    """

    __slots__ = (
        "adjustments",
        "default_warehouse",
        "id",
        "json",
        "key",
        "orders",
        "policies",
        "policies",
        "retention_ms",
        "retired",
        "snapshots",
        "stock",
    )

    def __init__(self, account_id: str, policies: AccountPolicies) -> None:
        self.id = account_id
        self.json = json_string(account_id)
        self.key = account_id.encode()
        self.policies = policies
        self.retention_ms = policies.retention_ms
        self.default_warehouse: str | None = None
        self.orders: dict[str, OrderState | bytes] = {}
        self.retired: dict[str, bytes] = {}
        self.stock: dict[str, dict[str, Stock]] = {}
        self.adjustments: dict[bytes, AdjustmentState] = {}
        self.snapshots: dict[tuple[str, str], dict[str, Snapshot]] = {}
        """By origin and warehouse, then by snapshot id."""

    @property
    def is_empty(self) -> bool:
        """Whether it holds nothing, so that it need not be kept."""
        known = self.orders or self.retired or self.stock or self.adjustments or self.snapshots
        return not known and self.default_warehouse is None

    def stock_at(self, warehouse: str, sku: str) -> Stock:
        """The stock key, made when first asked for."""
        by_sku = self.stock.get(warehouse)
        if by_sku is None:
            by_sku = self.stock[warehouse] = {}
        stock = by_sku.get(sku)
        if stock is None:
            stock = by_sku[sku] = self.unknown_stock(warehouse, sku)
        return stock

    def unknown_stock(self, warehouse: str, sku: str) -> Stock:
        """A stock key of which nothing is known, and which is not kept."""
        return Stock(warehouse, sku, key_of(self.id, warehouse, sku), stock_json(warehouse, sku))

    def all_stock(self) -> Iterator[Stock]:
        """Every stock key of the account, in no order."""
        for by_sku in self.stock.values():
            yield from by_sku.values()

    def retires_at(self, order: OrderState | OrderHead) -> int:
        """When the order leaves the state, if it may be archived then."""
        return max(order.occurred_at_max, order.seen_at) + self.retention_ms

    def drops_at(self, kept: AdjustmentState) -> int:
        """When nothing needs an adjustment or a transfer any more.

        Its id is forgotten then, and its flows are older than any that is kept.

        The id is still remembered in the last millisecond in which a repeat of it is not `too_late`.
        """
        retention_ms = self.retention_ms
        forgotten_at = kept.seen_at + retention_ms + 1
        return max([forgotten_at, *(at + retention_ms + KEPT_AFTER_RETENTION_MS for _, _, at, _ in kept.flows)])
