"""A shop: the account "a" on a partition of its own, driven record by record at the wire, through the real processor.

Times are minutes since `START_MS`: `at` of an event, `now` of the records that are sent. A field that is not given has
a plain value: order "o", sub-order "s", return "r", warehouse "w", SKU "k", an `event_id` of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any, NamedTuple

from schemas.decoding import Decoded, decode
from schemas.inputs import InputEvent
from schemas.times import time_text
from schemas.topics import Topic
from tests.named import named
from worker.domain.order.facts import merge
from worker.domain.order.state import OrderState
from worker.domain.order.touch import Touch
from worker.domain.order.units import unit_rows
from worker.domain.policies import AccountPolicies, Policies
from worker.domain.searches import LevelsWanted
from worker.domain.views import Holding, OrderView, StockView, UnitRow
from worker.processors.ledger import PartitionProcessor
from worker.stream.processor import Outcome
from worker.stream.records import InputRecord, OutputRecord

START_MS = 1_772_323_200_000
MINUTE_MS = 60_000
DAY = 24 * 60
"""Minutes."""

APPLIED, DUPLICATE, STALE, DEAD_LETTERED = Outcome.APPLIED, Outcome.DUPLICATE, Outcome.STALE, Outcome.DEAD_LETTERED
PLAIN = AccountPolicies()

Headers = tuple[tuple[str, bytes | None], ...]
Fields = dict[str, Any]
Move = tuple[str, int, int, int]
"""movement, quantity, frozen_delta, on_hand_delta."""


class Flushed(NamedTuple):
    """How a record ended, and everything that was written since the flush before."""

    outcome: Outcome
    records: list[OutputRecord]

    def of(self, topic: Topic) -> list[OutputRecord]:
        return [record for record in self.records if record.topic == topic]

    def events(self, topic: Topic) -> list[Fields]:
        return [json.loads(record.value or b"") for record in self.of(topic)]

    @property
    def outputs(self) -> list[OutputRecord]:
        return [record for record in self.records if record.topic not in (Topic.STATE, Topic.DEAD_LETTERS)]

    @property
    def moves(self) -> list[Move]:
        return [
            (event["movement"], event["quantity"], event["frozen_delta"], event["on_hand_delta"])
            for event in self.events(Topic.MOVEMENTS)
        ]

    @property
    def places(self) -> list[tuple[str, str, str, int]]:
        """warehouse, SKU, movement, quantity."""
        return [
            (event["warehouse_id"], event["sku"], event["movement"], event["quantity"])
            for event in self.events(Topic.MOVEMENTS)
        ]

    @property
    def levels(self) -> list[Fields]:
        return self.events(Topic.LEVELS)

    @property
    def statuses(self) -> list[Fields]:
        return self.events(Topic.STATUS)

    @property
    def archive(self) -> list[str]:
        return [event["type"] for event in self.events(Topic.ELIGIBILITY)]

    @property
    def answer(self) -> Fields:
        (event,) = self.events(Topic.ELIGIBILITY)
        return event

    @property
    def alerts(self) -> list[str]:
        """Those raised, and those cleared with that word before them."""
        words = {"alert.raised": "", "alert.cleared": "cleared "}
        return [words[event["type"]] + event["alert"] for event in self.events(Topic.ALERTS)]

    @property
    def drifts(self) -> list[tuple[str, str, int, int, bool]]:
        """measure, SKU, expected, actual, adopted."""
        return [
            (event["measure"], event["sku"], event["expected"], event["actual"], event["adopted"])
            for event in self.events(Topic.DRIFT)
            if event["type"] == "drift.detected"
        ]

    @property
    def summaries(self) -> list[Fields]:
        return [event for event in self.events(Topic.DRIFT) if event["type"] == "drift.summary"]

    @property
    def code(self) -> str:
        (record,) = self.of(Topic.DEAD_LETTERS)
        return (dict(record.headers)["error-code"] or b"").decode()


class Shop:
    """The processor of one partition, and the last state record of every key that it wrote."""

    def __init__(self, policies: AccountPolicies = PLAIN, *, now: int = 60) -> None:
        self.policies = policies
        self.now = now
        self.state: dict[bytes, bytes | None] = {}
        self.stream_time_ms = -1
        self.offsets = count()
        self.processor = PartitionProcessor(
            partition=0, partition_count=1, prefix="", policies=Policies(accounts={"a": policies})
        )

    def say(self, kind: str, at: int = 0, /, **fields: object) -> Flushed:
        """Send one event, and flush."""
        return self.send(body_of(kind, at, **fields))

    def send(
        self, body: Fields | bytes | None, *, topic: Topic | None = None, key: bytes = b"a", headers: Headers = ()
    ) -> Flushed:
        """Send any value, and flush. Without a topic, a body goes where its type belongs."""
        return self.flush(self.process(body, topic=topic, key=key, headers=headers))

    def process(
        self, body: Fields | bytes | None, *, topic: Topic | None = None, key: bytes = b"a", headers: Headers = ()
    ) -> Outcome:
        value = json.dumps(body).encode() if isinstance(body, dict) else body
        where = topic or topic_of(body["type"] if isinstance(body, dict) else "")
        timestamp = START_MS + self.now * MINUTE_MS
        self.stream_time_ms = max(self.stream_time_ms, timestamp)
        return self.processor.process(InputRecord(where, 0, next(self.offsets), timestamp, key, value, headers))

    def flush(self, outcome: Outcome = APPLIED) -> Flushed:
        flushed = Flushed(outcome, named(self.processor.flush()))
        for record in flushed.of(Topic.STATE):
            assert record.key is not None
            self.state[record.key] = record.value
        return flushed

    def count(self, on_hand: int | Mapping[str, int], as_of: int, /, **fields: object) -> Flushed:
        """Count one SKU "k", or several; a snapshot of one part, named after its time, unless a test gives others."""
        return self.say("stock.counted", as_of, **counted(on_hand, as_of, **fields))

    def order(self, quantity: int, at: int = 0, /, **fields: object) -> Flushed:
        return self.say("order.created", at, lines=ordered(quantity), **fields)

    def sub_order(self, quantity: int, at: int = 0, /, **fields: object) -> Flushed:
        return self.say("sub_order.created", at, lines=lines(quantity), **fields)

    def delivered_order(self, quantity: int = 1, /, **fields: object) -> Flushed:
        """An order whose only sub-order was shipped at minute 10 and delivered at minute 20."""
        self.order(quantity, **fields)
        self.sub_order(quantity, **fields)
        self.say("sub_order.shipped", 10, **fields)
        return self.say("sub_order.delivered", 20, **fields)

    def restarted(self, policies: AccountPolicies | None = None) -> Shop:
        """The same shop in a new process that read the state topic."""
        shop = Shop(self.policies if policies is None else policies, now=self.now)
        shop.state, shop.stream_time_ms, shop.offsets = dict(self.state), self.stream_time_ms, self.offsets
        for key, value in self.state.items():
            shop.processor.restore(key, value)
        shop.processor.restored(self.stream_time_ms)
        return shop

    def view(self, order_id: str = "o") -> OrderView:
        view = self.processor.ledger.order_of("a", order_id)
        assert view is not None, f"order {order_id} is not known"
        return view

    def units(self, order_id: str = "o") -> list[UnitRow]:
        return self.view(order_id).units

    def status(self, sub_order_id: str = "s") -> str:
        return self.view().sub_orders[sub_order_id]

    def levels(self) -> list[StockView]:
        """All levels of the account."""
        page = self.processor.ledger.levels_page(LevelsWanted("a", 10_000))
        return [] if page is None else page[0]

    def holders(
        self, account_id: str = "a", warehouse_id: str = "w", sku: str = "k", limit: int = 1000
    ) -> list[Holding]:
        """Who holds the frozen units of a key, the greatest first."""
        search = self.processor.ledger.holder_search(account_id, warehouse_id, sku, limit)
        for _ in search.steps():
            pass
        return search.holdings

    def stock(self, sku: str = "k", warehouse_id: str = "w") -> tuple[int | None, int]:
        """on_hand and frozen of a key."""
        for level in self.levels():
            if (level.warehouse_id, level.sku) == (warehouse_id, sku):
                return level.on_hand, level.frozen
        raise AssertionError(f"nothing is known of {sku} in {warehouse_id}")


_event_ids = count()


def topic_of(kind: str) -> Topic:
    """Where a type belongs."""
    if kind.startswith("order."):
        return Topic.ORDERS
    if kind.startswith("stock."):
        return Topic.STOCK
    return Topic.COMMANDS if kind in ("archive.requested", "dead_letter.discarded") else Topic.SUB_ORDERS


def body_of(kind: str, at: int = 0, /, **fields: object) -> Fields:
    """The JSON object of an event."""
    body: Fields = {"type": kind, "event_id": f"e{next(_event_ids):06}", "account_id": "a", "occurred_at": iso(at)}
    if not kind.startswith("stock."):
        body["order_id"] = "o"
    if kind.startswith("sub_order."):
        body["sub_order_id"] = "s"
    if kind in ("sub_order.created", "stock.adjusted", "stock.counted"):
        body["warehouse_id"] = "w"
    if kind == "stock.adjusted":
        body["sku"] = "k"
    if kind == "stock.transferred":
        body |= {"from_warehouse_id": "w", "to_warehouse_id": "x"}
    if kind in ("sub_order.return_started", "sub_order.returned", "sub_order.return_withdrawn"):
        body["return_id"] = "r"
    if kind == "sub_order.returned":
        body["restock"] = True
    return {**body, **fields}


def counted(on_hand: int | Mapping[str, int], as_of: int, /, **fields: object) -> Fields:
    """The fields of a count."""
    by_sku = {"k": on_hand} if isinstance(on_hand, int) else on_hand
    counts = [{"sku": sku, "on_hand": units} for sku, units in by_sku.items()]
    whole = {"origin": "erp", "snapshot_id": f"n{as_of}", "part": 1, "parts": 1, "as_of": iso(as_of), "counts": counts}
    return {**whole, **fields}


def iso(at: int) -> str:
    """The time of a minute."""
    return time_text(START_MS + at * MINUTE_MS)


def ms(at: int) -> int:
    """Milliseconds of a minute."""
    return START_MS + at * MINUTE_MS


def lines(quantity: int, sku: str = "k") -> list[Fields]:
    """One line of a sub-order."""
    return [{"sku": sku, "quantity": quantity}]


def ordered(quantity: int, warehouse_id: str = "w", sku: str = "k") -> list[Fields]:
    """One line of an order."""
    return [{"sku": sku, "quantity": quantity, "warehouse_id": warehouse_id}]


def child(sub_order_id: str, quantity: int, /, **fields: object) -> Fields:
    """One entry of a split's children."""
    return {"sub_order_id": sub_order_id, "lines": lines(quantity), **fields}


def decoded(kind: str, at: int = 0, /, **fields: object) -> Decoded:
    """An event as the decoder gives it."""
    return decode(topic_of(kind), json.dumps(body_of(kind, at, **fields)).encode())


def order_of(events: Iterable[Decoded]) -> OrderState:
    """The facts of an order after these events, in this order. Nothing is derived."""
    order = OrderState()
    for known in events:
        merge_into(order, known.event, known.occurred_at_ms)
    return order


def merge_into(order: OrderState, event: InputEvent, at: int) -> Touch | None:
    """What `merge` says that an event of an order touched."""
    return merge(order, event, at, "default")  # type: ignore[arg-type]  # only those are asked for here


def rows_of(*events: Decoded) -> list[UnitRow]:
    """The units of the leaves after these events."""
    return unit_rows(order_of(events))
