"""Counts in parts: what is adopted, what is compared, and the summary of a snapshot (contract section 6).

Unlike an order's facts, counts depend on the order they are processed in (a drift is what differed *then*), so this
part of the model is a small state that takes each part in turn.

Choices where the contract leaves room:
- `adopted` of a drift of `on_hand` is whether this count became the base of its key. A `reserved` never becomes one.
- A SKU *had something to compare with* if a comparison was made: of on_hand (the count is greater and the key has
  one) or of reserved.
- `missing_in_ledger` is judged when a part is taken, before its counts are adopted; `missing_in_count` when the
  last part is.
- A snapshot is no longer remembered also if it is seen for the first time only after a greater one of its origin
  and warehouse was complete.
- A key counted 0 by absence has part 0: no part of that snapshot names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.model.reading import DAY_MS, Event
from tests.model.stock import NOTHING, Count, Ground, Key, Version


@dataclass
class Snapshot:
    """A remembered snapshot: what its parts had, and what came of comparing them."""

    origin: str
    snapshot_id: str
    warehouse_id: str
    as_of: int
    parts: int
    absent: str | None
    contents: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    checked: set[str] = field(default_factory=set)
    drifted: set[str] = field(default_factory=set)
    new_to_ledger: set[str] = field(default_factory=set)

    @property
    def age(self) -> tuple[int, str]:
        return self.as_of, self.snapshot_id

    @property
    def complete(self) -> bool:
        return len(self.contents) == self.parts

    @property
    def skus(self) -> set[str]:
        return {count["sku"] for counts in self.contents.values() for count in counts}


@dataclass
class Reconciler:
    """The counts of one account. `journal`: (occurred_at, key, frozen_delta) of all movements of the account so far."""

    ground: Ground
    policy: str = "adopt"
    count_origin: str = "any"
    journal: list[tuple[int, Key, int]] = field(default_factory=list)
    snapshots: dict[tuple[str, str, str], Snapshot] = field(default_factory=dict)
    latest_complete: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)

    def known(self, event: Event) -> Snapshot | None:
        return self.snapshots.get((event["origin"], event["snapshot_id"], event["warehouse_id"]))

    def standing(self, event: Event) -> str:
        """What a part is by its identity: "new", "duplicate" or "conflict".

        "forgotten": of a snapshot that is no longer remembered.
        """
        snapshot = self.known(event)
        if snapshot is None:
            complete = self.latest_complete.get((event["origin"], event["warehouse_id"]))
            forgotten = complete is not None and (event["as_of"], event["snapshot_id"]) < complete
            return "forgotten" if forgotten else "new"
        if (event["parts"], event["as_of"], event.get("absent")) != (snapshot.parts, snapshot.as_of, snapshot.absent):
            return "conflict"
        if event["part"] not in snapshot.contents:
            return "new"
        return "duplicate" if snapshot.contents[event["part"]] == event["counts"] else "conflict"

    def take(self, event: Event, timestamp_ms: int) -> tuple[set[str], list[dict[str, Any]]]:
        """A part that is new or forgotten: the outcomes it may have, and the drift events."""
        if self.standing(event) == "forgotten":
            return self._take_forgotten(event)
        place = (event["origin"], event["snapshot_id"], event["warehouse_id"])
        snapshot = self.snapshots.setdefault(
            place, Snapshot(*place, event["as_of"], event["parts"], event.get("absent"))
        )
        drifts = []
        frozen = {key: sums.open for key, sums in self.ground.stock().items()}
        for count in event["counts"]:
            key = (event["warehouse_id"], count["sku"])
            if key not in self.ground.counts:
                snapshot.new_to_ledger.add(count["sku"])
            found, compared, _ = self._compare(event, key, count["on_hand"], event["part"])
            if "reserved" in count and event["as_of"] >= timestamp_ms - DAY_MS:
                compared = True
                later = sum(delta for at, k, delta in self.journal if k == key and at > event["as_of"])
                found += _drift(event, key, "reserved", frozen.get(key, 0) - later, count["reserved"], adopted=False)
            drifts += self._note(snapshot, count["sku"], found, compared=compared)
        snapshot.contents[event["part"]] = event["counts"]
        if snapshot.complete:
            drifts += self._complete(snapshot, event)
        return {"applied"}, drifts

    def _take_forgotten(self, event: Event) -> tuple[set[str], list[dict[str, Any]]]:
        drifts = []
        changed = False
        greater = False
        for count in event["counts"]:
            key = (event["warehouse_id"], count["sku"])
            greater |= self._is_greater(key, self._version(event, event["part"]))
            found, _, adopted = self._compare(event, key, count["on_hand"], event["part"])
            changed |= adopted
            drifts += found
        if changed or drifts:
            return {"applied"}, drifts
        return ({"applied", "stale"} if greater else {"stale"}), drifts

    def _compare(self, event: Event, key: Key, actual: int, part: int) -> tuple[list[dict[str, Any]], bool, bool]:
        """Hold one count against the ledger, and adopt it if it may be: (drifts, was compared, was adopted)."""
        version = self._version(event, part)
        if event["origin"] == "marketplace" or not self._is_greater(key, version):
            return [], False, False
        previous = self.ground.counts.get(key)
        adopted = self.count_origin in ("any", event["origin"]) and (previous is None or self.policy == "adopt")
        drifts = []
        if previous is not None:
            expected = previous.on_hand + self.ground.flows_between(key, previous.version.as_of, version.as_of)
            drifts = _drift(event, key, "on_hand", expected, actual, adopted=adopted)
        if adopted:
            self.ground.counts[key] = Count(version, actual)
        return drifts, previous is not None, adopted

    def _is_greater(self, key: Key, version: Version) -> bool:
        previous = self.ground.counts.get(key)
        return previous is None or version > previous.version

    @staticmethod
    def _version(event: Event, part: int) -> Version:
        return Version(event["as_of"], event["origin"], event["snapshot_id"], part)

    @staticmethod
    def _note(snapshot: Snapshot, sku: str, drifts: list[dict[str, Any]], *, compared: bool) -> list[dict[str, Any]]:
        if compared:
            snapshot.checked.add(sku)
        if drifts:
            snapshot.drifted.add(sku)
        return drifts

    def _complete(self, snapshot: Snapshot, event: Event) -> list[dict[str, Any]]:
        place = (snapshot.origin, snapshot.warehouse_id)
        stock = self.ground.stock()
        lacking = {sku for w, sku in stock if w == snapshot.warehouse_id} - snapshot.skus
        sums = {sku: stock.get((snapshot.warehouse_id, sku), NOTHING) for sku in lacking}
        missing = {sku for sku, s in sums.items() if s.on_hand or s.open}
        drifts = []
        if snapshot.absent == "zero":
            for sku in sorted(lacking):
                if (snapshot.warehouse_id, sku) in self.ground.counts:
                    found, compared, _ = self._compare(event, (snapshot.warehouse_id, sku), 0, 0)
                    drifts += self._note(snapshot, sku, found, compared=compared)
        self.latest_complete[place] = snapshot.age
        for name, other in list(self.snapshots.items()):
            if (other.origin, other.warehouse_id) == place and other.age < snapshot.age:
                del self.snapshots[name]
        checked, drifted = len(snapshot.checked), len(snapshot.drifted)
        drifts.append(
            {
                "type": "drift.summary",
                "origin": snapshot.origin,
                "snapshot_id": snapshot.snapshot_id,
                "warehouse_id": snapshot.warehouse_id,
                "as_of": snapshot.as_of,
                "skus_checked": checked,
                "skus_drifted": drifted,
                "error_rate": drifted / checked if checked else 0,
                "missing_in_count": _listed(missing),
                "missing_in_ledger": _listed(snapshot.new_to_ledger),
            }
        )
        return drifts


def _listed(skus: set[str]) -> dict[str, Any]:
    return {"count": len(skus), "skus": sorted(skus)[:100]}


def _drift(event: Event, key: Key, measure: str, expected: int, actual: int, *, adopted: bool) -> list[dict[str, Any]]:
    if expected == actual:
        return []
    return [
        {
            "type": "drift.detected",
            "measure": measure,
            "origin": event["origin"],
            "snapshot_id": event["snapshot_id"],
            "warehouse_id": key[0],
            "sku": key[1],
            "as_of": event["as_of"],
            "expected": expected,
            "actual": actual,
            "drift": actual - expected,
            "adopted": adopted,
        }
    ]
