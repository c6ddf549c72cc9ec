"""Facts to claims: an order's units at each stock key, and what an event changes of them. Contract section 3.

Here is also decided which SKUs are over-allocated: sub-orders hold more of them than was ordered (`_uncovered_units`).

A claim is per (warehouse, SKU). It is computed anew for the SKUs that an event touched, from facts alone, and compared
with the one before: movements are that difference, so a late, repeated or early event needs no rule of its own.

An example. An order asks for 5 units of SKU K at warehouse W; sub-order A has 2 of them and ships:

    facts                        claim at (W, K)           uncovered     movements
    order: 5 of K at W           5 open                    5 at W        freeze 5
    + A: 2 of K from W           5 open (3 + 2 of A)       3 at W        none: the claim is the same
    + A shipped                  3 open, 2 shipped         3 at W        release 2
    + the order is cancelled     2 shipped                 none          unfreeze 3

Whatever the order in which these four events come, the last claim is the same, and so are the sums of the movements.

`settle`, `differences` and `ship_directly` decide and change nothing; `replace_uncovered` and `replace_claims` do.
"""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter
from typing import Final, final

from mypy_extensions import mypyc_attr

from worker.domain.order.state import Claim, OrderState, SubOrderFacts
from worker.domain.order.taken_back import MARKED_CANCELLED, is_leaf, warehouse_of_return
from worker.domain.order.units import cancelled_when_superseded, leaf_units, located_lines, returned_units
from worker.domain.violations import InvariantViolation

StockKey = tuple[str, str]
"""Warehouse and SKU."""


@mypyc_attr(acyclic=True)
@final
class Difference:
    """What an event changed of an order's claim at a stock key; before is None where there was none."""

    __slots__ = ("after", "before", "key")

    def __init__(self, key: StockKey, before: Claim | None, after: Claim) -> None:
        self.key = key
        self.before = before
        self.after = after


@mypyc_attr(acyclic=True)
@final
class Settlement:
    """What an order's facts come to, for the SKUs asked for.

    uncovered: open units by SKU and warehouse that no sub-order covers.
    over_allocated: SKUs of which leaves hold more than was ordered.
    """

    __slots__ = ("claims", "over_allocated", "uncovered")

    def __init__(
        self, claims: dict[StockKey, Claim], uncovered: dict[str, dict[str, int]], over_allocated: Collection[str]
    ) -> None:
        self.claims = claims
        self.uncovered = uncovered
        self.over_allocated = over_allocated


_Cover = tuple[str, int, int]
"""What one sub-order has of a SKU: its warehouse, all units (cancelled ones too), and those open or shipped."""


def settle(order: OrderState, skus: Collection[str] | None) -> Settlement:
    """Compute claims, uncovered units and over-allocation of `skus` (None: all) from the facts of `order`."""
    claims: dict[StockKey, Claim] = {}
    covers: dict[str, list[_Cover]] = {}
    for sub_order in order.sub_orders.values():
        located = located_lines(order, sub_order)
        if located is None:
            continue
        warehouse, lines = located
        if skus is not None and lines.keys() != skus:
            lines = {sku: lines[sku] for sku in skus if sku in lines}
        holds = (not sub_order.children and sub_order.taken_back is None) or is_leaf(sub_order)  # most need no call
        if not holds:
            for sku, quantity in lines.items():
                cancelled = cancelled_when_superseded(order, sub_order, sku, quantity)
                covers.setdefault(sku, []).append((warehouse, cancelled, 0))
        elif lines:
            _add_leaf(order, sub_order, warehouse, lines, claims, covers)
        if sub_order.returns and holds:
            _add_returns(order, sub_order, warehouse, skus, claims)
    if order.lines is None:
        return Settlement(claims, {}, _NO_SKUS)
    return _compare_with_order(order, order.lines, skus, claims, covers)


