"""One account: its orders, stock keys, adjustments and snapshots, as they rest in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from schemas.encoding import json_string, key_of, stock_json
from schemas.state import AdjustmentState
from worker.domain.order.state import OrderState
from worker.domain.policies import AccountRules
from worker.domain.stock.stock import Stock


@dataclass(slots=True)
class Snapshot:
    """A remembered snapshot of a warehouse: which parts came, and what they found. Sets hold SKUs."""

    snapshot_id: str
    as_of: int
    parts: int
    absent_zero: bool
    received: dict[int, bytes] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)
    drifted: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether all its parts are in."""
        return len(self.received) == self.parts

    @property
    def order(self) -> tuple[int, str]:
        """What snapshots of one origin and warehouse are compared by: once complete, one makes the lesser forgotten."""
        return self.as_of, self.snapshot_id


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
        "retired",
        "rules",
        "snapshots",
        "stock",
    )

    def __init__(self, account_id: str, rules: AccountRules) -> None:
        self.id = account_id
        self.json = json_string(account_id)
        self.key = account_id.encode()
        self.rules = rules
        self.default_warehouse: str | None = None
        self.orders: dict[str, OrderState | bytes] = {}
        self.retired: dict[str, bytes] = {}
        self.stock: dict[str, dict[str, Stock]] = {}
        self.adjustments: dict[bytes, AdjustmentState] = {}
        self.snapshots: dict[tuple[str, str], dict[str, Snapshot]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of it: it is as good as never heard of."""
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
