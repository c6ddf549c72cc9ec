"""What must hold of the outputs alone, whatever the inputs were: the invariants of the contract, section 10."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from tests.model.alerts import AlertHistory
from tests.simulator.audit.expected import ALERTS, LEVELS, MOVEMENTS, STATUS, Seen, long_key
from tests.simulator.audit.findings import Kind, Wrong

TERMINAL = {"delivered", "cancelled", "returned", "failed_to_deliver"}


class Books:
    """The sums of a partition's journal, the latest level of each key, the latest status of each order."""

    def __init__(self) -> None:
        self.levels: dict[bytes, dict[str, Any]] = {}
        self.statuses: dict[bytes, dict[str, Any]] = {}
        self._frozen: Counter[bytes] = Counter()
        self._on_hand: Counter[bytes] = Counter()
        self._open: dict[bytes, Counter[bytes]] = defaultdict(Counter)
        """Open units by stock key, of each order."""
        self._ids: dict[str, str] = {}
        self._touched: set[bytes] = set()
        self._alerts = AlertHistory()

    def take(self, topic: str, block: Sequence[Seen], events: Sequence[dict[str, Any]]) -> None:
        """Enter what one transaction wrote to a topic. Raises Wrong where a record is wrong in itself."""
        for event in events:
            self._take_id(topic, event)
        if topic == MOVEMENTS:
            for event in events:
                self._move(event)
        elif topic == ALERTS:
            for problem in filter(None, map(self._alerts.take, events)):
                raise Wrong(Kind.DOUBLED, f"{ALERTS}: {problem}")
        elif topic == LEVELS:
            for record, event in zip(block, events, strict=True):
                self.levels[record.key or b""] = event
                self._touched.add(record.key or b"")
        elif topic == STATUS:
            for record, event in zip(block, events, strict=True):
                self._take_status(record.key or b"", event)

    def check_touched(self) -> None:
        """Every key that was touched since: journal, level and open units agree. Raises Wrong."""
        touched, self._touched = self._touched, set()
        for key in touched:
            self._check(key)

    def check_all(self) -> None:
        """The same for every key. Raises Wrong."""
        for key in {*self.levels, *self._frozen, *self._on_hand}:
            self._check(key)

    def _take_id(self, topic: str, event: dict[str, Any]) -> None:
        """No output is written twice: each event_id belongs to one output."""
        event_id = event["event_id"]
        if event_id in self._ids:
            raise Wrong(Kind.DOUBLED, f"the event_id {event_id} is in {self._ids[event_id]} and again in {topic}")
        self._ids[event_id] = topic

    def _move(self, event: dict[str, Any]) -> None:
        key = long_key(event["account_id"], event["warehouse_id"], event["sku"])
        self._frozen[key] += event["frozen_delta"]
        self._on_hand[key] += event["on_hand_delta"]
        self._touched.add(key)
        if (self._frozen[key], self._on_hand[key]) != (event["frozen"], event["on_hand"] or 0):
            raise Wrong(Kind.BOOKS, f"the journal's sums of {key!r} are not the balance of {event['event_id']}")

    def _take_status(self, key: bytes, event: dict[str, Any]) -> None:
        self.statuses[key] = event
        units: Counter[bytes] = Counter()
        for unit in event["units"]:
            if min(unit["open"], unit["shipped"], unit["cancelled"]) < 0:
                raise Wrong(Kind.BOOKS, f"{key!r} has less than nothing: {unit}")
            units[long_key(event["account_id"], unit["warehouse_id"], unit["sku"])] += unit["open"]
        self._touched |= {*self._open[key], *units}
        self._open[key] = units
        leaves = {status for status in event["sub_orders"].values() if status not in ("superseded", "withdrawn")}
        if event["eligible"] and (not leaves <= TERMINAL or any(units.values())):
            raise Wrong(Kind.BOOKS, f"{key!r} is eligible: {json.dumps(event)}")

    def _check(self, key: bytes) -> None:
        level = self.levels.get(key, {"frozen": 0, "on_hand": None})
        open_units = sum(units[key] for units in self._open.values())
        if not level["frozen"] == self._frozen[key] == open_units:
            raise Wrong(
                Kind.BOOKS,
                f"{key!r}: the level has {level['frozen']} frozen, the journal {self._frozen[key]}, "
                f"the orders {open_units}",
            )
        if (level["on_hand"] or 0) != self._on_hand[key]:
            raise Wrong(Kind.BOOKS, f"{key!r}: on hand {level['on_hand']}, by the journal {self._on_hand[key]}")
