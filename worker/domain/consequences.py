"""What follows once an order's facts have changed: movements, statuses, alerts, eligibility. All of it is a difference.

What the facts came to before (claims, statuses, alerts) is kept with the order, and compared with what they come to
now. So the earlier facts are not needed again.
"""

from __future__ import annotations

from collections.abc import Collection

from schemas.state import AlertRow
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.order.archive import is_eligible, statuses_of
from worker.domain.order.claims import (
    Difference,
    cover,
    differences,
    moves_units,
    only_covers,
    replace_claims,
    replace_uncovered,
    settle,
    ship_directly,
)
from worker.domain.order.conditions import REFUSED, conditions_of, ids_of, was_computed
from worker.domain.order.state import OrderState
from worker.domain.order.statuses import leaf_mask, status_of_mask, sub_order_status
from worker.domain.order.touch import NOTHING, SHIPS, Shortcut, Touch
from worker.domain.policies import KEPT_AFTER_RETENTION_MS
from worker.domain.stock.stock import Posting, Stock, SuspectMovement
from worker.domain.violations import InvariantViolation


class Consequences:
    """Draws the consequences of an order's facts, and writes them into the books."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._out = books.out

    def draw(self, account: Account, order_id: str, order: OrderState, touch: Touch, at: int, cause: Cause) -> None:
        """Find what the touched facts come to, and write down the difference."""
        sub_orders, skus, rows_changed = touch.sub_orders, touch.skus, touch.rows
        over_allocated: Collection[str] = ()
        if skus is None or skus:
            changed = _take(touch.shortcut, order, sub_orders)
            if changed is not None:
                skus = NOTHING  # over-allocation was not computed, and cannot have changed
            else:
                settlement = settle(order, skus)
                over_allocated = settlement.over_allocated
                rows_changed |= replace_uncovered(order, settlement.uncovered, skus)
                changed = differences(order, settlement.claims, skus)
            if changed:
                replace_claims(order, changed)
                rows_changed = rows_changed or any(map(moves_units, changed))
                self._post(account, changed, at, cause)
        for sub_order_id in order.sub_orders if sub_orders is None else sub_orders:
            sub_order = order.sub_orders[sub_order_id]
            status = sub_order_status(order, sub_order)
            if status != sub_order.status:
                sub_order.status = status
                rows_changed = True
        conditions = conditions_of(order, sub_orders, over_allocated)
        if conditions or order.alerts:
            self._update_alerts(order_id, order, sub_orders, skus, conditions, cause)
        self.conclude(account, order_id, order, cause, rows_changed=rows_changed)

    def _post(self, account: Account, changed: list[Difference], at: int, cause: Cause) -> None:
        """Move the stock keys from an order's claims before to those after."""
        moves_horizon = self._books.moves_horizon(account)
        horizon = moves_horizon - KEPT_AFTER_RETENTION_MS
        for difference in changed:
            warehouse, sku = difference.key
            stock = account.stock_at(warehouse, sku)
            stock.fold(horizon)
            available = stock.available
            postings = stock.post(difference.before, difference.after)
            self._books.post(stock, postings, available, cause)
            _remember_moves(stock, difference.after.moves, postings, at, cause, moves_horizon)

    def _update_alerts(
        self,
        order_id: str,
        order: OrderState,
        sub_orders: Collection[str] | None,
        skus: Collection[str] | None,
        conditions: dict[AlertRow, str],
        cause: Cause,
    ) -> None:
        alerts = self._books.alerts
        known = set(order.alerts)  # an order may have thousands
        still: list[AlertRow] = []
        for row in order.alerts:
            if row in conditions or not was_computed(row, sub_orders, skus):
                still.append(row)
            else:
                alerts.ceased(cause, row[0], ids_of(order_id, row))
        for row, detail in conditions.items():
            if row not in known:
                still.append(row)
                alerts.began(cause, row[0], ids_of(order_id, row), detail)
        order.alerts = still

    def refuse(self, order_id: str, order: OrderState, cause: Cause, detail: str) -> None:
        """The first of the dead letters that are pending holds the order back from now on."""
        order.alerts.append(REFUSED)
        self._books.alerts.began(cause, "order_refused", ids_of(order_id, REFUSED), detail)

    def accept(self, order_id: str, order: OrderState, cause: Cause) -> None:
        """No dead letter of the order is pending any more.

        Where an older version of this program took the first of them, no alert was raised.
        """
        if REFUSED in order.alerts:
            order.alerts.remove(REFUSED)
            self._books.alerts.ceased(cause, "order_refused", ids_of(order_id, REFUSED))

    def conclude(self, account: Account, order_id: str, order: OrderState, cause: Cause, *, rows_changed: bool) -> None:
        """Status and eligibility of an order after its facts or dead letters changed.

        Raises InvariantViolation where an eligible order has open units (contract section 10, 6).
        """
        if not order.known:
            return
        mask = leaf_mask(order)
        status = status_of_mask(order, mask)
        eligible = is_eligible(order, mask)
        if eligible and any(claim.open for by_sku in order.claims.values() for claim in by_sku.values()):
            raise InvariantViolation(f"order {order_id!r} is eligible for the archive and has open units")
        if not rows_changed and status == order.status and eligible == order.eligible:
            return
        was_eligible = order.eligible
        order.status, order.eligible = status, eligible
        self._out.status_changed(cause, order)
        if eligible and not was_eligible:
            self._books.became_eligible(account, order_id, order)
            self._out.eligible(cause, order_id, statuses_of(order))
        elif was_eligible and not eligible:
            self._books.ceased_to_be_eligible()
            self._out.revoked(cause, order_id, statuses_of(order))


def _take(shortcut: Shortcut | None, order: OrderState, sub_orders: Collection[str] | None) -> list[Difference] | None:
    """What a shortcut changes of the order's claims, None where there is none to take.

    A sub-order that only covers units changes none of them: it is let cover them here.
    """
    if shortcut is None or not sub_orders:
        return None
    (sub_order_id,) = sub_orders
    sub_order = order.sub_orders[sub_order_id]
    if shortcut is SHIPS:
        return ship_directly(order, sub_order)
    if not only_covers(order, sub_order):
        return None
    cover(order, sub_order)
    return []


def _remember_moves(
    stock: Stock, moves: list[int], postings: list[Posting], at: int, cause: Cause, horizon: int
) -> None:
    """Keep what a count's `reserved` is compared with, and what its drift may be put down to.

    `moves` are those of the order, with the key's claim. Such up to `horizon` need not be remembered.
    """
    if moves and moves[0] <= horizon:  # the oldest in most cases; a late one behind it waits its turn
        moves[:] = [number for i in range(0, len(moves), 2) if moves[i] > horizon for number in moves[i : i + 2]]
    for posting in postings:
        frozen_delta = posting.frozen_delta
        if frozen_delta and at > horizon:
            moves.append(at)
            moves.append(frozen_delta)
            stock.remember_move(at, frozen_delta, horizon)
        if cause.order_id is not None:
            quantity = abs(posting.quantity)
            stock.remember_suspect(SuspectMovement(at, quantity, posting.movement, cause.order_id, cause.sub_order_id))
