"""The shape of what a worker, or a command in its place, answers about stock, orders and partitions.

One shape, made in one place: a worker encodes it, a command decodes it, or makes it of a ledger that it restored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec

from schemas.outputs import Alert, Severity
from worker.domain.views import HeldAlert, OrderView, StockView


class Level(msgspec.Struct):
    """The level of a stock key, in units. `on_hand` None: never counted; `as_of` is that of the count."""

    warehouse_id: str
    sku: str
    on_hand: int | None
    frozen: int
    available: int | None
    publishable: int | None
    as_of: str | None


class LevelsAnswer(msgspec.Struct):
    """Levels by ascending warehouse and SKU; `next` is the `after` of the page that follows, None: there is none."""

    account_id: str
    partition: int
    levels: list[Level]
    next: str | None


class Holder(msgspec.Struct):
    """Open units that a sub-order holds; sub_order_id None: those of the order that no sub-order covers."""

    order_id: str
    sub_order_id: str | None
    open: int


class HoldersAnswer(msgspec.Struct):
    """A level and who holds its frozen units, the greatest first; `orders_holding` counts the orders that hold any."""

    account_id: str
    partition: int
    level: Level
    orders_holding: int
    held_by: list[Holder]


class OrderedLine(msgspec.Struct):
    """Units that an order asks for."""

    sku: str
    warehouse_id: str
    quantity: int


class UnitCount(msgspec.Struct):
    """Units of one SKU of a sub-order, or (sub_order_id None) of those that no sub-order covers."""

    sub_order_id: str | None
    warehouse_id: str
    sku: str
    open: int
    shipped: int
    cancelled: int


class OrderAlert(msgspec.Struct):
    """An alert of an order whose condition holds now."""

    alert: str
    severity: Severity
    sub_order_id: str | None
    sku: str | None


class OrderAnswer(msgspec.Struct):
    """All facts about an order. `known`: an event of it was applied; `dead_letters`: ids of the pending ones.

    `lines` None: the order has left by retention, and its last status record does not have them.
    """

    account_id: str
    order_id: str
    partition: int
    known: bool
    status: str
    placed: bool
    eligible: bool
    lines: list[OrderedLine] | None
    sub_orders: Mapping[str, str]
    units: list[UnitCount]
    alerts: list[OrderAlert]
    dead_letters: list[str]


class AccountRow(msgspec.Struct):
    """An account, and how much is known of it."""

    account_id: str
    partition: int
    orders: int
    stock_keys: int


class AccountsAnswer(msgspec.Struct):
    """Accounts of a worker's `partitions` by id; `next` is the `after` of the page that follows, None: no page does."""

    partitions: list[int]
    accounts: list[AccountRow]
    next: str | None


class AlertAnswer(msgspec.Struct):
    """An alert whose condition holds now, and what it is about; `available` is that of an oversold key, in units."""

    alert_id: str
    alert: str
    severity: Severity
    account_id: str
    order_id: str | None
    sub_order_id: str | None
    warehouse_id: str | None
    sku: str | None
    available: int | None


class PartitionAnswer(msgspec.Struct):
    """A partition in numbers, the alerts that hold in it, and the ids of its pending dead letters.

    `counts` has all alerts by name; of `alerts` and `dead_letters` no more are listed than were asked for.
    """

    partition: int
    accounts: int
    orders: int
    orders_open: int
    stock_keys: int
    counts: dict[str, int]
    alerts: list[AlertAnswer]
    dead_letters_pending: int
    dead_letters: list[str]


# Making answers from the ledger's views.


def level_of(view: StockView) -> Level:
    """Make the answer for a level."""
    return Level(view.warehouse_id, view.sku, view.on_hand, view.frozen, view.available, view.publishable, view.as_of)


def alert_of(held: HeldAlert) -> AlertAnswer:
    """Make the answer for an alert."""
    from schemas.identity import alert_id_of
    from worker.domain.outbox import SEVERITIES

    about = {name: getattr(held, name) for name in ("order_id", "sub_order_id", "warehouse_id", "sku")}
    given = {name: value for name, value in about.items() if value is not None}
    return AlertAnswer(
        alert_id=alert_id_of(held.alert, held.account_id, given),
        alert=held.alert,
        severity=SEVERITIES[cast("Alert", held.alert)],
        account_id=held.account_id,
        **about,
        available=held.available,
    )


def order_answer(view: OrderView, partition: int) -> OrderAnswer:
    """Make the answer for an order."""
    from worker.domain.outbox import SEVERITIES

    return OrderAnswer(
        account_id=view.account_id,
        order_id=view.order_id,
        partition=partition,
        known=view.known,
        status=view.status,
        placed=view.placed,
        eligible=view.eligible,
        lines=None
        if view.lines is None
        else [OrderedLine(sku, warehouse, units) for sku, warehouse, units in view.lines],
        sub_orders=view.sub_orders,
        units=[UnitCount(*row) for row in view.units],
        alerts=[
            OrderAlert(alert, SEVERITIES[cast("Alert", alert)], sub_order_id or None, sku or None)
            for alert, sub_order_id, sku in view.alerts
        ],
        dead_letters=view.dead_letters,
    )
