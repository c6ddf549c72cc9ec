"""The scenario's own stock books: what is really on the shelves, added up by plain arithmetic.

They are kept apart from the rules of `worker.domain` on purpose: what the worker publishes at the end is compared with
them, so they must not share its code. Beside the truth they keep what a system without sub-orders would believe, to
show what the difference costs: it books the whole order out of the warehouses it was ordered from when its first parcel
leaves, and learns nothing of parcels that come from elsewhere, or are cancelled. It gets the same counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Literal, NamedTuple


class StockKey(NamedTuple):
    """Where stock lies: one account's SKU in one warehouse."""

    account_id: str
    warehouse_id: str
    sku: str


class ShelfLevel(NamedTuple):
    """What a key ends at, in units."""

    on_hand: int
    frozen: int


class Planted(NamedTuple):
    """A difference that a count must find: `drift` = counted less expected."""

    measure: Literal["on_hand", "reserved"]
    key: StockKey
    snapshot_id: str
    drift: int


class Shelves:
    """Units on the shelves and promised to orders, by key, from an opening stock on."""

    def __init__(self, opening: Mapping[StockKey, int], uncounted: frozenset[StockKey] = frozenset()) -> None:
        """`uncounted`: keys that the opening count leaves out, though they have stock."""
        self.on_hand: Counter[StockKey] = Counter(opening)
        self.frozen: Counter[StockKey] = Counter(dict.fromkeys(opening, 0))
        self.asked: Counter[StockKey] = Counter()
        self.planted: list[Planted] = []
        self.order_level_wrong = 0
        self.order_level_checked = 0
        self._order_level: Counter[StockKey] = Counter(opening)
        self._counted: set[StockKey] = set()
        self._uncounted = uncounted

    def freeze(self, key: StockKey, units: int) -> None:
        """Promise units to an order (negative: take the promise back)."""
        self.frozen[key] += units
        self.asked[key] += max(0, units)
        self.on_hand[key] += 0

    def ship(self, key: StockKey, units: int) -> None:
        """Promised units leave."""
        self.frozen[key] -= units
        self.on_hand[key] -= units

    def ship_whole_order(self, key: StockKey, units: int) -> None:
        """The same as a system without sub-orders books it: when the first parcel leaves, for the line as ordered."""
        self._order_level[key] -= units

    def put(self, key: StockKey, units: int) -> None:
        """Units come (receipts, returns) or, negative, go (write-offs): every system books these alike."""
        self.on_hand[key] += units
        self.frozen[key] += 0
        self._order_level[key] += units
        self.asked[key] += max(0, -units)

    def keys_of(self, account_id: str, warehouse_id: str, *, opening: bool) -> list[StockKey]:
        """The keys that a count of the warehouse looks at, by SKU."""
        keys = (key for key in self.on_hand if key.account_id == account_id and key.warehouse_id == warehouse_id)
        return sorted(key for key in keys if not (opening and key in self._uncounted))

    def lose(self, snapshot_of: Mapping[str, Mapping[str, str]], random: Random, losses: int) -> None:
        """Let some units vanish without an event, just before a count that must find them.

        `snapshot_of`: the snapshot that is about to count, by account and warehouse. Only keys that were counted before
        can drift.
        """
        candidates = [
            key
            for key in sorted(self._counted)
            if self.on_hand[key] > 3 and key.warehouse_id in snapshot_of.get(key.account_id, {})
        ]
        for key in random.sample(candidates, min(losses, len(candidates))):
            lost = random.randint(1, 3)
            self.on_hand[key] -= lost
            self.planted.append(Planted("on_hand", key, snapshot_of[key.account_id][key.warehouse_id], -lost))

    def count(self, key: StockKey) -> int:
        """Count a key: what lies there. The system without sub-orders is checked against it, and corrected."""
        if key in self._counted:
            self.order_level_checked += 1
            self.order_level_wrong += self._order_level[key] != self.on_hand[key]
        self._counted.add(key)
        self._order_level[key] = self.on_hand[key]
        return self.on_hand[key]

    def levels(self) -> dict[StockKey, ShelfLevel]:
        """What every key is at now."""
        return {key: ShelfLevel(self.on_hand[key], self.frozen[key]) for key in sorted(self.on_hand)}
