"""A small, nasty input history from a seed: what the worker is sent while the world around it fails.

What happens is drawn by the drafts of the property tests, whose alphabets are so small that everything collides. Here
it is spread over partitions and accounts, comes in bursts, late and out of order, and is repeated, spoilt, replayed and
discarded. An entry that is about another one names it by its index and not by its offset: so any entry can be left out
when a failing history is made smaller.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.model import reading
from tests.model.reading import COMMANDS, DAY_MS, HOUR_MS, MINUTE_MS
from tests.property.drafts import MINUTES, ORDER_IDS, SKUS, SUB_ORDER_IDS, Draft, Menu, draft

ACCOUNTS = ("acme", "bolt/ü", "cléo")
STRANGERS = tuple(f"stranger {number}" for number in range(20))
"""Accounts that turn up in the partition of another."""
NEVER_WRITTEN = 9_999
"""The offset that a reference to a left-out entry gets."""
BURSTS_MS = (0, 0, 0, 1, 5, 40, 150, 400, 900)
"""How long after the entry before an entry is appended."""


@dataclass(frozen=True)
class Entry:
    """An input record to append `at_ms` after the beginning; its timestamp is counted from the beginning, too.

    `replay_of` and `discards` are indexes of other entries.
    """

    index: int
    at_ms: int
    timestamp_ms: int
    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    replay_of: int | None = None
    discards: int | None = None

    def sent(self, ids: Mapping[int, str], default_id: str) -> tuple[bytes | None, tuple[tuple[str, bytes], ...]]:
        """Value and headers, with references resolved: `ids` has the dead letter id of each entry sent so far."""
        headers = self.headers
        if self.replay_of is not None:
            headers = (*headers, ("replay-of", ids.get(self.replay_of, default_id).encode()))
        if self.discards is None or self.value is None:
            return self.value, headers
        return self.value.replace(b"@ID@", json.dumps(ids.get(self.discards, default_id))[1:-1].encode()), headers


@dataclass(frozen=True)
class Menus:
    """What a history may have, drawn from the seed."""

    partitions: int
    drafts: int
    menu: Menu
    begins_ms: int = 0
    """When the first entry may be appended."""


@dataclass
class _HistoryWriter:
    r: Random
    partitions: int
    start_ms: int
    jumping: bool
    entries: list[Entry] = field(default_factory=list)
    bodies: list[dict[str, Any] | None] = field(default_factory=list)
    spoilt: list[int] = field(default_factory=list)
    at_ms: int = 0
    jumped_ms: int = 0
    jumps: int = 0

    def write(self, drafted: Draft) -> None:
        match drafted.act:
            case "jump":
                self.jumped_ms += drafted.index * DAY_MS
                self.jumps += 1
            case "say":
                self._say(drafted)
            case "settle":
                self._settle((drafted.body or {})["order_id"])
            case _:
                if self.entries:
                    self._about(drafted)

    def _say(self, drafted: Draft) -> None:
        body = dict(drafted.body or {})
        base_ms = self.start_ms + (0 if drafted.old else self.jumped_ms)
        for name in ("occurred_at", "as_of"):
            if name in body:
                body[name] = moment(base_ms + (body[name] - MINUTES) * MINUTE_MS)
        if not body["event_id"].startswith("x"):
            body["event_id"] += str(len(self.entries))
        if "snapshot_id" in body and not drafted.old:
            body["snapshot_id"] += f".{self.jumps}"
        if "counts" in body and self.jumping:
            # `reserved` is compared only while no order since may have left by retention, as the model does not know.
            body["counts"] = [{name: count[name] for name in ("sku", "on_hand")} for count in body["counts"]]
        body["account_id"] = self.r.choice(ACCOUNTS)
        if drafted.fault is None:
            self._put(drafted.topic, body, back_ms=drafted.back_ms)
        else:
            self._spoil(drafted.topic, body, drafted.fault, base_ms)

    def _settle(self, order_id: str) -> None:
        """What an order needs to be eligible: placed, all delivered."""
        account_id = self.r.choice(ACCOUNTS)
        at = moment(self.start_ms + self.jumped_ms)
        common = {"account_id": account_id, "order_id": order_id, "occurred_at": at}
        placed = {**common, "event_id": f"z{len(self.entries)}", "type": "order.created"}
        self._put(reading.ORDERS, {**placed, "lines": [{"sku": SKUS[0], "quantity": 1}]})
        for sub_order_id in SUB_ORDER_IDS:
            delivered = {**common, "type": "sub_order.delivered", "sub_order_id": sub_order_id}
            self._put(reading.SUB_ORDERS, {**delivered, "event_id": f"z{len(self.entries)}"})

    def _about(self, drafted: Draft) -> None:
        """Something about an earlier entry: the first candidates are those that were spoilt."""
        candidates = self.spoilt if drafted.act in ("replay", "mend", "discard") else []
        chosen = (candidates or list(range(len(self.entries))))[drafted.index % len(candidates or self.entries)]
        entry, body = self.entries[chosen], self.bodies[chosen]
        first = chosen if entry.replay_of is None else entry.replay_of
        match drafted.act:
            case "repeat":
                self._append(entry, body, replay_of=entry.replay_of)
            case "replay":
                self._append(entry, body, replay_of=first)
            case "conflict" if body is not None and body["type"] != "stock.counted":
                other = {**body, "occurred_at": moment(self.start_ms + drafted.index % 7 * MINUTE_MS)}
                self.spoilt.append(len(self.entries))
                self._put(entry.topic, other)
            case "mend" if body is not None:
                self._put(entry.topic, body, replay_of=first)
            case "discard":
                account_id = ACCOUNTS[0] if body is None else body["account_id"]
                order_id = ORDER_IDS[0] if body is None else body.get("order_id", ORDER_IDS[0])
                at = moment(self.start_ms)
                command = {"type": "dead_letter.discarded", "account_id": account_id, "occurred_at": at}
                event_id = f"d{len(self.entries)}"
                self._put(
                    COMMANDS,
                    {**command, "event_id": event_id, "order_id": order_id, "dead_letter_id": "@ID@"},
                    discards=first,
                )
            case _:
                pass  # there is nothing in the entry that it could be about

    def _spoil(self, topic: str, body: dict[str, Any], fault: str, base_ms: int) -> None:
        key: bytes | None = body["account_id"].encode()
        value: bytes | None
        partition = self._partition(body["account_id"])
        match fault:
            case "none":
                value = None
            case "not json":
                value = b'{"order_id": "o1"'
            case "nan":
                value = json.dumps({**body, "extra": float("nan")}).encode()
            case "type":
                value = json.dumps({**body, "type": "order.exploded"}).encode()
            case "lines":
                bad = {"lines": [], "counts": 7, "delta": 0, "occurred_at": "today"}
                value = json.dumps({**body, **bad}).encode()
            case "key":
                key, value = b"", json.dumps(body).encode()
            case "account":
                lost = [name for name in STRANGERS if self._partition(name) != partition]
                stranger = lost[0] if lost else body["account_id"]
                key, value = stranger.encode(), json.dumps({**body, "account_id": stranger}).encode()
            case "future":
                value = json.dumps({**body, "occurred_at": moment(base_ms + 26 * HOUR_MS)}).encode()
            case _:
                value = json.dumps({**body, "occurred_at": moment(self.start_ms - 600 * DAY_MS)}).encode()
        self.spoilt.append(len(self.entries))
        self._write(topic, partition, key, value, body)

    def _partition(self, account_id: str) -> int:
        return reading.partition_of(account_id, self.partitions)

    def _append(self, entry: Entry, body: dict[str, Any] | None, replay_of: int | None) -> None:
        self._write(entry.topic, entry.partition, entry.key, entry.value, body, replay_of, entry.discards)

    def _put(
        self,
        topic: str,
        body: dict[str, Any],
        *,
        replay_of: int | None = None,
        discards: int | None = None,
        back_ms: int = 0,
    ) -> None:
        value = json.dumps(body, ensure_ascii=len(self.entries) % 2 == 0).encode()
        account_id = body["account_id"]
        partition = self._partition(account_id)
        self._write(topic, partition, account_id.encode(), value, body, replay_of, discards, back_ms)

    def _write(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        body: dict[str, Any] | None,
        replay_of: int | None = None,
        discards: int | None = None,
        back_ms: int = 0,
    ) -> None:
        index = len(self.entries)
        self.at_ms += self.r.choice(BURSTS_MS)
        headers = (("trace", b"\x00\xff"),) if index % 5 == 4 else ()
        timestamp_ms = self.at_ms + self.jumped_ms - back_ms - self.r.choice((0, 0, 0, 0, 7, 300))
        self.bodies.append(body)
        self.entries.append(
            Entry(index, self.at_ms, timestamp_ms, topic, partition, key, value, headers, replay_of, discards)
        )


def moment(ms: int) -> str:
    """A time as most senders write it."""
    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def history(r: Random, menus: Menus, start_ms: int) -> list[Entry]:
    """The entries of a history that begins at `start_ms` (milliseconds since the epoch), in the order of appending."""
    writer = _HistoryWriter(r, menus.partitions, start_ms, menus.menu.jumps, at_ms=menus.begins_ms)
    for _ in range(menus.drafts):
        writer.write(draft(r, menus.menu))
    return writer.entries
