"""The real processor must do what the independent model says, record by record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import Topic
from tests.model.alerts import AlertHistory
from tests.model.output_fields import ENVELOPE
from tests.model.run import AccountPolicies, Model, Record
from tests.property.comparison import differences, end_differences
from tests.property.drafts import PARTITION, PARTITION_COUNT, PREFIX, RULES, Menu
from tests.property.histories import histories, long_history
from tests.property.real import Real, Written

ALWAYS_ONE_EACH = (Topic.MOVEMENTS, Topic.ELIGIBILITY, Topic.DRIFT, Topic.ALERTS, Topic.DEAD_LETTERS)


def hold_against_each_other(records: Sequence[Record], policies: AccountPolicies) -> None:
    model = Model(PARTITION, PARTITION_COUNT, PREFIX, policies)
    real = Real(policies)
    alerts = AlertHistory()
    for number, record in enumerate(records):
        step = model.feed(record)
        outcome, written = real.feed(record)
        found = differences(step, outcome, written, record)
        found += filter(None, map(alerts.take, written.events(Topic.ALERTS)))
        assert not found, f"record {number} {record}\n" + "\n".join(found)
    found = end_differences(model, real)
    assert not found, "\n".join(found)


@given(histories(Menu()), st.sampled_from(RULES))
def test_every_record_has_the_outcome_and_the_outputs_of_the_model(
    records: list[Record], policies: AccountPolicies
) -> None:
    hold_against_each_other(records, policies)


@given(histories(Menu(counts=False, taking_back=True)), st.sampled_from(RULES))
def test_what_is_taken_back_counts_for_nothing_as_in_the_model(
    records: list[Record], policies: AccountPolicies
) -> None:
    hold_against_each_other(records, policies)


@given(histories(Menu(jumps=True), 4), st.sampled_from(RULES))
def test_orders_leave_and_late_events_are_refused_as_in_the_model(
    records: list[Record], policies: AccountPolicies
) -> None:
    hold_against_each_other(records, policies)


@pytest.mark.parametrize("seed", range(12))
def test_a_long_history_has_the_outcomes_and_the_outputs_of_the_model(seed: int) -> None:
    hold_against_each_other(long_history(seed, 250), RULES[seed % len(RULES)])


@given(histories(Menu(jumps=True)), st.sampled_from(RULES), st.randoms(use_true_random=False))
def test_what_is_written_does_not_depend_on_where_transactions_end(
    records: list[Record], policies: AccountPolicies, chance: Random
) -> None:
    singly, together = Real(policies), Real(policies)
    single, coalesced = Written(), Written()
    for record in records:
        outcome, written = singly.feed(record)
        single.records += written.records
        assert together.process(record) == outcome
        if chance.randint(0, 3) == 0:
            coalesced.records += together.flush().records
    coalesced.records += together.flush().records
    for topic in ALWAYS_ONE_EACH:
        assert coalesced.of(topic) == single.of(topic)
    for topic in (Topic.LEVELS, Topic.STATUS):
        assert plain(coalesced, topic) == plain(single, topic)
    assert together.live_state() == singly.live_state()


def plain(written: Written, topic: Topic) -> dict[bytes, str]:
    """The last record of each key, without its envelope, which depends on where the transaction ended."""
    return {
        key: json.dumps({name: value for name, value in event.items() if name not in ENVELOPE})
        for key, event in written.latest(topic).items()
    }
