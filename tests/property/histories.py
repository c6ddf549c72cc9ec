"""Histories: input records of one partition in the order of processing, for the model and the real thing alike.

One generator draws *drafts* from a `random.Random`: Hypothesis hands it one that it can shrink, a long history uses a
seeded one. A draft says what happens in minutes and by index ("repeat the third record"); `assemble` makes records of
drafts. The alphabets are small, so that things collide: events come in any order, sub-orders do not fit their orders,
splits run in circles, returns exceed what left.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.model import reading
from tests.model.reading import COMMANDS, DAY_MS, HOUR_MS, MINUTE_MS, ORDERS, SUB_ORDERS
from tests.model.run import Record
from tests.property.drafts import (
    ACCOUNTS,
    ELSEWHERE,
    MINUTES,
    ORDER_IDS,
    PARTITION,
    PREFIX,
    RETURN_IDS,
    SKUS,
    START_MS,
    SUB_ORDER_IDS,
    Draft,
    Menu,
    draft,
)


def moment(ms: int, style: int = 0) -> str:
    """A time as senders write them: UTC with milliseconds, another offset, or microseconds."""
    at = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=ms)
    if style % 3 == 1:
        return at.astimezone(dt.timezone(dt.timedelta(hours=3))).isoformat(timespec="milliseconds")
    if style % 3 == 2:
        return at.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
    return at.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


@dataclass(frozen=True)
class _Origin:
    """A record and what it was made of."""

    record: Record
    body: dict[str, Any] | None
    spoilt: bool


class _Assembly:
    def __init__(self) -> None:
        self.made: list[_Origin] = []
        self.offsets: dict[str, int] = {}
        self.jumped_ms = 0
        self.jumps = 0

    def add(self, drafted: Draft) -> None:
        if drafted.act == "jump":
            self.jumped_ms += drafted.index * DAY_MS + 12_345_678
            self.jumps += 1
        elif drafted.act == "say":
            self._say(drafted)
        elif drafted.act == "settle":
            self._settle((drafted.body or {})["order_id"])
        elif self.made:
            self._about(drafted)

    def _settle(self, order_id: str) -> None:
        """All that an order of the first account needs to be eligible: placed, returned, its dead letters given up."""
        common = {"account_id": ACCOUNTS[0], "order_id": order_id, "event_id": "z", "occurred_at": MINUTES}
        placed = {**common, "type": "order.created", "lines": [{"sku": SKUS[0], "quantity": 1}]}
        self._say(Draft("say", ORDERS, placed))
        for sub_order_id in SUB_ORDER_IDS:
            self._say(Draft("say", SUB_ORDERS, {**common, "type": "sub_order.delivered", "sub_order_id": sub_order_id}))
            for return_id in RETURN_IDS:
                back = {**common, "type": "sub_order.returned", "sub_order_id": sub_order_id, "return_id": return_id}
                self._say(Draft("say", SUB_ORDERS, {**back, "restock": True}))
        for index, origin in enumerate([origin for origin in self.made if origin.spoilt]):
            if (origin.body or {}).get("order_id") == order_id:
                self._about(Draft("discard", index=index))

    def _about(self, drafted: Draft) -> None:
        """Something about an earlier record: the first candidates are the records that were spoilt."""
        spoilt = [origin for origin in self.made if origin.spoilt]
        candidates = spoilt if spoilt and drafted.act in ("replay", "mend", "discard") else self.made
        origin = candidates[drafted.index % len(candidates)]
        record, body = origin.record, origin.body
        replay_of = dict(record.headers).get("replay-of", self._id(record).encode())
        match drafted.act:
            case "repeat":
                self._put(record.topic, record.key, record.value, body, headers=record.headers[:1])
            case "conflict" if body is not None and "occurred_at" in body and body["type"] != "stock.counted":
                other = {**body, "occurred_at": moment(START_MS + drafted.index % 7 * MINUTE_MS)}
                self._put(record.topic, record.key, json.dumps(other).encode(), other, spoilt=True)
            case "replay":
                self._put(record.topic, record.key, record.value, body, headers=(("replay-of", replay_of),))
            case "mend" if body is not None:
                key, value = body["account_id"].encode(), json.dumps(body).encode()
                self._put(record.topic, key, value, body, headers=(("replay-of", replay_of),))
            case "discard":
                command = {
                    "type": "dead_letter.discarded",
                    "event_id": f"d{len(self.made)}",
                    "account_id": (body or {}).get("account_id", ACCOUNTS[0]),
                    "occurred_at": moment(START_MS),
                    "order_id": (body or {}).get("order_id", ORDER_IDS[0]),
                    "dead_letter_id": replay_of.decode(),
                }
                self._put(COMMANDS, command["account_id"].encode(), json.dumps(command).encode(), None)
            case _:
                pass  # there is nothing in the record that it could be about

    def _id(self, record: Record) -> str:
        return f"{PREFIX}{record.topic}/{record.partition}/{record.offset}"

    def _say(self, drafted: Draft) -> None:
        body = dict(drafted.body or {})
        style = len(self.made)
        base_ms = START_MS + (0 if drafted.old else self.jumped_ms)
        for name in ("occurred_at", "as_of"):
            if name in body:
                body[name] = moment(base_ms + body[name] * MINUTE_MS, style)
        if not body["event_id"].startswith("x"):
            body["event_id"] += str(style)
        if "snapshot_id" in body and not drafted.old:
            body["snapshot_id"] += f".{self.jumps}"
        key: bytes | None = body["account_id"].encode()
        value: bytes | None = json.dumps(body, ensure_ascii=style % 2 == 0).encode()
        if drafted.fault is not None:
            key, value = self._spoilt(drafted.fault, body, base_ms)
        self._put(drafted.topic, key, value, body, spoilt=drafted.fault is not None, back_ms=drafted.back_ms)

    def _spoilt(self, fault: str, body: dict[str, Any], base_ms: int) -> tuple[bytes | None, bytes | None]:
        key = body["account_id"].encode()
        match fault:
            case "none":
                return key, None
            case "not json":
                return key, b'{"order_id": "o1"'
            case "nan":
                return key, json.dumps({**body, "extra": float("nan")}).encode()
            case "type":
                return key, json.dumps({**body, "type": "order.exploded"}).encode()
            case "lines":
                return key, json.dumps({**body, "lines": [], "counts": 7, "delta": 0, "occurred_at": "today"}).encode()
            case "key":
                return b"", json.dumps(body).encode()
            case "account":
                return ELSEWHERE.encode(), json.dumps({**body, "account_id": ELSEWHERE}).encode()
            case "future":
                return key, json.dumps({**body, "occurred_at": moment(base_ms + 26 * HOUR_MS)}).encode()
            case _:
                return key, json.dumps({**body, "occurred_at": moment(START_MS - 600 * DAY_MS)}).encode()

    def _put(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        body: dict[str, Any] | None,
        *,
        headers: tuple[tuple[str, bytes], ...] = (),
        spoilt: bool = False,
        back_ms: int = 0,
    ) -> None:
        offset = self.offsets.get(topic, 0)
        self.offsets[topic] = offset + 1
        timestamp = START_MS + HOUR_MS + self.jumped_ms + len(self.made) * 1000 - back_ms
        if len(self.made) % 5 == 4:
            headers = (*headers, ("trace", b"\x00\xff"))
        record = Record(topic, PARTITION, offset, timestamp, key, value, headers)
        self.made.append(_Origin(record, body, spoilt))


def assemble(drafts: Sequence[Draft]) -> list[Record]:
    """The records of drafts; drafts about earlier records are left out where there are none."""
    assembly = _Assembly()
    for drafted in drafts:
        assembly.add(drafted)
    return [origin.record for origin in assembly.made]


def long_history(seed: int, length: int, menu: Menu | None = None) -> list[Record]:
    r = Random(seed)
    return assemble([draft(r, menu or Menu(jumps=seed % 2 == 0)) for _ in range(length)])


@st.composite
def drafts(draw: st.DrawFn, menu: Menu) -> Draft:
    return draft(draw(st.randoms(use_true_random=False)), menu)


def histories(menu: Menu, chapters: int = 6) -> st.SearchStrategy[list[Record]]:
    """Histories that Hypothesis can shrink: to fewer and simpler events. About five events a chapter."""
    chapter = st.lists(drafts(menu), min_size=1, max_size=10)
    return st.lists(chapter, min_size=1, max_size=chapters).map(lambda told: assemble([d for c in told for d in c]))


def clean_histories(
    chapters: int = 5, *, counts: bool = True, taking_back: bool = False
) -> st.SearchStrategy[list[Record]]:
    """Histories that end alike in any order and repetition: only the first record of each identity is kept."""
    return histories(Menu(clean=True, counts=counts, taking_back=taking_back), chapters).map(distinct)


def distinct(records: Sequence[Record]) -> list[Record]:
    """Without commands, and without a second part of the same number: what is left conflicts with nothing."""
    kept: dict[object, Record] = {}
    for record in records:
        event = reading.read(record.topic, record.value)
        if record.topic == COMMANDS:
            continue
        identity: object = (event["account_id"], event["event_id"])
        if event["type"] == "stock.counted":
            identity = tuple(event[name] for name in ("account_id", "origin", "snapshot_id", "warehouse_id", "part"))
        kept.setdefault(identity, record)
    return list(kept.values())


def renumbered(records: Sequence[Record]) -> list[Record]:
    """The same messages sent anew in this order: fresh offsets, rising timestamps."""
    offsets: dict[str, int] = {}
    sent = []
    for number, record in enumerate(records):
        offset = offsets.setdefault(record.topic, 0)
        offsets[record.topic] += 1
        sent.append(record._replace(offset=offset, timestamp=START_MS + HOUR_MS + number * 1000))
    return sent
