"""Facts to claims: what an order asks of each stock key, and what an event changes of that. Contract section 3.

A claim is per (warehouse, SKU). It is computed anew for the SKUs that an event touched, from facts alone, and compared
with the one before: movements are that difference, so a late, repeated or early event needs no rule of its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from schemas.state import Claim, OrderState, SubOrderFacts
from worker.domain.facts import shipped_at_of
from worker.domain.units import cancelled_when_superseded, leaf_units, located_lines, returned_units

StockKey = tuple[str, str]
"""Warehouse and SKU."""


class Difference(NamedTuple):
    """What an event changed of an order's claim at a stock key; before is None where there was none."""

    key: StockKey
    before: Claim | None
    after: Claim


class Settlement(NamedTuple):
    """What an order's facts come to, for the SKUs asked for.

    uncovered: open units by SKU and warehouse that no sub-order covers.
    over_allocated: SKUs of which leaves hold more than was ordered.
    """

    claims: dict[StockKey, Claim]
    uncovered: dict[str, dict[str, int]]
    over_allocated: set[str]


class _Coverage:
    """What the sub-orders have of one SKU, by warehouse.

    all: units of leaves, whatever became of them, and what superseded ones cancelled. live: those open or shipped.
    """

    __slots__ = ("all", "live")

    def __init__(self) -> None:
        self.all: dict[str, int] = {}
        self.live: dict[str, int] = {}

    def add(self, warehouse: str, units: int, live: int) -> None:
        self.all[warehouse] = self.all.get(warehouse, 0) + units
        self.live[warehouse] = self.live.get(warehouse, 0) + live


def settle(order: OrderState, skus: Collection[str] | None) -> Settlement:
    """Compute claims, uncovered units and over-allocation of `skus` (None: all) from the facts of `order`."""
    claims: dict[StockKey, Claim] = {}
    coverage: dict[str, _Coverage] = {}
    for sub_order in order.sub_orders.values():
        located = located_lines(order, sub_order)
        if located is None:
            continue
        warehouse, lines = located
        if skus is not None:
            lines = {sku: lines[sku] for sku in skus if sku in lines}
        if sub_order.children:
            for sku, quantity in lines.items():
                cancelled = cancelled_when_superseded(order, sub_order, sku, quantity)
                coverage.setdefault(sku, _Coverage()).add(warehouse, cancelled, 0)
        else:
            _add_leaf(order, sub_order, warehouse, lines, claims, coverage)
            if sub_order.returns:
                _add_returns(order, sub_order, warehouse, skus, claims)
    uncovered, over_allocated = _uncover(order, skus, coverage)
    for sku, by_warehouse in uncovered.items():
        for warehouse, units in by_warehouse.items():
            _claim(claims, warehouse, sku).open += units
    return Settlement(claims, uncovered, over_allocated)


def _claim(claims: dict[StockKey, Claim], warehouse: str, sku: str) -> Claim:
    claim = claims.get((warehouse, sku))
    if claim is None:
        claim = claims[warehouse, sku] = Claim()
    return claim


def _add_leaf(
    order: OrderState,
    sub_order: SubOrderFacts,
    warehouse: str,
    lines: dict[str, int],
    claims: dict[StockKey, Claim],
    coverage: dict[str, _Coverage],
) -> None:
    shipped_at = shipped_at_of(sub_order)
    for sku, quantity in lines.items():
        open_units, shipped, _ = leaf_units(order, sub_order, sku, quantity)
        covered = coverage.get(sku)
        if covered is None:
            covered = coverage[sku] = _Coverage()
        covered.add(warehouse, quantity, open_units + shipped)
        if open_units:
            _claim(claims, warehouse, sku).open += open_units
        if shipped and shipped_at is not None:
            claim = _claim(claims, warehouse, sku)
            claim.shipped += shipped
            _insert(claim.shipments, shipped_at, shipped)


