"""Levels of an account, and the movements between two of its pictures (contract section 5).

`Stock` is what one account's orders, adjustments and counts come to at every (warehouse_id, sku), as plain sums.
Movements are the difference of two of them, made by one event.

Choices where the contract leaves room:
- A key that has no count and nothing frozen has a level that was never written: null on hand, frozen 0.
- When shipped (or restocked) units change and other units of the same key are re-dated by the same event, the one
  `release` (or `restock`) carries it all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.model.units import Flow, Picture

Key = tuple[str, str]


class Version(NamedTuple):
    """Which of two counts of a key is the greater."""

    as_of: int
    origin: str
    snapshot_id: str
    part: int


class Count(NamedTuple):
    version: Version
    on_hand: int


@dataclass
class Sums:
    """Of one key. Effects are what flows after the count do to on_hand; 0 where there is no count."""

    count: Count | None = None
    open: int = 0
    shipped: int = 0
    restocked: int = 0
    shipped_effect: int = 0
    restocked_effect: int = 0
    adjusted_effect: int = 0
    transferred_effect: int = 0

    @property
    def on_hand(self) -> int | None:
        if self.count is None:
            return None
        effects = self.shipped_effect, self.restocked_effect, self.adjusted_effect, self.transferred_effect
        return self.count.on_hand + sum(effects)

    @property
    def available(self) -> int | None:
        return None if self.on_hand is None else self.on_hand - self.open

    def level(self, buffer: int) -> dict[str, Any]:
        available = self.available
        return {
            "on_hand": self.on_hand,
            "frozen": self.open,
            "available": available,
            "publishable": None if available is None else max(0, available - buffer),
            "as_of": None if self.count is None else self.count.version.as_of,
        }


NOTHING = Sums()


@dataclass
class Ground:
    """What an account's stock follows from. `past` are flows of orders that left the state."""

    orders: dict[str, Picture] = field(default_factory=dict)
    past_shipments: list[Flow] = field(default_factory=list)
    past_restocks: list[Flow] = field(default_factory=list)
    adjustments: list[Flow] = field(default_factory=list)
    transfers: list[Flow] = field(default_factory=list)
    """The halves of all transfers; those that leave are negative."""
    counts: dict[Key, Count] = field(default_factory=dict)

    def shipments(self) -> list[Flow]:
        return [*self.past_shipments, *(flow for order in self.orders.values() for flow in order.shipments)]

    def restocks(self) -> list[Flow]:
        return [*self.past_restocks, *(flow for order in self.orders.values() for flow in order.restocks)]

    def has_counted(self, flow: Flow) -> bool:
        """Whether the count of a flow's key has it already."""
        count = self.counts.get((flow.warehouse_id, flow.sku))
        return count is not None and flow.at <= count.version.as_of

    def flows_between(self, key: Key, after: int, until: int) -> int:
        """What shipments, restocks, adjustments and transfers in (after, until] did to a key."""

        def within(flows: Iterable[Flow]) -> int:
            return sum(f.quantity for f in flows if (f.warehouse_id, f.sku) == key and after < f.at <= until)

        others = within(self.adjustments) + within(self.transfers)
        return within(self.restocks()) + others - within(self.shipments())

    def stock(self) -> dict[Key, Sums]:
        stock: dict[Key, Sums] = defaultdict(Sums)
        for key, count in self.counts.items():
            stock[key].count = count
        for picture in self.orders.values():
            for row in picture.rows:
                stock[row.warehouse_id, row.sku].open += row.open
        for flow in self.shipments():
            sums = stock[flow.warehouse_id, flow.sku]
            sums.shipped += flow.quantity
            sums.shipped_effect -= flow.quantity if _after(flow, sums.count) else 0
        for flow in self.restocks():
            sums = stock[flow.warehouse_id, flow.sku]
            sums.restocked += flow.quantity
            sums.restocked_effect += flow.quantity if _after(flow, sums.count) else 0
        for flow in self.adjustments:
            sums = stock[flow.warehouse_id, flow.sku]
            sums.adjusted_effect += flow.quantity if _after(flow, sums.count) else 0
        for flow in self.transfers:
            sums = stock[flow.warehouse_id, flow.sku]
            sums.transferred_effect += flow.quantity if _after(flow, sums.count) else 0
        return dict(stock)


def _after(flow: Flow, count: Count | None) -> bool:
    return count is not None and flow.at > count.version.as_of


def movements(before: dict[Key, Sums], after: dict[Key, Sums]) -> list[dict[str, Any]]:
    """The journal entries of one event, without the envelope and the ids of its order."""
    entries = []
    for key in sorted({*before, *after}):
        entries += _of_key(key, before.get(key, NOTHING), after.get(key, NOTHING))
    return entries


def _of_key(key: Key, old: Sums, new: Sums) -> list[dict[str, Any]]:
    if old.count != new.count:
        steps = [("count", (new.on_hand or 0) - (old.on_hand or 0), 0, (new.on_hand or 0) - (old.on_hand or 0))]
    else:
        steps = _steps(old, new)
    entries = []
    on_hand, frozen = old.on_hand or 0, old.open
    counted = new.count is not None
    for movement, quantity, frozen_delta, on_hand_delta in steps:
        on_hand += on_hand_delta
        frozen += frozen_delta
        if quantity or (movement == "count" and old.count is None):
            entries.append(
                {
                    "movement": movement,
                    "warehouse_id": key[0],
                    "sku": key[1],
                    "quantity": quantity,
                    "frozen_delta": frozen_delta,
                    "on_hand_delta": on_hand_delta,
                    "on_hand": on_hand if counted else None,
                    "frozen": frozen,
                    "available": on_hand - frozen if counted else None,
                }
            )
    assert (on_hand, frozen) == (new.on_hand or 0, new.open), (
        f"the movements of {key} do not lead from one picture to the other"
    )
    return entries


def _steps(old: Sums, new: Sums) -> list[tuple[str, int, int, int]]:
    """(movement, quantity, frozen_delta, on_hand_delta) in the order of the contract's table."""
    shipped = new.shipped - old.shipped
    claimed = new.open - old.open + shipped
    restocked = new.restocked - old.restocked
    by_shipments = new.shipped_effect - old.shipped_effect
    by_returns = new.restocked_effect - old.restocked_effect
    adjusted = new.adjusted_effect - old.adjusted_effect
    adjusted += 0 if shipped else by_shipments
    adjusted += 0 if restocked else by_returns
    transferred = new.transferred_effect - old.transferred_effect
    return [
        ("adjust", adjusted, 0, adjusted),
        ("transfer", transferred, 0, transferred),
        ("freeze", max(0, claimed), max(0, claimed), 0),
        ("release", shipped, -shipped, by_shipments if shipped else 0),
        ("unfreeze", max(0, -claimed), -max(0, -claimed), 0),
        ("restock", restocked, 0, by_returns if restocked else 0),
    ]
