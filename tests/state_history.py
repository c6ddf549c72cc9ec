"""A history of one partition in which everything that the state can hold comes to be: what the fixture of a schema
version is made from (`tests.state_fixture`).

It stretches over 440 days, so that orders leave by retention, ids of adjustments are forgotten, and old flows are
folded into their count. A new field or kind of state record needs an event here that uses it: a test says which field
nothing uses.
"""

from __future__ import annotations

import json
from typing import Final

from schemas.topics import Topic
from tests.offline import record
from tests.unit.domain.shop import DAY, START_MS, Fields, body_of, child, counted, lines, ordered, topic_of
from worker.domain.policies import AccountPolicies, Policies
from worker.stream.records import Headers, InputRecord

SHOP, OTHER = "a", "bé/ü"
"""Accounts; the second's id must be encoded in keys."""

RULES: Final = Policies(
    defaults=AccountPolicies(retention_days=30, buffer=2, default_warehouse="main"),
    accounts={OTHER: AccountPolicies(count_policy="report", retention_days=60)},
)

FLOODING: Final = SHOP
"""Whose bad records were too many at the end."""

LATER: Final = 300 * DAY
TODAY: Final = 440 * DAY


class _Telling:
    """Input records in the order of their telling."""

    def __init__(self, starts: dict[str, int]) -> None:
        self.now = 0
        self.records: list[InputRecord] = []
        self._offsets = dict(starts)

    def say(self, kind: str, at: int, /, **fields: object) -> None:
        """An event that happened at a minute; its record is stamped a minute later than the last."""
        body = body_of(kind, at, **{"event_id": f"e{self._number:03}", "account_id": SHOP, **fields})
        self.send(topic_of(kind), json.dumps(body, ensure_ascii=False).encode(), account_id=str(body["account_id"]))

    def count(self, on_hand: dict[str, int], at: int, /, **fields: object) -> None:
        self.say("stock.counted", at, **counted(on_hand, at, **fields))

    def order(self, order_id: str, at: int, asked: list[Fields], /, **fields: object) -> None:
        self.say("order.created", at, order_id=order_id, lines=asked, **fields)

    def sub(self, kind: str, order_id: str, sub_order_id: str, at: int, /, **fields: object) -> None:
        self.say(f"sub_order.{kind}", at, order_id=order_id, sub_order_id=sub_order_id, **fields)

    def shipped_order(self, order_id: str, quantity: int, at: int, /, **fields: object) -> None:
        """Placed, handed over and delivered within an hour."""
        self.order(order_id, at, ordered(quantity), **fields)
        self.sub("created", order_id, "s", at + 1, lines=lines(quantity), **fields)
        self.sub("shipped", order_id, "s", at + 30, **fields)
        self.sub("delivered", order_id, "s", at + 60, **fields)

    def send(self, topic: Topic, value: bytes, *, account_id: str = SHOP, headers: Headers = ()) -> None:
        offset = self._offsets.get(topic, 0)
        self._offsets[topic] = offset + 1
        timestamp = START_MS + self.now * 60_000 + len(self.records) * 1000
        self.records.append(record(topic, 0, offset, account_id.encode(), value, headers, timestamp))

    @property
    def _number(self) -> int:
        return sum(self._offsets.values())


def history() -> list[InputRecord]:
    """What the state is made from."""
    telling = _Telling({})
    _long_ago(telling)
    _later(telling)
    _orders_today(telling)
    _stock_today(telling)
    _another_account(telling)
    return telling.records


def _long_ago(telling: _Telling) -> None:
    telling.now = 120
    telling.count({"k": 100, "folded": 20}, 1)
    telling.say("stock.adjusted", 5, event_id="twice", sku="folded", delta=-3)
    telling.say("stock.adjusted", 6, sku="never counted", delta=4)
    telling.shipped_order("forgotten", 2, 10)


def _later(telling: _Telling) -> None:
    telling.now = LATER + 120
    telling.say("stock.adjusted", LATER, event_id="twice", sku="folded", delta=7)
    telling.say("stock.adjusted", LATER + 1, event_id="once", sku="k", delta=1)
    telling.shipped_order("left", 3, LATER + 10)
    telling.sub("returned", "left", "s", LATER + 90, lines=lines(1), warehouse_id="returns")


