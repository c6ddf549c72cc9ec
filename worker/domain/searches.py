"""Searches through the books whose cost has no small bound: pages of levels and accounts, the holders of a stock key,
and a census of orders.

A search must not stop its partition, and must cost an order nothing while there is none. So there is no index. Orders
rest as bytes that never change: to list all of them, between two transactions, takes some ten milliseconds for half a
million orders, and is a view of one moment. The steps of a search go through that list while the partition goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nsmallest

from schemas.state import decode_order_head, decode_order_marks, encode
from worker.domain.books import Books, stock_view
from worker.domain.order.rows import decode_order
from worker.domain.order.state import OrderState
from worker.domain.order.units import unit_rows
from worker.domain.steps import in_slices
from worker.domain.stock.stock import Stock
from worker.domain.views import AccountView, HeldAlert, Holding, StockView

ORDERS_PER_STEP = 1000
DECODED_PER_STEP = 100
"""Whole orders, of which one may have thousands of lines."""


class OrdersAtOneMoment:
    """The orders of an account as they are when this is made."""

    def __init__(self, orders: dict[str, OrderState | bytes]) -> None:
        # Two lists take less time and memory than a copy of the dictionary.
        self._ids = list(orders)
        self._orders = list(orders.values())

    def slices(self) -> Iterator[Iterator[tuple[str, OrderState | bytes]]]:
        """All of them with their ids, `ORDERS_PER_STEP` at a step, the latest first."""
        for end in range(len(self._ids), 0, -ORDERS_PER_STEP):
            start = max(0, end - ORDERS_PER_STEP)
            yield zip(self._ids[start:end], self._orders[start:end], strict=True)


@dataclass(frozen=True, slots=True)
class LevelsWanted:
    """Which levels of an account are asked for, by ascending warehouse and SKU; None: any.

    `below`: those with less available; `after`: those that follow this warehouse and SKU.
    """

    account_id: str
    limit: int
    warehouse_id: str | None = None
    sku: str | None = None
    below: int | None = None
    after: tuple[str, str] | None = None


def levels_page(books: Books, wanted: LevelsWanted) -> tuple[list[StockView], bool] | None:
    """The first levels that are wanted, and whether there are more. None: nothing is known of the account's stock."""
    account = books.accounts.get(wanted.account_id)
    if account is None or not account.stock:
        return None
    found: list[Stock] = []
    warehouses = sorted(account.stock) if wanted.warehouse_id is None else [wanted.warehouse_id]
    for warehouse in warehouses:
        by_sku = account.stock.get(warehouse, {})
        skus = _skus_wanted(by_sku, warehouse, wanted)
        found += [by_sku[sku] for sku in nsmallest(wanted.limit + 1 - len(found), skus)]
        if len(found) > wanted.limit:
            break
    return [stock_view(account, stock) for stock in found[: wanted.limit]], len(found) > wanted.limit


def _skus_wanted(by_sku: dict[str, Stock], warehouse: str, wanted: LevelsWanted) -> list[str]:
    skus: Iterable[str] = by_sku if wanted.sku is None else [wanted.sku] if wanted.sku in by_sku else []
    if wanted.after is not None:
        warehouse_before, sku_before = wanted.after
        if warehouse < warehouse_before:
            return []
        if warehouse == warehouse_before:
            skus = [sku for sku in skus if sku > sku_before]
    if wanted.below is None:
        return list(skus)
    below = wanted.below
    return [sku for sku in skus if (available := by_sku[sku].available) is not None and available < below]


def accounts_page(books: Books, limit: int, after: str | None) -> tuple[list[AccountView], bool]:
    """The first accounts whose id comes after `after`, and whether there are more."""
    ids = [id_ for id_, account in books.accounts.items() if (after is None or id_ > after) and not account.is_empty]
    found = [books.accounts[id_] for id_ in nsmallest(limit + 1, ids)]
    views = [
        AccountView(account.id, len(account.orders), sum(len(by_sku) for by_sku in account.stock.values()))
        for account in found[:limit]
    ]
    return views, len(found) > limit


