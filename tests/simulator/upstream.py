"""Inputs that come in transactions: what their producers do is drawn here, and done to the cluster.

A transaction holds back all that lies behind it in its inputs until it is over. If it is aborted, by its producer or by
the broker that waited too long for it, what was written in it lies there and does not count. So that nobody can read it
unnoticed it would change levels: events as those of the history with other quantities, and orders that nobody placed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any

from tests.model import reading
from tests.model.reading import ORDERS, Refusal
from tests.property.drafts import ORDER_IDS, SKUS
from tests.simulator.history import ACCOUNTS, Entry, moment
from tests.simulator.kafka.cluster import Cluster
from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.record_batch import Sequence as Place
from tests.simulator.kafka.record_batch import batch_of

SHARE = 0.35
"""Of the seeds."""
TRANSACTIONS_MAX = 3
UNSEEN_MAX = 4
OPEN_MS = (10, 10, 200, 1000, 3000, 5000)
TIMEOUT_MS = (500, 1500, 3000)
NEVER_MS = 600_000
CARRIED_SHARE = 0.7
RETRY_SECONDS = 0.05


class Ending(StrEnum):
    """What becomes of a transaction."""

    COMMIT = "is committed"
    ABORT = "is aborted"
    EXPIRE = "is left open until the broker aborts it"


@dataclass(frozen=True)
class Unseen:
    """A record of a transaction that is aborted: no reader may see it."""

    topic: str
    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True)
class InputTransaction:
    """A transaction of an upstream producer; `sources` are topic and partition of all that is written in it."""

    index: int
    begins_ms: int
    open_ms: int
    """How long its producer takes, or how long the broker waits for it."""
    ending: Ending
    sources: frozenset[tuple[str, int]]
    carried: frozenset[int] = frozenset()
    """Entries that are written in it, if it is open then."""
    unseen: tuple[Unseen, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(f"{topic}/{number}" for topic, number in sorted(self.sources))
        when = f"begins at {self.begins_ms / 1000:.2f} s and {self.ending} {self.open_ms / 1000:.2f} s later"
        return f"t{self.index}: a transaction in {where} {when}, with {len(self.unseen)} records that nobody may see"


def input_transactions(seed: int, entries: Sequence[Entry], partitions: int, start_ms: int) -> list[InputTransaction]:
    """The transactions of a seed, from a stream of their own: the other draws are what they are without them."""
    r = Random(f"upstream/{seed}")
    if r.random() >= SHARE:
        return []
    until_ms = max((entry.at_ms for entry in entries), default=0) + 500
    drawn = sorted(int(r.random() * until_ms) for _ in range(r.randint(1, TRANSACTIONS_MAX)))
    if r.random() < 0.3:
        drawn[0] = 0  # before anything else is there
    return [_drawn(r, index, at_ms, entries, partitions, start_ms) for index, at_ms in enumerate(drawn)]


def _drawn(
    r: Random, index: int, begins_ms: int, entries: Sequence[Entry], partitions: int, start_ms: int
) -> InputTransaction:
    ending = r.choice((Ending.COMMIT, Ending.ABORT, Ending.ABORT, Ending.EXPIRE))
    open_ms = r.choice(TIMEOUT_MS if ending is Ending.EXPIRE else OPEN_MS)
    if ending is not Ending.COMMIT:
        names = [f"{index}.{number}" for number in range(r.randint(1, UNSEEN_MAX))]
        unseen = tuple(_unseen(r, name, entries, partitions, start_ms) for name in names)
        sources = frozenset((record.topic, record.partition) for record in unseen)
        return InputTransaction(index, begins_ms, open_ms, ending, sources, unseen=unseen)
    meanwhile = [entry for entry in entries if begins_ms < entry.at_ms < begins_ms + open_ms]
    carried = [entry for entry in meanwhile if r.random() < CARRIED_SHARE]
    sources = frozenset((entry.topic, entry.partition) for entry in carried) or frozenset({(ORDERS, 0)})
    return InputTransaction(
        index, begins_ms, open_ms, ending, sources, carried=frozenset(entry.index for entry in carried)
    )


def _unseen(r: Random, name: str, entries: Sequence[Entry], partitions: int, start_ms: int) -> Unseen:
    readable = [entry for entry in entries if _counts(entry, partitions)]
    if not readable or r.random() < 0.4:
        account_id = r.choice(ACCOUNTS)
        body: dict[str, Any] = {
            "type": "order.created",
            "account_id": account_id,
            "event_id": f"unseen {name}",
            "occurred_at": moment(start_ms),
            "order_id": r.choice((f"unseen {name}", ORDER_IDS[0])),
            "lines": [{"sku": r.choice(SKUS), "quantity": r.randint(1, 9)}],
        }
        return Unseen(ORDERS, reading.partition_of(account_id, partitions), account_id.encode(), _encoded(body))
    entry = r.choice(readable)
    body = _otherwise(r, json.loads(entry.value or b""))
    if r.random() < 0.7:
        # Else the event itself is in conflict with this one, where it was read before.
        body["event_id"] = f"unseen {name}"
    return Unseen(entry.topic, entry.partition, entry.key or b"", _encoded(body))


def _counts(entry: Entry, partitions: int) -> bool:
    """Whether an entry is an event that its account may have sent."""
    try:
        event = reading.read(entry.topic, entry.value)
    except Refusal:
        return False
    account_id = event["account_id"]
    return entry.key == account_id.encode() and reading.partition_of(account_id, partitions) == entry.partition


def _otherwise(r: Random, document: Any) -> Any:  # noqa: ANN401 -- whatever JSON has
    """The same with other quantities."""
    if isinstance(document, list):
        return [_otherwise(r, one) for one in document]
    if not isinstance(document, dict):
        return document
    more = r.randint(1, 5)
    return {
        name: value + more if name in ("quantity", "on_hand", "delta") and value != -more else _otherwise(r, value)
        for name, value in document.items()
    }


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


class Writing:
    """A transaction while it is written: it goes the way of all transactions, through the coordinator and its log.

    The producer itself cannot fail: it waits for a node that does not answer.
    """

    def __init__(
        self,
        cluster: Cluster,
        transactional_id: str,
        sources: frozenset[tuple[str, int]],
        timeout_ms: int,
        opened: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._id = transactional_id
        self._sources = sources
        self._opened = opened
        self._producer_id = self._epoch = -1
        self._sequences = dict.fromkeys(sources, 0)
        self.is_open = False
        """Whether records can be written in it."""
        self._ended = False
        cluster.transactions.init_producer_id(transactional_id, timeout_ms, self._given)

    def _given(self, code: Code, producer_id: int, epoch: int) -> None:
        assert code is Code.NONE, code
        self._producer_id, self._epoch = producer_id, epoch
        self._cluster.transactions.add_partitions(self._id, producer_id, epoch, set(self._sources), self._added)

    def _added(self, code: Code) -> None:
        assert code is Code.NONE, code
        self.is_open = True
        self._opened()

    def append(
        self, topic: str, partition: int, key: bytes | None, value: bytes | None, headers: Sequence[Any], at_ms: int
    ) -> int:
        """Write a record, and give its offset; -1: the broker has given the transaction up."""
        source = (topic, partition)
        log = self._cluster.logs[topic][partition]
        if not log.in_transaction(self._producer_id, self._epoch):
            code = self._cluster.transactions.verify(self._id, self._producer_id, self._epoch, source)
            if code is not Code.NONE:
                return -1
        place = Place(self._producer_id, self._epoch, self._sequences[source], self._sequences[source])
        code, offset = log.append(batch_of(key, value, list(headers), at_ms, place))
        if code is Code.NONE:
            self._sequences[source] += 1
        return offset

    def end(self, *, commit: bool) -> None:
        """Decide it, as soon as it can be."""

        def answered(code: Code) -> None:
            if code is Code.CONCURRENT_TRANSACTIONS:
                self._cluster.loop.later(RETRY_SECONDS, lambda: self.end(commit=commit))

        if not self.is_open and not self._ended:
            self._cluster.loop.later(RETRY_SECONDS, lambda: self.end(commit=commit))
            return
        self.is_open, self._ended = False, True
        self._cluster.transactions.end(self._id, self._producer_id, self._epoch, commit=commit, reply=answered)
