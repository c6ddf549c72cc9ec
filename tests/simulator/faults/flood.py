"""A flood: so many bad records of one partition behind each other that its breaker opens, or nearly so.

Those of some floods are all of one account: where the partition knows others too, only that one is reported.

Not all of them are bad: what counts is how many of the last ones are. And the breaker need not open: a worker that
crashes in the midst of it begins to count anew.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.model.reading import ORDERS, SUB_ORDERS, partition_of
from tests.simulator.history import ACCOUNTS, Entry, moment

SHARE = 0.12
"""Of the seeds whose records need not be clean."""
ELSEWHERE = "nobody knows it"
GAPS_MS = (0, 0, 0, 1, 5, 40)


@dataclass(frozen=True)
class Flood:
    """The records, and where the breakers of that run open."""

    entries: tuple[Entry, ...]
    bad_max: int
    window: int
    unattended: bool
    """Nobody restarts who was halted by the breaker."""


def flood(seed: int, entries: Sequence[Entry], partitions: int, start_ms: int) -> Flood | None:
    """The flood of a seed, if it has one; from a stream of its own."""
    r = Random(f"flood/{seed}")
    if r.random() >= SHARE:
        return None
    bad_max = r.choice((2, 3, 4, 6))
    window = bad_max + r.choice((0, 1, 3, 6))
    bad_share = r.choice((1.0, 0.8, 0.6))
    accused = r.choice((None, None, None, *ACCOUNTS, ELSEWHERE))
    partition = r.randrange(partitions)
    at_ms = int(r.random() * max((entry.at_ms for entry in entries), default=0))
    records = []
    for index in range(len(entries), len(entries) + bad_max + r.randint(0, 2 * window)):
        at_ms += r.choice(GAPS_MS)
        key, value = _bad(r, accused) if r.random() < bad_share else _good(r, index, partition, partitions, start_ms)
        records.append(Entry(index, at_ms, at_ms, ORDERS if value else SUB_ORDERS, partition, key, value))
    return Flood(tuple(records), bad_max, window, unattended=r.random() < 0.6)


def _bad(r: Random, accused: str | None) -> tuple[bytes | None, bytes | None]:
    """A bad record of one account, or of this and that."""
    if accused is None:
        return r.choice(((b"acme", None), (None, b"{"), (b"acme", b"{}"), (b"", b'{"type": "order.exploded"}')))
    key, named_value = accused.encode(), json.dumps({"account_id": accused}).encode()
    return r.choice(((key, None), (key, b"{"), (key, named_value), (None, named_value), (b"", named_value)))


def _good(r: Random, index: int, partition: int, partitions: int, start_ms: int) -> tuple[bytes | None, bytes | None]:
    """An order of an account that lies there; a bad record, where none does."""
    at_home = [account_id for account_id in ACCOUNTS if partition_of(account_id, partitions) == partition]
    if not at_home:
        return _bad(r, None)
    body = {
        "type": "order.created",
        "account_id": r.choice(at_home),
        "event_id": f"flood {index}",
        "order_id": "flood",
        "occurred_at": moment(start_ms),
        "lines": [{"sku": "k1", "quantity": 1}],
    }
    return body["account_id"].encode(), json.dumps(body).encode()  # type: ignore[attr-defined]
