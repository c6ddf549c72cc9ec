"""What one transaction must have written, by the independent model: held against what is read in each output topic."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from tests.model.alerts import change_of, ended_of, is_without_cause
from tests.model.output_fields import ENVELOPE
from tests.model.reading import time_ms
from tests.model.run import Record, Step
from tests.simulator.audit.findings import Kind, Wrong

MOVEMENTS = "stock.movements.v1"
LEVELS = "stock.levels.v1"
STATUS = "orders.status.v1"
ELIGIBILITY = "orders.archive-eligibility.v1"
DRIFT = "stock.drift.v1"
ALERTS = "orders.alerts.v1"
DEAD_LETTERS = "dead-letters.v1"
OUTPUTS = (MOVEMENTS, LEVELS, STATUS, ELIGIBILITY, DRIFT, ALERTS, DEAD_LETTERS)

TYPES = {
    MOVEMENTS: ("stock.moved",),
    LEVELS: ("stock.level_changed",),
    STATUS: ("order.status_changed",),
    ELIGIBILITY: ("archive.eligible", "archive.revoked", "archive.rejected"),
    DRIFT: ("drift.detected", "drift.summary"),
    ALERTS: ("alert.raised", "alert.cleared"),
}
NO_LEVEL = {"on_hand": None, "frozen": 0, "available": None, "publishable": None, "as_of": None}

Latest = dict[bytes, dict[str, Any]]


class Seen(Protocol):
    """A record as a read_committed reader gets it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class Taken(NamedTuple):
    """An input record of the transaction, and what the model makes of it. `source` is its place."""

    record: Record
    step: Step
    source: str


@dataclass
class Transaction:
    """A transaction whose state was read: what its outputs must be. `levels` and `statuses` are all that may appear."""

    number: int
    taken: list[Taken]
    levels: Latest = field(default_factory=dict)
    statuses: Latest = field(default_factory=dict)
    changed: set[bytes] = field(default_factory=set)
    """Keys of levels and statuses that are not as they were before: they must appear."""

    def requires(self, topic: str) -> bool:
        """Whether something must be found in an output topic."""
        match topic:
            case "stock.levels.v1":
                return not self.changed.isdisjoint(self.levels)
            case "orders.status.v1":
                return not self.changed.isdisjoint(self.statuses)
            case "dead-letters.v1":
                return any(taken.step.dead_letter_id is not None for taken in self.taken)
            case "orders.alerts.v1":
                return any(taken.step.alerts or taken.step.ended for taken in self.taken)
            case _:
                return any(_rows(topic, taken.step) for taken in self.taken)

    def owns(self, topic: str, block: Sequence[Seen]) -> bool:
        """Whether what was written together in an output topic is of this transaction."""
        if topic == DEAD_LETTERS:
            return self.requires(topic)
        events = [json.loads(record.value or b"") for record in block]
        caused = next((event for event in events if not is_without_cause(event)), None)
        if caused is None:
            return any(ended_of(events[0]) in taken.step.ended for taken in self.taken)
        first = caused["event_id"].rsplit("/", 1)[0]
        return any(taken.source == first for taken in self.taken)

    def check(self, topic: str, block: Sequence[Seen]) -> list[dict[str, Any]]:
        """Hold a block of records against what it must be; gives the events in it. Raises Wrong."""
        if topic == DEAD_LETTERS:
            self._check_dead_letters(block)
            return []
        events = [json.loads(record.value or b"") for record in block]
        for record, event in zip(block, events, strict=True):
            self._check_envelope(topic, record, event)
        if topic == LEVELS:
            self._check_latest(
                topic, self.levels, {r.key or b"": _level(e) for r, e in zip(block, events, strict=True)}
            )
        elif topic == STATUS:
            statuses = {r.key or b"": _status(e) for r, e in zip(block, events, strict=True)}
            self._check_latest(topic, self.statuses, statuses)
        else:
            self._check_rows(topic, events)
        return events

    def _check_rows(self, topic: str, events: list[dict[str, Any]]) -> None:
        """Append-only outputs: those of each input together, in the order in which the inputs were taken."""
        ended = [ended_of(event) for event in events if is_without_cause(event)]
        due = [one for taken in self.taken for one in taken.step.ended] if topic == ALERTS else []
        if sorted(ended) != sorted(due):
            raise Wrong(_kind_of(ended, due), f"{topic}: expected to end {due}, found {ended}")
        actual: list[tuple[str, list[Any]]] = []
        for event in events:
            if is_without_cause(event):
                continue
            source = event["event_id"].rsplit("/", 1)[0]
            if not actual or actual[-1][0] != source:
                actual.append((source, []))
            actual[-1][1].append(_row(topic, event))
        expected = [(taken.source, rows) for taken in self.taken if (rows := _rows(topic, taken.step))]
        if topic in (DRIFT, ALERTS):
            actual = [(source, sorted(rows, key=_text)) for source, rows in actual]
            expected = [(source, sorted(rows, key=_text)) for source, rows in expected]
        if actual != expected:
            kind = _kind_of(_flat(actual), _flat(expected))
            raise Wrong(kind, f"{topic}: expected {expected}, found {actual}")

    def _check_latest(self, topic: str, expected: Latest, actual: Latest) -> None:
        for key, content in actual.items():
            if expected.get(key) != content:
                raise Wrong(Kind.OUTPUT, f"{topic} {key!r}: expected {expected.get(key)}, found {content}")
        for key in self.changed & expected.keys() - actual.keys():
            raise Wrong(Kind.LOST, f"{topic} {key!r} changed to {expected[key]}, and no record has it")

    def _check_dead_letters(self, block: Sequence[Seen]) -> None:
        expected = [_dead_letter(taken) for taken in self.taken if taken.step.dead_letter_id is not None]
        actual = []
        for record in block:
            headers = {name: (value or b"").decode(errors="replace") for name, value in record.headers}
            place = "/".join(headers.get(f"source-{name}", "?") for name in ("topic", "partition", "offset"))
            own = [header for header in record.headers if not header[0].startswith(("error", "source-"))]
            actual.append((record.key, record.value, place, headers.get("error-code"), own))
            if not headers.get("error") or not headers.get("source-timestamp"):
                raise Wrong(Kind.OUTPUT, f"the dead letter {place} has no error or no source-timestamp")
        if actual != expected:
            raise Wrong(_kind_of(actual, expected), f"dead letters: expected {expected}, found {actual}")

    def _check_envelope(self, topic: str, record: Seen, event: dict[str, Any]) -> None:
        if is_without_cause(event):
            if record.key != event["account_id"].encode():
                raise Wrong(Kind.OUTPUT, f"{topic}/{record.offset} has the key {record.key!r}")
            return
        source = event["event_id"].rsplit("/", 1)[0]
        taken = next((taken for taken in self.taken if taken.source == source), None)
        if taken is None:
            raise Wrong(Kind.OUTPUT, f"{topic}/{record.offset} is of {source}, which is not of its transaction")
        if event["type"] not in TYPES[topic]:
            raise Wrong(Kind.OUTPUT, f"{topic}/{record.offset} has the type {event['type']}")
        cause = taken.step.event
        if cause is None:
            return
        envelope = (event["account_id"], time_ms(event["occurred_at"]), event.get("cause"))
        known = (cause["account_id"], cause["occurred_at"], cause["event_id"])
        if envelope != known:
            raise Wrong(Kind.OUTPUT, f"{topic}/{record.offset}: the envelope has {envelope}, its cause {known}")
        if topic not in (LEVELS, STATUS) and record.key != cause["account_id"].encode():
            raise Wrong(Kind.OUTPUT, f"{topic}/{record.offset} has the key {record.key!r}")


