"""One account of one partition, driven record by record, in two makes: the independent model and the worker's ledger.

An example is written once, against `ExampleShop`, and must hold in both. Its outcomes are plain: what the contract
promises, and nothing of how either keeps its books.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict
from itertools import count
from typing import NamedTuple

from schemas.topics import Topic
from tests.model.alerts import Change
from tests.model.run import AccountPolicies as ModelPolicies
from tests.model.run import Model, Record, Step
from tests.property.comparison import alert_rows, drift_row, eligibility_row
from tests.unit.domain import shop as ledger
from tests.unit.domain.shop import (
    MINUTE_MS,
    PLAIN,
    START_MS,
    Fields,
    Headers,
    Move,
    body_of,
    counted,
    lines,
    ordered,
    topic_of,
)
from worker.domain.policies import AccountPolicies

UnitRow = tuple[str | None, str, str, int, int, int]
"""Sub-order (None: uncovered), warehouse, SKU, open, shipped, cancelled."""


class Result(NamedTuple):
    """What one record brought about. There are two outcomes where the contract leaves it open."""

    outcomes: set[str]
    code: str | None
    dead_letter_id: str | None
    movements: list[Fields]
    levels: list[Fields]
    eligibility: list[Fields]
    drift: list[Fields]
    alerts: list[Change]

    @property
    def moves(self) -> list[Move]:
        return [(m["movement"], m["quantity"], m["frozen_delta"], m["on_hand_delta"]) for m in self.movements]

    @property
    def places(self) -> list[tuple[str, str, str, int]]:
        """Warehouse, SKU, movement, quantity."""
        return [(m["warehouse_id"], m["sku"], m["movement"], m["quantity"]) for m in self.movements]

    @property
    def archive(self) -> list[str]:
        return [event["type"] for event in self.eligibility]

    @property
    def answer(self) -> Fields:
        (event,) = self.eligibility
        return event

    @property
    def drifts(self) -> list[tuple[str, str, int, int, bool]]:
        """Measure, SKU, expected, actual, adopted."""
        return [
            (event["measure"], event["sku"], event["expected"], event["actual"], event["adopted"])
            for event in self.drift
            if event["type"] == "drift.detected"
        ]

    @property
    def summary(self) -> Fields:
        (event,) = (event for event in self.drift if event["type"] == "drift.summary")
        return event


class ExampleShop(ABC):
    """Order "o", sub-order "s", return "r", warehouse "w" and SKU "k", unless an event names others.

    `at` of an event and `now` of the records are minutes.
    """

    def __init__(self) -> None:
        self.now = 60

    @abstractmethod
    def send(self, body: Fields | bytes | None, *, topic: Topic | None = None, headers: Headers = ()) -> Result:
        """Send any value. Without a topic, a body goes where its type belongs."""

    @abstractmethod
    def stock(self, sku: str = "k", warehouse_id: str = "w") -> tuple[int | None, int]:
        """On hand and frozen of a key."""

    @abstractmethod
    def order_view(self, order_id: str = "o") -> Fields:
        """Status, eligible, sub_orders and units of an order."""

    def say(self, kind: str, at: int = 0, /, **fields: object) -> Result:
        return self.send(body_of(kind, at, **fields))

    def count(self, on_hand: int | Mapping[str, int], as_of: int, /, **fields: object) -> Result:
        return self.say("stock.counted", as_of, **counted(on_hand, as_of, **fields))

    def order(self, quantity: int, at: int = 0, /, **fields: object) -> Result:
        return self.say("order.created", at, **{"lines": ordered(quantity), **fields})

    def sub_order(self, quantity: int, at: int = 0, /, **fields: object) -> Result:
        return self.say("sub_order.created", at, **{"lines": lines(quantity), **fields})

    def units(self, order_id: str = "o") -> list[UnitRow]:
        rows: list[UnitRow] = self.order_view(order_id)["units"]
        return rows

    def status(self) -> str:
        return str(self.order_view()["status"])

    def sub_order_status(self, sub_order_id: str = "s") -> str:
        return str(self.order_view()["sub_orders"][sub_order_id])


class ModelShop(ExampleShop):
    """The model of `tests/model`: the contract's sentences, worked out anew with every record."""

    def __init__(self, policies: AccountPolicies = PLAIN) -> None:
        super().__init__()
        self._model = Model(0, 1, "", ModelPolicies(**asdict(policies)))
        self._offsets = count()

    def send(self, body: Fields | bytes | None, *, topic: Topic | None = None, headers: Headers = ()) -> Result:
        value = json.dumps(body).encode() if isinstance(body, dict) else body
        where = str(topic or topic_of(body["type"] if isinstance(body, dict) else ""))
        timestamp = START_MS + self.now * MINUTE_MS
        known = tuple((name, value or b"") for name, value in headers)
        return _of_step(self._model.feed(Record(where, 0, next(self._offsets), timestamp, b"a", value, known)))

    def stock(self, sku: str = "k", warehouse_id: str = "w") -> tuple[int | None, int]:
        sums = self._model.account("a").ground.stock()[warehouse_id, sku]
        return sums.on_hand, sums.open

    def order_view(self, order_id: str = "o") -> Fields:
        view = self._model.account("a").status(order_id)
        rows = sorted((tuple(row.values()) for row in view["units"]), key=str)
        return {**{name: view[name] for name in ("status", "eligible", "sub_orders")}, "units": rows}


class LedgerShop(ExampleShop):
    """The worker's processor and its ledger, over the wire."""

    def __init__(self, policies: AccountPolicies = PLAIN) -> None:
        super().__init__()
        self._shop = ledger.Shop(policies)

    def send(self, body: Fields | bytes | None, *, topic: Topic | None = None, headers: Headers = ()) -> Result:
        self._shop.now = self.now
        outcome = self._shop.process(body, topic=topic, headers=headers)
        return _of_flushed(self._shop.flush(outcome))

    def stock(self, sku: str = "k", warehouse_id: str = "w") -> tuple[int | None, int]:
        return self._shop.stock(sku, warehouse_id)

    def order_view(self, order_id: str = "o") -> Fields:
        view = self._shop.view(order_id)
        rows = sorted(view.units, key=str)
        return {"status": view.status, "eligible": view.eligible, "sub_orders": dict(view.sub_orders), "units": rows}


def _of_step(step: Step) -> Result:
    levels = [{"warehouse_id": key[1], "sku": key[2], **level} for key, level in step.levels.items()]
    return Result(
        set(step.outcomes),
        step.code,
        step.dead_letter_id,
        step.movements,
        levels,
        step.eligibility,
        step.drift,
        sorted(step.alerts),
    )


def _of_flushed(flushed: ledger.Flushed) -> Result:
    code = dead_letter_id = None
    for record in flushed.of(Topic.DEAD_LETTERS):
        headers = {name: (value or b"").decode() for name, value in record.headers}
        code = headers["error-code"]
        dead_letter_id = "/".join(headers[f"source-{name}"] for name in ("topic", "partition", "offset"))
    return Result(
        {str(flushed.outcome)},
        code,
        dead_letter_id,
        flushed.events(Topic.MOVEMENTS),
        flushed.levels,
        [eligibility_row(event) for event in flushed.events(Topic.ELIGIBILITY)],
        [drift_row(event) for event in flushed.events(Topic.DRIFT)],
        alert_rows(flushed.events(Topic.ALERTS)),
    )