def _orders_today(telling: _Telling) -> None:
    at = TODAY
    telling.now = TODAY + 8 * 60
    telling.order("split", at, [*lines(6), *ordered(2, "w", "other")])
    telling.say("order.amended", at + 1, order_id="split", revision=3, lines=[*ordered(6), *lines(2, "other")])
    telling.sub("created", "split", "whole", at + 2, lines=lines(6))
    telling.sub("cancelled", "split", "whole", at + 3, lines=lines(1))
    parts = [child("held", 3), child("sent", 2, warehouse_id="x")]
    telling.sub("split", "split", "whole", at + 4, children=parts)
    telling.sub("on_hold", "split", "held", at + 5, reason="arbitration")
    telling.sub("cancelled", "split", "held", at + 6, lines=lines(1))
    telling.sub("on_hold", "split", "held", at + 7)
    telling.sub("label_issued", "split", "sent", at + 8, tracking_number="T")
    telling.sub("in_transit", "split", "sent", at + 10)
    telling.sub("shipped", "split", "whole", at + 11)
    telling.shipped_order("returning", 4, at)
    telling.sub("return_started", "returning", "s", at + 90, return_id="started", lines=lines(1))
    telling.sub("returned", "returning", "s", at + 95, return_id="back", lines=lines(2), warehouse_id="returns")
    telling.shipped_order("too much back", 1, at)
    telling.sub("returned", "too much back", "s", at + 99, lines=lines(3), restock=False)
    telling.order("cancelled", at, ordered(2))
    telling.sub("created", "cancelled", "s", at, lines=lines(1))
    telling.say("order.cancelled", at + 3, order_id="cancelled")
    telling.shipped_order("eligible", 1, at)
    telling.shipped_order("held back", 1, at)
    telling.send(Topic.SUB_ORDERS, b'{"account_id":"a","order_id":"held back","type":"sub_order.lost"}')
    telling.send(Topic.ORDERS, b'{"account_id":"a","order_id":"only bad","lines":[]}', headers=(("trace", b"\xff"),))
    telling.order("over-allocated", at, ordered(1))
    telling.sub("created", "over-allocated", "s", at, lines=lines(2))
    telling.sub("created", "not placed", "s", at, lines=lines(1), warehouse_id="x")
    telling.sub("split", "not placed", "unknown", at, children=[child("nowhere", 1)])
    telling.order("failed", at, ordered(1))
    telling.sub("created", "failed", "s", at + 1, lines=lines(1))
    telling.sub("cancelled", "failed", "s", at + 2)
    telling.sub("failed_to_deliver", "failed", "s", at + 3)
    _taken_back_today(telling)
    telling.order("oversold", at, ordered(1000))
    telling.order("waiting", at, [*ordered(2), *ordered(1, "w", "folded")])


def _taken_back_today(telling: _Telling) -> None:
    at = TODAY
    telling.order("revived", at, ordered(2))
    telling.say("order.cancelled", at + 1, order_id="revived")
    telling.say("order.reinstated", at + 2, order_id="revived")
    telling.shipped_order("voided", 3, at)
    telling.sub("returned", "voided", "s", at + 70, lines=lines(1))
    telling.sub("shipment_voided", "voided", "s", at + 80)
    telling.shipped_order("kept", 2, at)
    telling.sub("return_started", "kept", "s", at + 90, lines=lines(1))
    telling.sub("return_withdrawn", "kept", "s", at + 95)
    telling.order("created again", at, ordered(5))
    telling.sub("created", "created again", "s", at + 1, lines=lines(5))
    telling.sub("cancelled", "created again", "s", at + 2, lines=lines(5))
    telling.sub("reinstated", "created again", "s", at + 3)
    telling.sub("cancelled", "created again", "s", at + 4, lines=lines(2))
    telling.sub("shipped", "created again", "s", at + 5)
    telling.sub("withdrawn", "created again", "s", at + 6)
    telling.sub("created", "created again", "s", at + 7, lines=lines(4), revision=1)
    telling.sub("withdrawn", "created again", "s", at + 8)


def _stock_today(telling: _Telling) -> None:
    at = TODAY
    telling.say("stock.adjusted", at + 120, event_id="today", sku="folded", delta=5)
    telling.say("stock.transferred", at + 130, event_id="moved", lines=[*lines(2), *lines(1), *lines(4, "gone")])
    telling.count({"k": 80, "new": 3}, at + 200, snapshot_id="complete")
    telling.count({"sku/1": 4}, at + 210, snapshot_id="zeros", warehouse_id="z", parts=2, absent="zero")
    telling.count({"k": 70, "unknown": 1}, at + 300, snapshot_id="half", part=2, parts=2)
    telling.say("stock.adjusted", at + 250, event_id="stale", sku="k", delta=2)
    telling.say("stock.counted", at + 310, **counted(0, at + 310, origin="marketplace", counts=[_reserved("k", 3)]))