def _add_returns(
    order: OrderState,
    sub_order: SubOrderFacts,
    warehouse: str,
    skus: Collection[str] | None,
    claims: dict[StockKey, Claim],
) -> None:
    for facts, sku, units, _ in returned_units(order, sub_order):
        if units and facts.restock and facts.returned_at is not None and (skus is None or sku in skus):
            claim = _claim(claims, facts.warehouse or warehouse, sku)
            claim.restocked += units
            _insert(claim.returns, facts.returned_at, units)


def _insert(flat: list[int], at: int, units: int) -> None:
    """Add `units` at a time to a flat, ascending list of times and units."""
    index = len(flat)
    while index and flat[index - 2] > at:
        index -= 2
    if index and flat[index - 2] == at:
        flat[index - 1] += units
    else:
        flat[index:index] = (at, units)


def _uncover(
    order: OrderState, skus: Collection[str] | None, coverage: dict[str, _Coverage]
) -> tuple[dict[str, dict[str, int]], set[str]]:
    if order.lines is None:
        return {}, set()
    uncovered: dict[str, dict[str, int]] = {}
    over_allocated: set[str] = set()
    for sku in order.lines.keys() | coverage.keys() if skus is None else skus:
        asked = order.lines.get(sku, {})
        covered = coverage.get(sku)
        if covered is not None and sum(covered.live.values()) > sum(asked.values()):
            over_allocated.add(sku)
        if asked and order.cancelled_at is None:
            left = asked if covered is None else _uncovered_units(asked, covered)
            if left:
                uncovered[sku] = dict(left)
    return uncovered, over_allocated


def _uncovered_units(asked: dict[str, int], covered: _Coverage) -> dict[str, int]:
    """Units of a SKU that no leaf has, by warehouse.

    What leaves have elsewhere, or beyond what was asked, is taken off in ascending order of warehouse.
    """
    excess = sum(units for warehouse, units in covered.all.items() if warehouse not in asked)
    excess += sum(max(0, live - asked[warehouse]) for warehouse, live in covered.live.items() if warehouse in asked)
    left: dict[str, int] = {}
    for warehouse in sorted(asked):
        units = max(0, asked[warehouse] - covered.all.get(warehouse, 0))
        taken = min(units, excess)
        excess -= taken
        if units > taken:
            left[warehouse] = units - taken
    return left


def replace_uncovered(order: OrderState, uncovered: dict[str, dict[str, int]], skus: Collection[str] | None) -> bool:
    """Replace the order's uncovered units at `skus` (None: all); return whether they changed."""
    if skus is None:
        changed = order.uncovered != uncovered
        order.uncovered = uncovered
        return changed
    changed = False
    for sku in skus:
        if order.uncovered.get(sku) != uncovered.get(sku):
            changed = True
            if sku in uncovered:
                order.uncovered[sku] = uncovered[sku]
            else:
                del order.uncovered[sku]
    return changed


def differences(order: OrderState, claims: dict[StockKey, Claim], skus: Collection[str] | None) -> list[Difference]:
    """Replace the order's claims at `skus` by `claims`; return what changed, in order of warehouse and SKU."""
    changed = [
        Difference((warehouse, sku), before, claims.get((warehouse, sku), Claim()))
        for warehouse, by_sku in order.claims.items()
        for sku, before in _of(by_sku, skus)
        if not _same(before, claims.get((warehouse, sku)))
    ]
    for key, after in claims.items():
        if key[1] not in order.claims.get(key[0], ()):
            changed.append(Difference(key, None, after))
    changed.sort(key=lambda difference: difference.key)
    for (warehouse, sku), before, after in changed:
        if before is not None:
            after.moves = before.moves
        order.claims.setdefault(warehouse, {})[sku] = after
    return changed


def _of(by_sku: dict[str, Claim], skus: Collection[str] | None) -> Iterable[tuple[str, Claim]]:
    return by_sku.items() if skus is None else [(sku, by_sku[sku]) for sku in skus if sku in by_sku]


def _same(before: Claim, after: Claim | None) -> bool:
    if after is None:
        return not (before.open or before.shipped or before.restocked)
    return (
        before.open == after.open
        and before.shipped == after.shipped
        and before.restocked == after.restocked
        and before.shipments == after.shipments
        and before.returns == after.returns
    )
