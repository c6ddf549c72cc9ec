"""Counting what the output topics hold so far, for the demo's screen and its final judgement."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson

from schemas.topics import Topic
from worker.demo.shelves import Planted, StockKey

WATCHED = (
    Topic.MOVEMENTS,
    Topic.LEVELS,
    Topic.STATUS,
    Topic.ELIGIBILITY,
    Topic.DRIFT,
    Topic.ALERTS,
    Topic.DEAD_LETTERS,
)
LATEST = 8
"""How many of the latest movements, alerts and so on are kept to be shown."""


class SeenLevel(NamedTuple):
    """The latest level of a key; None: not counted yet."""

    on_hand: int | None
    frozen: int
    available: int | None


class Tally:
    """Everything seen, by kind. `see` takes the records of the watched topics in the order of each partition."""

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, str], str] = {}
        self.eligible: set[tuple[str, str]] = set()
        self.movements: Counter[str] = Counter()
        self.latest_movements: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self.levels: dict[StockKey, SeenLevel] = {}
        self.eligibility: Counter[str] = Counter()
        self.answers: dict[str, str] = {}
        self.drift: list[Planted] = []
        self.skus_checked = 0
        self.skus_drifted = 0
        self.alerts: Counter[str] = Counter()
        self.latest_alerts: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self.dead_letters: Counter[str] = Counter()

    def see(self, topic: Topic, value: bytes | None, headers: Iterable[tuple[str, bytes | None]]) -> None:
        """Take one record. Raises KeyError or ValueError for one that does not fit the schemas."""
        if topic is Topic.DEAD_LETTERS:
            self.dead_letters[(dict(headers)["error-code"] or b"").decode()] += 1
            return
        event = orjson.loads(value or b"")
        if topic is Topic.MOVEMENTS:
            self.movements[event["movement"]] += 1
            self.latest_movements.append(event)
        elif topic is Topic.LEVELS:
            key = StockKey(event["account_id"], event["warehouse_id"], event["sku"])
            self.levels[key] = SeenLevel(event["on_hand"], event["frozen"], event["available"])
        elif topic is Topic.STATUS:
            order = (event["account_id"], event["order_id"])
            self.statuses[order] = event["status"]
            (self.eligible.add if event["eligible"] else self.eligible.discard)(order)
        elif topic is Topic.ELIGIBILITY:
            self._see_eligibility(event)
        elif topic is Topic.DRIFT:
            self._see_drift(event)
        elif topic is Topic.ALERTS and event["type"] == "alert.raised":
            self.alerts[event["alert"]] += 1
            self.latest_alerts.append(event)

    def lowest(self, count: int) -> list[tuple[StockKey, SeenLevel]]:
        """The keys with the least available stock among those that have something frozen, or are below zero."""
        known = [
            (level.available, key)
            for key, level in self.levels.items()
            if level.available is not None and (level.frozen or level.available < 0)
        ]
        return [(key, self.levels[key]) for _, key in sorted(known)[:count]]

    def _see_eligibility(self, event: dict[str, Any]) -> None:
        kind = event["type"].removeprefix("archive.")
        self.eligibility[kind] += 1
        if (cause := event.get("cause", "")).startswith("archive-"):
            self.answers[cause] = event.get("code", kind)

    def _see_drift(self, event: dict[str, Any]) -> None:
        if event["type"] == "drift.detected":
            key = StockKey(event["account_id"], event["warehouse_id"], event["sku"])
            self.drift.append(Planted(event["measure"], key, event["snapshot_id"], event["drift"]))
        elif event["origin"] != "marketplace":
            self.skus_checked += event["skus_checked"]
            self.skus_drifted += event["skus_drifted"]
