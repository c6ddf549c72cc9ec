"""What the two bare loops have in common: state in plain dicts, and what a batch writes, as bytes.

The least that a careful hand would write around a client library: levels, changelog and orders once per transaction.
There is no restore, so a restart would begin with an empty state.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tests.bench.peers.kernel import Order, Posting, decide, level, movement, stock_key

Output = tuple[str, int, bytes, bytes]
"""Topic without its prefix, partition, key and value."""

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class LoopState:
    """Orders and frozen units of all partitions, and what of them must be written."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._frozen: dict[str, int] = {}
        self._dirty_orders: dict[str, int] = {}
        self._dirty_levels: dict[str, tuple[int, str, Posting]] = {}

    def take(self, partition: int, value: bytes) -> Iterator[Output]:
        """Apply a record, and give its movements."""
        event: dict[str, Any] = _decode(value)
        account_id = event["account_id"]
        order_key = f"{account_id}/{event['order_id']}"
        order = self._orders.setdefault(order_key, {})
        for posting in decide(order, event):
            key = stock_key(account_id, posting)
            after = self._frozen.get(key, 0) + posting.delta
            self._frozen[key] = after
            self._dirty_levels[key] = (partition, account_id, posting)
            yield "stock.movements.v1", partition, account_id.encode(), _encode(movement(event, posting, after))
        self._dirty_orders[order_key] = partition

    def flush(self) -> Iterator[Output]:
        """Levels and changelog of what changed since the last flush."""
        for order_key, partition in self._dirty_orders.items():
            yield "stockfreeze.state.v1", partition, order_key.encode(), _encode(self._orders[order_key])
        for key, (partition, account_id, posting) in self._dirty_levels.items():
            frozen = self._frozen[key]
            yield "stock.levels.v1", partition, key.encode(), _encode(level(account_id, posting, frozen))
            yield "stockfreeze.state.v1", partition, key.encode(), b"%d" % frozen
        self._dirty_orders.clear()
        self._dirty_levels.clear()
