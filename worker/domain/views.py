"""What the ledger shows to those who ask: pages, `why`, `order`, `verify`. Copies, safe to keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UnitRow = tuple[str | None, str, str, int, int, int]
"""Sub-order (None: uncovered), warehouse, SKU, open, shipped, cancelled."""


LineRow = tuple[str, str, int]
"""SKU, warehouse, units that the order asks for."""

AlertRow = tuple[str, str, str]
"""Alert, sub-order (or empty), SKU (or empty)."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """An account, and how many orders and stock keys are known of it."""

    account_id: str
    orders: int
    stock_keys: int


@dataclass(frozen=True, slots=True)
class StockView:
    """The level of one stock key, in units; None: never counted. `as_of` is that of the count."""

    account_id: str
    warehouse_id: str
    sku: str
    on_hand: int | None
    frozen: int
    available: int | None
    publishable: int | None
    as_of: str | None


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as its status record shows it, with its own lines, the alerts that hold, and the dead letters that hold
    it back.

    `known`: an event of it was applied. `lines`: None where its status record is all that is left of it.
    """

    account_id: str
    order_id: str
    known: bool
    status: str
    placed: bool
    eligible: bool
    sub_orders: Mapping[str, str]
    units: list[UnitRow]
    dead_letters: list[str]
    lines: list[LineRow] | None
    alerts: list[AlertRow]


@dataclass(frozen=True, slots=True)
class Holding:
    """Open units of one stock key that a sub-order holds (sub_order_id None: the order's, uncovered)."""

    order_id: str
    sub_order_id: str | None
    open: int


@dataclass(frozen=True, slots=True)
class HeldAlert:
    """An alert whose condition holds now, and what it is about; `available` is that of an oversold key, in units."""

    account_id: str
    alert: str
    order_id: str | None
    sub_order_id: str | None
    warehouse_id: str | None
    sku: str | None
    available: int | None