def _compare_with_order(
    order: OrderState,
    lines: dict[str, dict[str, int]],
    skus: Collection[str] | None,
    claims: dict[StockKey, Claim],
    covers: dict[str, list[_Cover]],
) -> Settlement:
    """Complete a settlement of a placed order: what its sub-orders leave uncovered, and where they hold too much."""
    uncovered: dict[str, dict[str, int]] = {}
    over_allocated: set[str] = set()
    for sku in lines.keys() | covers.keys() if skus is None else skus:
        left = asked = lines.get(sku, _NOTHING)
        if sku in covers:
            left, is_over = _uncovered_units(asked, covers[sku])
            if is_over:
                over_allocated.add(sku)
        if left and order.cancelled_at is None:
            uncovered[sku] = dict(left)
            for warehouse, units in left.items():
                claim = claims.get((warehouse, sku))
                if claim is None:
                    claims[warehouse, sku] = Claim(units)
                else:
                    claim.open += units
    return Settlement(claims, uncovered, over_allocated)


def _add_leaf(
    order: OrderState,
    sub_order: SubOrderFacts,
    warehouse: str,
    lines: dict[str, int],
    claims: dict[StockKey, Claim],
    covers: dict[str, list[_Cover]],
) -> None:
    shipped_at = sub_order.shipped_at
    for sku, quantity, open_units, shipped, cancelled in leaf_units(order, sub_order, lines):
        live = quantity - cancelled
        if sku in covers:
            covers[sku].append((warehouse, quantity, live))
        else:
            covers[sku] = [(warehouse, quantity, live)]
        if not live:
            continue
        claim = claims.get((warehouse, sku))
        if claim is None:
            claim = claims[warehouse, sku] = Claim()
        claim.open += open_units
        if shipped and shipped_at is not None:
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
            claim = claims.setdefault((warehouse_of_return(sub_order, facts) or warehouse, sku), Claim())
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


def _uncovered_units(asked: dict[str, int], covers: list[_Cover]) -> tuple[dict[str, int], bool]:
    """Decide which units of a SKU are uncovered, by warehouse, and whether the SKU is over-allocated.

    Uncovered units were asked for and are in no leaf. A SKU is over-allocated if leaves hold more than was asked for,
    cancelled units left out. What leaves have elsewhere, or beyond what was asked, is taken off in ascending order of
    warehouse.
    """
    if len(covers) == 1 and len(asked) == 1:  # one sub-order of the SKU: no need to add up by warehouse
        ((warehouse, units, live),) = covers
        wanted = asked.get(warehouse)
        if wanted is not None:
            return ({warehouse: wanted - units} if wanted > units else {}), live > wanted
    units_at: dict[str, int] = {}
    live_at: dict[str, int] = {}
    live_units = 0
    for warehouse, units, live in covers:
        units_at[warehouse] = units_at.get(warehouse, 0) + units
        live_at[warehouse] = live_at.get(warehouse, 0) + live
        live_units += live
    excess = 0
    for warehouse, units in units_at.items():
        wanted = asked.get(warehouse)
        if wanted is None:
            excess += units
        elif live_at[warehouse] > wanted:
            excess += live_at[warehouse] - wanted
    left: dict[str, int] = {}
    for warehouse in sorted(asked) if len(asked) > 1 else asked:
        units = asked[warehouse] - units_at.get(warehouse, 0)
        if units > 0:
            if units > excess:
                left[warehouse] = units - excess
                excess = 0
            else:
                excess -= units
    return left, live_units > sum(asked.values())


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
    """How `claims` differ from those that the order has at `skus` (None: all), in order of warehouse and SKU.

    A claim that is no more leaves an empty one behind, and each new claim goes on with the moves of the one before.
    """
    changed: list[Difference] = []
    for warehouse, by_sku in order.claims.items():
        for sku in by_sku if skus is None else skus:
            if (warehouse, sku) in claims:
                continue
            before = by_sku.get(sku)
            if before is not None and not _is_empty(before):
                changed.append(Difference((warehouse, sku), before, Claim(moves=before.moves)))
    for key, after in claims.items():
        before = order.claims.get(key[0], _NO_CLAIMS).get(key[1])
        if before is not None:
            after.moves = before.moves
        if before is None or not before.asks_as(after):
            changed.append(Difference(key, before, after))
    if len(changed) > 1:
        changed.sort(key=_key_of)
    return changed