class HolderSearch:
    """Finds who holds most of the frozen units of a stock key.

    An order that claims the key has its SKU, as msgpack writes it, among its bytes: to look for that takes less than
    half a microsecond. Of those that have it the claims are decoded, of the greatest claims the whole order. The search
    ends when all frozen units of the key are found, which are mostly those of orders that came last.
    """

    def __init__(self, books: Books, account_id: str, warehouse_id: str, sku: str, limit: int) -> None:
        account = books.accounts.get(account_id)
        self._orders = OrdersAtOneMoment({} if account is None else account.orders)
        stock = None if account is None else account.stock.get(warehouse_id, {}).get(sku)
        self._frozen = 0 if stock is None else stock.frozen
        self._warehouse_id = warehouse_id
        self._sku = sku
        self._limit = limit
        self.orders = 0
        """How many orders hold units of the key."""
        self.holdings: list[Holding] = []
        """The greatest first; of equal ones by order and sub-order, uncovered units last."""

    def steps(self) -> Iterator[None]:
        """Search, a few milliseconds at a step."""
        claims: list[_Claimant] = []
        needle, left = encode(self._sku), self._frozen
        for orders in self._orders.slices():
            if not left:
                break
            for order_id, order in orders:
                if not isinstance(order, bytes) or needle in order:
                    units = self._claimed_by(order)
                    if units:
                        claims.append((-units, order_id, order))
                        left -= units
            yield
        self.orders = len(claims)
        claims.sort(key=_by_claim)
        for some in in_slices(claims, DECODED_PER_STEP):
            if self._is_full_before(some[0]):
                break
            for _, order_id, order in some:
                self._take(order_id, order)
            if len(self.holdings) >= self._limit:
                self._keep_greatest()
            yield
        self._keep_greatest()

    def _is_full_before(self, claimed: _Claimant) -> bool:
        """Whether no sub-order of an order, nor of those after it, can be among the holdings that are kept."""
        if len(self.holdings) < self._limit:
            return False
        last = self.holdings[-1]
        return (-last.open, last.order_id) < _by_claim(claimed)

    def _keep_greatest(self) -> None:
        self.holdings.sort(key=_by_units)
        del self.holdings[self._limit :]

    def _claimed_by(self, order: OrderState | bytes) -> int:
        if isinstance(order, bytes):
            row = decode_order_head(order).claims.get(self._warehouse_id, {}).get(self._sku)
            return 0 if row is None else row[0]
        claim = order.claims.get(self._warehouse_id, {}).get(self._sku)
        return 0 if claim is None else claim.open

    def _take(self, order_id: str, order: OrderState | bytes) -> None:
        rows = unit_rows(decode_order(order) if isinstance(order, bytes) else order)
        self.holdings += [
            Holding(order_id, sub_order_id, units)
            for sub_order_id, warehouse_id, sku, units, _, _ in rows
            if units and warehouse_id == self._warehouse_id and sku == self._sku
        ]


_Claimant = tuple[int, str, OrderState | bytes]
"""Units, negative so that the greatest come first, and the order."""


def _by_claim(claimed: _Claimant) -> tuple[int, str]:
    return claimed[0], claimed[1]


def _by_units(holding: Holding) -> tuple[int, str, bool, str]:
    return -holding.open, holding.order_id, holding.sub_order_id is None, holding.sub_order_id or ""


@dataclass(slots=True)
class Census:
    """What holds now in a partition, or of one account: alerts, and dead letters that are pending.

    At most `limit` are kept of each; `alert_counts` and `dead_letters_pending` count them all.
    """

    limit: int
    alerts: list[HeldAlert] = field(default_factory=list)
    alert_counts: dict[str, int] = field(default_factory=dict)
    dead_letters: list[str] = field(default_factory=list)
    dead_letters_pending: int = 0

    def add_alert(self, alert: HeldAlert) -> None:
        """Count an alert, and keep it while there is room."""
        self.alert_counts[alert.alert] = self.alert_counts.get(alert.alert, 0) + 1
        if len(self.alerts) < self.limit:
            self.alerts.append(alert)

    def add_dead_letters(self, ids: list[str]) -> None:
        """Count dead letters, and keep them while there is room."""
        self.dead_letters_pending += len(ids)
        self.dead_letters += ids[: max(0, self.limit - len(self.dead_letters))]


class CensusTaker:
    """Takes the census: of stock in one go, of orders step by step."""

    def __init__(self, books: Books, account_id: str | None, limit: int) -> None:
        accounts = [account for account in books.accounts.values() if account_id is None or account.id == account_id]
        self.census = Census(limit)
        for flooding in books.floods.known:
            if account_id is None or flooding == account_id:
                self.census.add_alert(HeldAlert(flooding, "flooding", None, None, None, None, None))
        self._orders = [(account.id, OrdersAtOneMoment(account.orders)) for account in accounts]
        for account in accounts:
            for stock in account.all_stock():
                available = stock.available
                if available is not None and available < 0:
                    oversold = HeldAlert(account.id, "oversold", None, None, stock.warehouse, stock.sku, available)
                    self.census.add_alert(oversold)

    def steps(self) -> Iterator[None]:
        """Look at all orders, some milliseconds at a step."""
        for account_id, orders in self._orders:
            for some in orders.slices():
                for order_id, order in some:
                    self._look_at(account_id, order_id, order)
                yield

    def _look_at(self, account_id: str, order_id: str, order: OrderState | bytes) -> None:
        marks = decode_order_marks(order) if isinstance(order, bytes) else order
        if marks.dead_letters:
            self.census.add_dead_letters(marks.dead_letters)
        for alert, sub_order_id, sku in marks.alerts:
            self.census.add_alert(HeldAlert(account_id, alert, order_id, sub_order_id or None, None, sku or None, None))
