"""Adding up what is really on the shelves of the demo's story, by plain arithmetic.

The demo compares the worker's levels with these numbers at the end, so they share no code with `worker.domain`. Beside
the truth, they keep the stock of a system without sub-orders, to show its error. Such a system books the whole order
out of the ordered warehouses when the first parcel leaves. It does not see parcels from elsewhere or cancelled ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import Literal, NamedTuple


class StockKey(NamedTuple):
    """The key of stock: an account's SKU in a warehouse."""

    account_id: str
    warehouse_id: str
    sku: str


class ShelfLevel(NamedTuple):
    """The stock of a key at the end, in units."""

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
        """Ship units that were promised."""
        self.frozen[key] -= units
        self.on_hand[key] -= units

    def ship_whole_order(self, key: StockKey, units: int) -> None:
        """Book the line as ordered, as a system without sub-orders does when the first parcel leaves."""
        self._order_level[key] -= units

    def put(self, key: StockKey, units: int) -> None:
        """Add units (receipts, returns) or, negative, remove them (write-offs); every system books these alike."""
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
        """Return the stock of every key as it is now."""
        return {key: ShelfLevel(self.on_hand[key], self.frozen[key]) for key in sorted(self.on_hand)}
