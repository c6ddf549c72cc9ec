"""What the model says and what the real thing wrote, side by side: every difference as one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from schemas.topics import Topic
from tests.model.alerts import CRITICAL, ID_NAMES, RAISED, Change, change_of, ended_of, is_without_cause
from tests.model.output_fields import ENVELOPE
from tests.model.reading import time_ms
from tests.model.run import Model, Record, Step
from tests.property.drafts import PREFIX
from tests.property.real import Real as RealThing
from tests.property.real import Written, levels_of, long_key, statuses_of
from worker.stream.processor import Outcome


def differences(step: Step, outcome: Outcome, written: Written, record: Record) -> list[str]:
    """Of one record, flushed alone."""
    return [
        *_differ("outcome", sorted(step.outcomes), [str(outcome)], same=str(outcome) in step.outcomes),
        *_dead_letters(step, written, record),
        *_movements(step, written),
        *_differ("levels", _level_map(step), _levels(written, step)),
        *_differ("statuses", _status_map(step), _statuses(written, step)),
        *_differ("eligibility", step.eligibility, [eligibility_row(e) for e in written.events(Topic.ELIGIBILITY)]),
        *_differ("drift", _ordered(step.drift), _ordered([drift_row(e) for e in written.events(Topic.DRIFT)])),
        *_alerts(step, written),
        *_envelopes(step, written, record),
    ]


def end_differences(model: Model, real: RealThing) -> list[str]:
    """Of the states after the same records."""
    levels = {}
    statuses = {}
    pending = {}
    for account_id, account in model.accounts.items():
        for key, sums in account.ground.stock().items():
            if sums.open or sums.count is not None:
                levels[account_id, *key] = sums.level(account.policies.buffer)
        for order_id in account.ground.orders:
            statuses[account_id, order_id] = account.status(order_id)
            pending[account_id, order_id] = sorted(account.pending.get(order_id, ()))
    views = {(view.account_id, view.order_id): sorted(view.dead_letters) for view in real.processor.ledger.orders()}
    held: dict[str, int] = {}
    for account in model.accounts.values():
        for condition in account.holding(account.ground.stock()):
            held[condition.alert] = held.get(condition.alert, 0) + 1
    open_ = {alert: count for alert, count in real.processor.alerts_open().items() if count}
    return [
        *_differ("alerts that hold at the end", held, open_),
        *_differ("levels at the end", levels, levels_of(real)),
        *_differ("statuses at the end", statuses, statuses_of(real)),
        *_differ("pending dead letters at the end", pending, {key: views.get(key) for key in pending}),
    ]


def _differ(what: str, expected: object, actual: object, *, same: bool | None = None) -> Iterator[str]:
    if not (expected == actual if same is None else same):
        yield f"{what}:\n    model {_shown(expected, actual)}\n    real  {_shown(actual, expected)}"


def _shown(mine: object, other: object) -> object:
    """Of two dicts only what differs."""
    if isinstance(mine, dict) and isinstance(other, dict):
        return {key: value for key, value in mine.items() if key not in other or other[key] != value}
    return mine


def _ordered(rows: list[Any]) -> list[Any]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))


def _without_envelope(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ENVELOPE}


def movement_rows(written: Written) -> list[dict[str, Any]]:
    return [_without_envelope(event) for event in written.events(Topic.MOVEMENTS)]


def _movements(step: Step, written: Written) -> Iterator[str]:
    yield from _differ("movements", step.movements, movement_rows(written))


def _level_map(step: Step) -> dict[bytes, dict[str, Any]]:
    return {long_key(*key): {"warehouse_id": key[1], "sku": key[2], **level} for key, level in step.levels.items()}


def _levels(written: Written, step: Step) -> dict[bytes, dict[str, Any]]:
    """The levels written, but for those that say again what was so before: the contract does not forbid them."""
    as_before = {long_key(*key): level for key, level in step.levels_as_before.items()}
    levels = {}
    for key, event in written.latest(Topic.LEVELS).items():
        level = _without_envelope(event)
        level["as_of"] = None if level["as_of"] is None else time_ms(level["as_of"])
        if as_before.get(key) != {name: value for name, value in level.items() if name not in ("warehouse_id", "sku")}:
            levels[key] = level
    return levels


def _status_map(step: Step) -> dict[bytes, dict[str, Any]]:
    return {long_key(*key): status for key, status in step.statuses.items()}


def _statuses(written: Written, step: Step) -> dict[bytes, dict[str, Any]]:
    """The statuses written, but for one that says again what was so before."""
    as_before = {long_key(*key): status for key, status in step.statuses_as_before.items()}
    statuses = {}
    for key, event in written.latest(Topic.STATUS).items():
        status = {**_without_envelope(event), "units": sorted(event["units"], key=str)}
        if as_before.get(key) != status:
            statuses[key] = status
    return statuses


def eligibility_row(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in ENVELOPE[1:] and name != "message"}


def drift_row(event: dict[str, Any]) -> dict[str, Any]:
    plain = {name: value for name, value in event.items() if name not in ENVELOPE[1:] and name != "suspects"}
    plain["as_of"] = time_ms(plain["as_of"])
    return plain


def alert_rows(events: list[dict[str, Any]]) -> list[Change]:
    """What was raised and cleared with a cause."""
    return sorted(change_of(event) for event in events if not is_without_cause(event))


def _alerts(step: Step, written: Written) -> Iterator[str]:
    events = written.events(Topic.ALERTS)
    yield from _differ("alerts", sorted(step.alerts), alert_rows(events))
    ended = [ended_of(event) for event in events if is_without_cause(event)]
    yield from _differ("alerts that ended", sorted(step.ended), sorted(ended))
    for event in events:
        fields = {*ENVELOPE, "alert_id", "alert", *ID_NAMES}
        fields |= {"severity", "detail"} if event["type"] == RAISED else set()
        if not event.keys() <= fields:
            yield f"{event['type']} has {sorted(event.keys() - fields)}"


def _dead_letters(step: Step, written: Written, record: Record) -> Iterator[str]:
    expected = []
    if step.dead_letter_id is not None:
        topic, partition, offset = step.dead_letter_id.rsplit("/", 2)
        expected = [(record.key, record.value, step.code, topic, partition, offset, True)]
    actual = []
    for letter in written.of(Topic.DEAD_LETTERS):
        headers = {name: (value or b"").decode() for name, value in letter.headers if name != "trace"}
        told = [headers.get(f"source-{name}") for name in ("topic", "partition", "offset")]
        own_kept = all(header in letter.headers for header in record.headers)
        actual.append((letter.key, letter.value, headers.get("error-code"), *told, own_kept))
        if not headers.get("error") or not headers.get("source-timestamp"):
            yield f"dead letter without error or source-timestamp: {headers}"
    yield from _differ("dead letters", expected, actual)


def _envelopes(step: Step, written: Written, record: Record) -> Iterator[str]:
    source = f"{PREFIX}{record.topic}/{record.partition}/{record.offset}/"
    ids = []
    for output in written.outputs():
        if output.topic == PREFIX + Topic.DEAD_LETTERS:
            continue
        event = json.loads(output.value or b"")
        ids.append(event["event_id"])
        if is_without_cause(event):
            continue
        if not event["event_id"].startswith(source):
            yield f"event_id {event['event_id']} is not of {source}"
        if step.event is not None:
            told = (event["account_id"], time_ms(event["occurred_at"]), event.get("cause"))
            known = (step.event["account_id"], step.event["occurred_at"], step.event["event_id"])
            yield from _differ(f"envelope of {event['type']}", known, told)
        if event["type"] == RAISED and event["severity"] != ("critical" if event["alert"] in CRITICAL else "warning"):
            yield f"severity of {event['alert']}: {event['severity']}"
        if event["type"] == "drift.detected" and len(event["suspects"]) > 10:
            yield "more than ten suspects"
    if len(set(ids)) != len(ids):
        yield f"event_ids repeat: {ids}"