def replace_claims(order: OrderState, changed: list[Difference]) -> None:
    """Let the order's claims be what they are after `changed`."""
    for difference in changed:
        warehouse, sku = difference.key
        if warehouse in order.claims:
            order.claims[warehouse][sku] = difference.after
        else:
            order.claims[warehouse] = {sku: difference.after}


def moves_units(difference: Difference) -> bool:
    """Whether open or shipped units changed, and not only when units shipped or what came back of them."""
    before, after = difference.before, difference.after
    if before is None:
        return after.open != 0 or after.shipped != 0
    return before.open != after.open or before.shipped != after.shipped


def only_covers(order: OrderState, sub_order: SubOrderFacts) -> bool:
    """Whether a sub-order that just got its first lines takes over uncovered units, and that is all that happens.

    No claim changes then. Where it is False, `settle` must find out what happens.
    """
    lines, warehouse, uncovered = sub_order.lines, sub_order.warehouse, order.uncovered
    if not lines or warehouse is None or not _is_plain(order, sub_order) or sub_order.shipped_at is not None:
        return False
    for sku, quantity in lines.items():  # noqa: SIM110  # a generator costs every such event more
        if uncovered.get(sku, _NOTHING).get(warehouse, 0) < quantity:
            return False
    return True


def cover(order: OrderState, sub_order: SubOrderFacts) -> None:
    """Take the units of a sub-order off the uncovered ones. Only where `only_covers` holds."""
    lines, warehouse, uncovered = sub_order.lines, sub_order.warehouse, order.uncovered
    if lines is None or warehouse is None:
        raise InvariantViolation("a sub-order without lines or warehouse covers nothing")
    for sku, quantity in lines.items():
        by_warehouse = uncovered[sku]
        left = by_warehouse[warehouse] - quantity
        if left > 0:
            by_warehouse[warehouse] = left
        elif left:
            raise InvariantViolation(f"{-left} units of SKU {sku!r} more are covered than are uncovered")
        elif len(by_warehouse) > 1:
            del by_warehouse[warehouse]
        else:
            del uncovered[sku]


def ship_directly(order: OrderState, sub_order: SubOrderFacts) -> list[Difference] | None:
    """What changes where a sub-order just shipped and that is all that happens: its open units become shipped ones.

    In order of warehouse and SKU. None where it is not all: `settle` must find out what happens then.
    """
    lines, warehouse, at = sub_order.lines, sub_order.warehouse, sub_order.shipped_at
    if not lines or warehouse is None or at is None or not _is_plain(order, sub_order):
        return None
    claims = order.claims[warehouse]
    changed: list[Difference] = []
    for sku in sorted(lines) if len(lines) > 1 else lines:
        before, quantity = claims[sku], lines[sku]
        if before.open < quantity:
            raise InvariantViolation(f"{quantity} units of SKU {sku!r} ship, and {before.open} are open")
        shipments = before.shipments.copy()
        _insert(shipments, at, quantity)
        after = Claim(
            before.open - quantity, before.shipped + quantity, before.restocked, shipments, before.returns, before.moves
        )
        changed.append(Difference((warehouse, sku), before, after))
    return changed


def _is_plain(order: OrderState, sub_order: SubOrderFacts) -> bool:
    """Whether nothing was cancelled, split, returned or taken back that the sub-order's units could depend on."""
    return (
        order.cancelled_at is None
        and sub_order.taken_back is None
        and not (sub_order.cancels or sub_order.children or sub_order.returns or sub_order.marks & MARKED_CANCELLED)
    )


_key_of: Final = attrgetter("key")
_NOTHING: Final[dict[str, int]] = {}
_NO_CLAIMS: Final[dict[str, Claim]] = {}
_NO_SKUS: Final[Collection[str]] = frozenset()


def _is_empty(claim: Claim) -> bool:
    return not (claim.open or claim.shipped or claim.restocked)