def transaction_of(number: int, taken: list[Taken], before: Latest) -> Transaction:
    """The transaction that took these inputs; `before` has the last level and status of each key, and is brought up."""
    transaction = Transaction(number, taken)
    for one in taken:
        for kind in (one.step.levels_as_before, one.step.levels):
            transaction.levels |= {long_key(*key): _placed(key, level) for key, level in kind.items()}
        for status in (one.step.statuses_as_before, one.step.statuses):
            transaction.statuses |= {long_key(*key): content for key, content in status.items()}
    for key, level in transaction.levels.items():
        unknown = {"warehouse_id": level["warehouse_id"], "sku": level["sku"], **NO_LEVEL}
        if before.get(key, unknown) != level:
            transaction.changed.add(key)
    transaction.changed |= {key for key, status in transaction.statuses.items() if before.get(key) != status}
    before |= transaction.levels
    before |= transaction.statuses
    return transaction


def long_key(*parts: str) -> bytes:
    """A key of several parts, as the contract writes it."""
    return "/".join(quote(part, safe="-._~") for part in parts).encode()


def _placed(key: tuple[str, str, str], level: dict[str, Any]) -> dict[str, Any]:
    return {"warehouse_id": key[1], "sku": key[2], **level}


def _level(event: dict[str, Any]) -> dict[str, Any]:
    level = _without_envelope(event)
    level["as_of"] = None if level["as_of"] is None else time_ms(level["as_of"])
    return level


def _status(event: dict[str, Any]) -> dict[str, Any]:
    return {**_without_envelope(event), "units": sorted(event["units"], key=str)}


def _without_envelope(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ENVELOPE}


def _rows(topic: str, step: Step) -> list[Any]:
    """What one input brings about in an append-only topic, by the model."""
    match topic:
        case "stock.movements.v1":
            return step.movements
        case "orders.archive-eligibility.v1":
            return step.eligibility
        case "stock.drift.v1":
            return step.drift
        case "orders.alerts.v1":
            return [list(change) for change in step.alerts]
        case _:
            raise AssertionError(topic)


def _row(topic: str, event: dict[str, Any]) -> Any:  # noqa: ANN401 -- whatever the model has there
    match topic:
        case "stock.movements.v1":
            return _without_envelope(event)
        case "orders.archive-eligibility.v1":
            return {name: value for name, value in event.items() if name not in ENVELOPE[1:] and name != "message"}
        case "stock.drift.v1":
            row = {name: value for name, value in event.items() if name not in ENVELOPE[1:] and name != "suspects"}
            return {**row, "as_of": time_ms(row["as_of"])}
        case "orders.alerts.v1":
            return list(change_of(event))
        case _:
            raise AssertionError(topic)


def _dead_letter(taken: Taken) -> tuple[Any, ...]:
    own = [header for header in taken.record.headers if not header[0].startswith(("error", "source-"))]
    return taken.record.key, taken.record.value, taken.step.dead_letter_id, taken.step.code, own


def _flat(grouped: list[tuple[str, list[Any]]]) -> list[tuple[str, Any]]:
    return [(source, row) for source, rows in grouped for row in rows]


def _kind_of(actual: Sequence[Any], expected: Sequence[Any]) -> Kind:
    """How to call a difference of two lists: more of it, less of it, or other."""
    more, fewer = list(_beyond(actual, expected)), list(_beyond(expected, actual))
    if fewer and not more:
        return Kind.LOST
    return Kind.DOUBLED if more and not fewer else Kind.OUTPUT


def _beyond(some: Sequence[Any], others: Sequence[Any]) -> Iterator[Any]:
    left = list(others)
    for one in some:
        if one in left:
            left.remove(one)
        else:
            yield one


def _text(row: object) -> str:
    return json.dumps(row, sort_keys=True)
