"""The demo's story is valid, the same each time, and foretells what comes out of it."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.decoding import decode
from schemas.topics import Topic
from tests.model.reading import partition_of
from tests.model.run import Model, Record, Step
from worker.demo.disturbance import Delivery, calm, disturb, injected
from worker.demo.retail import RowKind, read_invoices
from worker.demo.scenario import SPAN_HOURS, Scenario, scenario_of
from worker.demo.schedule import HOUR_MS
from worker.demo.shelves import ShelfLevel, StockKey

NOW_MS = 1_790_000_000_000
PARTITIONS = 3


@cache
def whole() -> Scenario:
    return scenario_of(read_invoices(), now_ms=NOW_MS)


@cache
def small() -> Scenario:
    """A few invoices of every kind: the auditor recomputes all that it knows with every event."""
    invoices = read_invoices()
    some = [invoice for invoice in invoices if len(invoice.goods) < 12][:45]
    others = [invoice for invoice in invoices if invoice.kind is not RowKind.SALE]
    return scenario_of([*some, *others[:12]], now_ms=NOW_MS, seed=3)


class Audit:
    """The records of deliveries as they would lie in the topics, through the independent reading of the contract."""

    def __init__(self) -> None:
        self.models = [Model(partition, PARTITIONS) for partition in range(PARTITIONS)]
        self.offsets: Counter[tuple[Topic, int]] = Counter()

    def feed(self, delivery: Delivery) -> Step:
        partition = (partition_of(delivery.key.decode(), PARTITIONS) + delivery.misplaced) % PARTITIONS
        offset = self.offsets[delivery.topic, partition]
        self.offsets[delivery.topic, partition] += 1
        record = Record(delivery.topic, partition, offset, NOW_MS, delivery.key, delivery.value)
        return self.models[partition].feed(record)

    def levels(self) -> dict[StockKey, ShelfLevel]:
        found = {}
        for model in self.models:
            for account_id, account in model.accounts.items():
                for (warehouse_id, sku), sums in account.ground.stock().items():
                    assert sums.on_hand is not None
                    found[StockKey(account_id, warehouse_id, sku)] = ShelfLevel(sums.on_hand, sums.open)
        return found

    def eligible(self) -> set[tuple[str, str]]:
        return {
            (account_id, order_id)
            for model in self.models
            for account_id, account in model.accounts.items()
            for order_id in account.ground.orders
            if account.is_eligible(order_id)
        }


def test_every_event_is_valid_and_of_its_topic() -> None:
    for delivery in calm([*whole().events, *whole().requests]):
        event = decode(delivery.topic, delivery.value).event
        assert event.account_id.encode() == delivery.key


def test_the_story_is_the_same_for_a_seed_and_another_for_another() -> None:
    invoices = read_invoices()
    assert scenario_of(invoices, now_ms=NOW_MS) == whole()
    assert scenario_of(invoices, now_ms=NOW_MS, seed=2).events != whole().events
    assert disturb(whole().events, now_ms=NOW_MS) == disturb(whole().events, now_ms=NOW_MS)


def test_events_come_in_the_order_of_their_times_and_before_now() -> None:
    times = [event.occurred_at_ms for event in whole().events]
    assert times == sorted(times)
    assert times[0] >= NOW_MS - SPAN_HOURS * HOUR_MS
    assert times[-1] < NOW_MS


def test_the_story_has_every_type_of_event_and_orders_of_every_condition() -> None:
    types = {str(event.value["type"]) for event in [*whole().events, *whole().requests]}
    assert len(types) == 17  # all of the contract but the operators' `dead_letter.discarded`
    answers = {whole().answer_to(request, frozenset(list(whole().eligible)[:100])) for request in whole().requests}
    assert answers == {"eligible", "NOT_FOUND", "VALIDATION_ERROR", "RETURN_IN_PROGRESS", "DEAD_LETTERED"}


def test_the_books_agree_with_the_auditor_after_a_calm_day() -> None:
    audit = Audit()
    outcomes = Counter(outcome for delivery in calm(small().events) for outcome in audit.feed(delivery).outcomes)
    assert set(outcomes) <= {"applied", "stale"}
    assert audit.levels() == small().levels
    assert audit.eligible() == small().eligible


def test_the_auditor_finds_exactly_what_was_injected_and_the_same_end() -> None:
    audit = Audit()
    deliveries = disturb(small().events, now_ms=NOW_MS, seed=5, repeats=0.2, late=0.3)
    for delivery in deliveries:
        step = audit.feed(delivery)
        assert step.code == delivery.code, delivery
        assert (step.outcomes == {"duplicate"}) is delivery.repeat, delivery
    assert audit.levels() == small().levels
    assert audit.eligible() == small().eligible - injected(deliveries).blocked


def test_the_auditor_finds_exactly_the_drift_that_was_planted() -> None:
    audit = Audit()
    found = []
    for delivery in disturb(small().events, now_ms=NOW_MS, seed=7):
        account_id = delivery.key.decode()
        for event in audit.feed(delivery).drift:
            if event["type"] == "drift.detected":
                key = StockKey(account_id, event["warehouse_id"], event["sku"])
                found.append((event["measure"], key, event["snapshot_id"], event["drift"]))
    assert sorted(found) == sorted(tuple(planted) for planted in small().planted)
    assert {planted.measure for planted in small().planted} == {"on_hand", "reserved"}


def test_archive_requests_are_answered_as_foretold() -> None:
    audit = Audit()
    deliveries = disturb(small().events, now_ms=NOW_MS, seed=9)
    for delivery in deliveries:
        audit.feed(delivery)
    blocked = injected(deliveries).blocked
    for request, delivery in zip(small().requests, calm(small().requests), strict=True):
        (answer,) = audit.feed(delivery).eligibility
        shown = answer["code"] if answer["type"] == "archive.rejected" else "eligible"
        assert shown == small().answer_to(request, blocked)


def test_a_disturbed_story_tells_every_event_and_what_was_added() -> None:
    deliveries = disturb(whole().events, now_ms=NOW_MS, broken_each=4)
    counted = injected(deliveries)
    assert counted.broken == dict.fromkeys(DEAD_LETTER_CODES, 4)
    assert counted.repeats > 100
    assert counted.late > 100
    assert counted.early > 0
    good = [delivery for delivery in deliveries if delivery.code is None and not delivery.repeat]
    unfenced = Counter(delivery._replace(fenced=False) for delivery in good)
    assert unfenced == Counter(delivery._replace(fenced=False) for delivery in calm(whole().events))


def test_every_run_of_counts_is_fenced() -> None:
    deliveries = disturb(whole().events, now_ms=NOW_MS)
    kinds = [b'"stock.counted"' in delivery.value for delivery in deliveries]
    starts = [
        number for number, (before, now) in enumerate(zip([False, *kinds], kinds, strict=False)) if now and not before
    ]
    assert [number for number, delivery in enumerate(deliveries) if delivery.fenced] == starts
    assert len(starts) >= 5


def test_a_system_without_sub_orders_gets_more_keys_wrong() -> None:
    planted = sum(planted.measure == "on_hand" for planted in whole().planted)
    counted = sum(len(json.loads(d.value)["counts"]) for d in calm(whole().events) if b'"day-' in d.value)
    assert whole().order_level_error > 5 * planted / counted
