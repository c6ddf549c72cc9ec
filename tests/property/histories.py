"""Histories: input records of one partition in the order of processing, for the model and the real thing alike.

One generator draws *drafts* from a `random.Random`: Hypothesis hands it one that it can shrink, a long history uses a
seeded one. A draft says what happens in minutes and by index ("repeat the third record"); `assemble` makes records of
drafts. The alphabets are small, so that things collide: events come in any order, sub-orders do not fit their orders,
splits run in circles, returns exceed what left.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from hypothesis import strategies as st

from tests.model import reading
from tests.model.reading import COMMANDS, DAY_MS, HOUR_MS, MINUTE_MS, ORDERS, STOCK, SUB_ORDERS
from tests.model.run import AccountRules, Record

PREFIX = "shop."
PARTITION_COUNT = 3
ACCOUNTS = ("acme", "bolt/ü")
PARTITION = reading.partition_of(ACCOUNTS[0], PARTITION_COUNT)
ELSEWHERE = "elsewhere"
ORDER_IDS = ("o1", "o2")
SUB_ORDER_IDS = ("s1", "s2", "s3", "s4")
SKUS = ("k1", "k/2", "k%3")
WAREHOUSES = ("w1", "w 2", "default")
RETURN_IDS = ("r1", "r2")
START_MS = int(dt.datetime(2026, 3, 1, tzinfo=dt.UTC).timestamp() * 1000)
MINUTES = 12
RETENTION_DAYS = 30

assert reading.partition_of(ACCOUNTS[1], PARTITION_COUNT) == PARTITION
assert reading.partition_of(ELSEWHERE, PARTITION_COUNT) != PARTITION


@dataclass(frozen=True)
class Menu:
    """What may happen in a history.

    `clean`: only what invariant 4 speaks of, so nothing that ends in a dead letter and no `absent: zero`.
    """

    clean: bool = False
    jumps: bool = False
    counts: bool = True


@dataclass(frozen=True)
class Draft:
    """`body` has its times in minutes; `old`: they are of before the jumps.

    `fault` says how the record is spoilt, `index` which earlier one it is about.
    """

    act: str = "say"
    topic: str = ORDERS
    body: dict[str, Any] | None = None
    old: bool = False
    fault: str | None = None
    index: int = 0
    back_ms: int = 0


RULES = (
    AccountRules(retention_days=RETENTION_DAYS),
    AccountRules(buffer=2, default_warehouse="w1", retention_days=RETENTION_DAYS),
    AccountRules(count_policy="report", retention_days=RETENTION_DAYS),
    AccountRules(count_origin="wms", retention_days=RETENTION_DAYS),
)
ADOPTING = tuple(rules for rules in RULES if rules.count_policy == "adopt")

FAULTS = ("none", "not json", "nan", "type", "lines", "key", "account", "future", "ancient")


def _minute(r: Random) -> int:
    return r.randint(0, MINUTES)


def _lines(r: Random, most: int = 3) -> list[dict[str, Any]]:
    return [{"sku": r.choice(SKUS), "quantity": r.randint(1, 4)} for _ in range(r.randint(1, most))]


def _order_lines(r: Random) -> list[dict[str, Any]]:
    lines = _lines(r, 5)
    for line in lines:
        if r.randint(0, 2):
            line["warehouse_id"] = r.choice(WAREHOUSES)
    return lines


def _maybe(r: Random, name: str, value: Callable[[], object]) -> dict[str, Any]:
    choice = r.randint(0, 3)
    return {name: value()} if choice > 1 else {name: None} if choice == 1 else {}


def _children(r: Random, parent: str) -> list[dict[str, Any]]:
    names = [name for name in SUB_ORDER_IDS if name != parent]
    chosen = r.sample(names, r.randint(1, len(names)))
    return [
        {"sub_order_id": name, "lines": _lines(r, 2), **_maybe(r, "warehouse_id", lambda: r.choice(WAREHOUSES))}
        for name in chosen
    ]


def _order_event(r: Random) -> tuple[str, dict[str, Any]]:
    kind = r.choice(("order.created",) * 5 + ("order.amended",) * 3 + ("order.cancelled",))
    body: dict[str, Any] = {"type": kind, "order_id": r.choice(ORDER_IDS)}
    if kind != "order.cancelled":
        body["lines"] = _order_lines(r)
    if kind == "order.amended":
        body["revision"] = r.randint(1, 3)
    return ORDERS, body


SUB_ORDER_KINDS = (
    ("created",) * 8
    + ("shipped", "cancelled", "delivered", "returned") * 4
    + ("split",) * 3
    + ("in_transit", "label_issued", "on_hold", "failed_to_deliver", "return_started") * 2
)


def _sub_order_event(r: Random) -> tuple[str, dict[str, Any]]:
    kind = r.choice(SUB_ORDER_KINDS)
    parent = r.choice(SUB_ORDER_IDS)
    body: dict[str, Any] = {"type": f"sub_order.{kind}", "order_id": r.choice(ORDER_IDS), "sub_order_id": parent}
    if kind == "created":
        body |= {"warehouse_id": r.choice(WAREHOUSES), "lines": _lines(r)}
    elif kind == "split":
        body["children"] = _children(r, parent)
    elif kind == "cancelled":
        body |= _maybe(r, "lines", lambda: _lines(r, 2))
    elif kind in ("return_started", "returned"):
        body |= {"return_id": r.choice(RETURN_IDS), **_maybe(r, "lines", lambda: _lines(r, 2))}
    if kind == "returned":
        body |= {"restock": r.randint(0, 3) > 0, **_maybe(r, "warehouse_id", lambda: r.choice(WAREHOUSES))}
    return SUB_ORDERS, body


SNAPSHOTS = {"n1": (3, 1, None), "n2": (6, 2, "unknown"), "n3": (9, 2, "zero"), "n4": (6, 1, None), "n5": (12, 3, None)}
"""Of a snapshot: as_of, parts, absent. They are what every part of it says, but for a few that contradict."""


def _count(r: Random, menu: Menu) -> tuple[str, dict[str, Any]]:
    snapshot_id = r.choice(tuple(SNAPSHOTS))
    as_of, parts, absent = SNAPSHOTS[snapshot_id]
    if not menu.clean and r.randint(0, 9) == 9:
        as_of, parts = _minute(r), r.randint(1, 3)
    if menu.clean:
        absent = None
    counts = [
        {"sku": sku, "on_hand": r.randint(-3, 12), **_maybe(r, "reserved", lambda: r.randint(0, 4))}
        for sku in r.sample(SKUS, r.randint(0, len(SKUS)))
    ]
    return STOCK, {
        "type": "stock.counted",
        "origin": r.choice(("erp", "erp", "wms", "wms", "marketplace")),
        "snapshot_id": snapshot_id,
        "part": r.randint(1, parts),
        "parts": parts,
        "warehouse_id": r.choice(WAREHOUSES),
        "as_of": as_of,
        "counts": counts,
        "absent": absent,
    }


def _adjustment(r: Random) -> tuple[str, dict[str, Any]]:
    delta = r.choice((-3, -1, 1, 5))
    return STOCK, {
        "type": "stock.adjusted",
        "warehouse_id": r.choice(WAREHOUSES),
        "sku": r.choice(SKUS),
        "delta": delta,
    }


ACTS = ("order",) * 4 + ("sub-order",) * 11 + ("count", "count", "adjust", "archive")
DIRTY = ("repeat", "repeat", "conflict", "spoil", "spoil", "replay", "mend", "discard")


def draft(r: Random, menu: Menu) -> Draft:
    """One thing that happens."""
    acts = [act for act in ACTS if menu.counts or act != "count"]
    if not menu.clean:
        acts += DIRTY
    if menu.jumps:
        acts += ["jump", "jump", "settle"]
    act = r.choice(acts)
    if act == "settle":
        return Draft(act, body={"order_id": r.choice(ORDER_IDS)})
    if act in ("repeat", "conflict", "replay", "mend", "discard"):
        return Draft(act, index=r.randint(0, 1000))
    if act == "jump":
        return Draft(act, index=r.choice((1, 31, 31, 100, 400, 500)))
    fault = r.choice(FAULTS) if act == "spoil" else None
    topic, body = _content(r, act, menu)
    body["event_id"] = r.choice("abc")
    if not menu.clean and r.randint(0, 15) == 15:
        body["event_id"] = r.choice(("x1", "x2"))
    body["account_id"] = r.choice((ACCOUNTS[0],) * 4 + (ACCOUNTS[1],))
    body["occurred_at"] = _minute(r)
    if topic == STOCK and r.randint(0, 5) == 5:
        body["order_id"] = r.choice(ORDER_IDS)  # an unknown field there, but it makes a dead letter one of an order
    back_ms = r.choice((0,) * 7 + (5 * MINUTE_MS, 30 * HOUR_MS)) if not menu.clean else 0
    return Draft("say", topic, body, old=r.randint(0, 3) == 3, fault=fault, back_ms=back_ms)


def _content(r: Random, act: str, menu: Menu) -> tuple[str, dict[str, Any]]:
    match act:
        case "order":
            return _order_event(r)
        case "count":
            return _count(r, menu)
        case "adjust":
            return _adjustment(r)
        case "archive":
            return COMMANDS, {"type": "archive.requested", "order_id": r.choice(ORDER_IDS)}
        case _:
            return _sub_order_event(r)


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


def clean_histories(chapters: int = 5, *, counts: bool = True) -> st.SearchStrategy[list[Record]]:
    """Histories that end alike in any order and repetition: only the first record of each identity is kept."""
    return histories(Menu(clean=True, counts=counts), chapters).map(distinct)


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