def _another_account(telling: _Telling) -> None:
    at = TODAY
    telling.count({"k/1": 9}, at, account_id=OTHER, warehouse_id="w 2")
    telling.count({"k/1": 7}, at + 1, account_id=OTHER, warehouse_id="w 2", origin="wms")
    telling.order("№ 1", at, ordered(2, "w 2", "k/1"), account_id=OTHER)
    telling.order("№ 1", at, ordered(2, "w 2", "k/1"), account_id=OTHER, event_id="again")


def _reserved(sku: str, units: int) -> Fields:
    return {"sku": sku, "on_hand": 0, "reserved": units}


def what_follows(starts: dict[str, int]) -> list[InputRecord]:
    """What comes after a restore: each event asks for something that only the state can tell.

    `starts`: the next offset of each topic.
    """
    telling = _Telling(starts)
    at = TODAY + 400
    telling.now = TODAY + 8 * 60 + 60
    before = history()
    for known in before[1], before[-1]:  # an id that is forgotten, and one that is not
        telling.send(Topic(known.topic), known.value or b"", account_id=(known.key or b"").decode())
    telling.say("stock.adjusted", TODAY + 120, event_id="today", sku="folded", delta=6)
    telling.sub("created", "created again", "s", at, lines=lines(3), revision=2)
    telling.sub("shipped", "created again", "s", at - 395)
    telling.sub("cancelled", "created again", "s", at - 392, lines=lines(3))
    telling.sub("shipped", "voided", "s", at - 330)
    telling.sub("shipped", "voided", "s", at)
    telling.say("order.cancelled", at - 399, order_id="revived")
    telling.sub("returned", "kept", "s", at - 306)
    telling.sub("shipment_voided", "returning", "s", at - 304)
    telling.say("stock.transferred", at + 130, event_id="moved", lines=lines(2))
    telling.say("stock.transferred", at + 131, event_id="today", lines=lines(2))
    back = {"from_warehouse_id": "x", "to_warehouse_id": "w"}
    telling.say("stock.transferred", TODAY + 150, event_id="half stale", **back, lines=lines(1))
    telling.sub("shipped", "split", "held", at)
    telling.sub("delivered", "split", "sent", at)
    telling.sub("returned", "returning", "s", at, return_id="started")
    telling.sub("returned", "returning", "s", at + 1, return_id="more")
    telling.sub("created", "over-allocated", "s", at, lines=lines(1))
    telling.order("not placed", at, [*ordered(1, "x"), *lines(2)])
    telling.sub("created", "not placed", "unknown", at, lines=lines(1), warehouse_id="x")
    telling.say("archive.requested", at, order_id="held back")
    telling.say("dead_letter.discarded", at, order_id="held back", dead_letter_id=_dead_letter_id(before, "held back"))
    replayed = json.dumps(body_of("order.created", at, event_id="replayed", order_id="only bad", lines=lines(1)))
    header = ("replay-of", _dead_letter_id(before, "only bad").encode())
    telling.send(Topic.ORDERS, replayed.encode(), headers=(header,))
    for order_id in ("left", "returning", "eligible", "failed", "not known"):
        telling.say("archive.requested", at, order_id=order_id)
    telling.sub("delivered", "left", "s", LATER + 80)
    telling.sub("delivered", "left", "s", at)
    telling.say("order.cancelled", at, order_id="oversold")
    telling.count({"k": 60}, TODAY + 300, snapshot_id="half", part=1, parts=2)
    telling.count({"k": 60}, TODAY + 300, snapshot_id="half", part=1, parts=3)
    telling.count({"sku/2": 1}, TODAY + 210, snapshot_id="zeros", warehouse_id="z", part=2, parts=2, absent="zero")
    reserved = counted(0, at + 10, snapshot_id="reserved", counts=[_reserved("k", 3), _reserved("folded", 0)])
    telling.say("stock.counted", at + 10, **reserved)
    telling.count({"k/1": 5}, at, account_id=OTHER, warehouse_id="w 2")
    telling.say("order.cancelled", at, order_id="№ 1", account_id=OTHER)
    telling.now = TODAY + 40 * DAY  # orders leave, an id is forgotten
    telling.say("stock.adjusted", at + 1, event_id="today", sku="folded", delta=6)
    telling.sub("shipped", "eligible", "s", at)
    telling.sub("shipped", "waiting", "s", telling.now)
    telling.order("new", telling.now, lines(1))
    telling.now = TODAY + 500 * DAY  # whatever can leave has left
    telling.count({"k": 1, "folded": 1}, telling.now, snapshot_id="last", absent="zero")
    return telling.records


def _dead_letter_id(records: list[InputRecord], order_id: str) -> str:
    bad = [each for each in records if f'"{order_id}","'.encode() in (each.value or b"")]
    return f"{bad[-1].topic}/0/{bad[-1].offset}"
