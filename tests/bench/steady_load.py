"""An endless day at a large marketplace, for benchmarks: events as bytes, made fast and the same for a seed.

Orders of one to five lines, 70 % of which name their warehouse; each is handed out to one or two sub-orders, which get
a label, ship and are delivered. Lives overlap, so that many orders are open at any moment. No counts: stock is counted,
where a benchmark wants it, by `opening_counts`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

from schemas.topics import Topic
from worker.demo.retail import WAREHOUSES
from worker.demo.schedule import rfc3339, seeded

OPEN_ORDERS = 200
"""How many orders live at the same time."""
COUNTS_MAX = 500

_LINES_WEIGHTS = (40, 30, 15, 10, 5)


class LoadRecord(NamedTuple):
    """One record: what it is, and its bytes."""

    topic: Topic
    key: bytes
    value: bytes


def opening_counts(
    accounts: Sequence[str], skus: int, *, as_of_ms: int, on_hand: int = 1_000_000
) -> Iterator[LoadRecord]:
    """A complete count of every warehouse of the accounts, so that all levels are known before the load begins."""
    for account_id in accounts:
        for warehouse_id in ("default", *WAREHOUSES):
            parts = [range(first, min(first + COUNTS_MAX, skus)) for first in range(0, skus, COUNTS_MAX)]
            for part, numbers in enumerate(parts, 1):
                value = {
                    "type": "stock.counted",
                    "event_id": f"opening-{warehouse_id}-{part}",
                    "account_id": account_id,
                    "occurred_at": rfc3339(as_of_ms),
                    "as_of": rfc3339(as_of_ms),
                    "origin": "erp",
                    "snapshot_id": "opening",
                    "part": part,
                    "parts": len(parts),
                    "warehouse_id": warehouse_id,
                    "counts": [{"sku": f"sku-{number:05d}", "on_hand": on_hand} for number in numbers],
                }
                yield LoadRecord(Topic.STOCK, account_id.encode(), json.dumps(value, separators=(",", ":")).encode())


def steady_load(
    n_events: int, *, accounts: Sequence[str], skus: int, start_ms: int, seed: int = 1, step_ms: int = 1
) -> Iterator[LoadRecord]:
    """`n_events` events, one every `step_ms` from `start_ms` on, of about 234 bytes each.

    The events of an order come in their order. The last orders of the load are not finished.
    """
    random = seeded(f"{seed}/load")
    lives: list[Iterator[LoadRecord]] = []
    number = 0
    for position in range(n_events):
        moment = rfc3339(start_ms + position * step_ms)
        while True:
            if len(lives) < OPEN_ORDERS:
                lives.append(_Order(random, number, accounts, skus).live())
                number += 1
                slot = len(lives) - 1
            else:
                slot = random.randrange(OPEN_ORDERS)
            record = next(lives[slot], None)
            if record is not None:
                yield record._replace(value=record.value % moment.encode())
                break
            lives[slot] = lives[-1]
            lives.pop()


class _Order:
    """One order of the load; its records have a `%s` where the time belongs."""

    def __init__(self, random: Random, number: int, accounts: Sequence[str], skus: int) -> None:
        self._random = random
        self._account = accounts[number % len(accounts)]
        self._order_id = f"{number:08d}-{random.randrange(10_000):04d}"
        count = random.choices((1, 2, 3, 4, 5), _LINES_WEIGHTS)[0]
        self._skus = [f"sku-{random.randrange(skus):05d}" for _ in range(count)]
        self._told = 0

    def live(self) -> Iterator[LoadRecord]:
        warehouse = self._random.choice(WAREHOUSES) if self._random.random() < 0.7 else None
        named = f',"warehouse_id":"{warehouse}"' if warehouse else ""
        quantities = [self._random.randint(1, 5) for _ in self._skus]
        lines = [f'{{"sku":"{sku}","quantity":{n}' for sku, n in zip(self._skus, quantities, strict=True)]
        yield self._record(Topic.ORDERS, "order.created", f'"lines":[{",".join(line + named + "}" for line in lines)}]')
        cut = self._random.randrange(1, len(lines)) if len(lines) > 1 and self._random.random() < 0.5 else len(lines)
        parts = [part for part in (lines[:cut], lines[cut:]) if part]
        subs = [f'"sub_order_id":"{self._order_id}-{number}"' for number in range(1, len(parts) + 1)]
        for sub, part in zip(subs, parts, strict=True):
            given = f'{sub},"warehouse_id":"{warehouse or "default"}","lines":[{",".join(line + "}" for line in part)}]'
            yield self._record(Topic.SUB_ORDERS, "sub_order.created", given)
        for kind in ("label_issued", "shipped", "delivered"):
            for sub in subs:
                tracking = (
                    "" if kind == "delivered" else f',"tracking_number":"TN{self._random.randrange(10**10):010d}"'
                )
                yield self._record(Topic.SUB_ORDERS, f"sub_order.{kind}", sub + tracking)

    def _record(self, topic: Topic, kind: str, given: str) -> LoadRecord:
        self._told += 1
        common = f'"type":"{kind}","event_id":"{self._order_id}/{self._told:02d}","account_id":"{self._account}"'
        value = f'{{{common},"order_id":"{self._order_id}","occurred_at":"%s",{given}}}'
        return LoadRecord(topic, self._account.encode(), value.encode())
