"""Transactions among the inputs: what they are made of, and what a reader sees of them."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from tests.model.reading import ORDERS, STOCK
from tests.model.run import Model, Record
from tests.simulator.history import Entry
from tests.simulator.loop import EPOCH_MS
from tests.simulator.run import run
from tests.simulator.scenario import Plan, record_of
from tests.simulator.upstream import NEVER_MS, Ending, InputTransaction, Unseen, Writing
from tests.simulator.world import Fate, Simulation

PLACED = (
    b'{"type": "order.created", "account_id": "acme", "event_id": "e", "order_id": "o", '
    b'"occurred_at": "2023-11-14T22:13:20Z", "lines": [{"sku": "k1", "quantity": 2}]}'
)
COUNTED = (
    b'{"type": "stock.counted", "account_id": "acme", "event_id": "c", "occurred_at": "2023-11-14T22:13:20Z", '
    b'"origin": "erp", "snapshot_id": "n", "part": 1, "parts": 1, "warehouse_id": "default", '
    b'"as_of": "2023-11-14T22:13:20Z", "counts": [{"sku": "k1", "on_hand": 7}]}'
)
SOURCE = (ORDERS, 0)


def test_most_aborted_records_would_move_stock_if_they_were_read() -> None:
    ends: Counter[str] = Counter()
    for plan in map(Plan.drawn, range(150)):
        for one in plan.input_transactions:
            for record in one.unseen:
                model = Model(record.partition, plan.partitions, "", plan.rules)
                for entry in plan.entries:
                    if entry.partition == record.partition and entry.at_ms <= one.begins_ms:
                        model.feed(record_of(entry, entry.index, *entry.sent({}, "nothing/0/0")))
                at_ms = max(model.stream_time, EPOCH_MS + one.begins_ms)
                step = model.feed(Record(record.topic, record.partition, 9999, at_ms, record.key, record.value))
                ends["moved" if step.movements else min(step.outcomes)] += 1
    assert ends["moved"] > ends.total() / 2
    assert ends["applied"] + ends["dead_lettered"] > 0


def test_transactions_end_in_every_way_and_carry_records_of_the_history() -> None:
    drawn = [one for seed in range(200) for one in Plan.drawn(seed).input_transactions]
    assert {one.ending for one in drawn} == {*Ending}
    assert any(one.begins_ms == 0 for one in drawn)
    assert any(len(one.sources) > 1 for one in drawn)
    for one in drawn:
        assert bool(one.unseen) == (one.ending is not Ending.COMMIT)
        assert not (one.unseen and one.carried), "what is aborted is sent by nobody again"
    assert sum(len(one.carried) for one in drawn) > len(drawn) / 2


@pytest.mark.parametrize("commit", [True, False])
def test_an_open_transaction_holds_back_the_records_behind_it(
    commit: bool,  # noqa: FBT001 -- a parameter of the test
) -> None:
    with Simulation(1) as simulation:
        simulation.create_topic(ORDERS, 1)
        writing = Writing(simulation.cluster, "upstream", frozenset({SOURCE}), NEVER_MS, lambda: None)
        assert simulation.run(lambda: writing.is_open, 1)
        assert writing.append(*SOURCE, b"k", b"0", (), simulation.now_ms) == 0
        assert simulation.append(*SOURCE, b"k", b"1", simulation.now_ms) == 1
        assert writing.append(*SOURCE, b"k", b"2", (), simulation.now_ms) == 2
        assert simulation.committed(*SOURCE) == []
        writing.end(commit=commit)
        assert simulation.run(lambda: bool(simulation.committed(*SOURCE)), 1)
        seen = [record.value for record in simulation.committed(*SOURCE)]
        assert seen == ([b"0", b"1", b"2"] if commit else [b"1"])


def test_the_broker_aborts_an_open_transaction_and_rejects_more_of_it() -> None:
    with Simulation(1) as simulation:
        simulation.create_topic(ORDERS, 1)
        writing = Writing(simulation.cluster, "upstream", frozenset({SOURCE}), 1000, lambda: None)
        assert simulation.run(lambda: writing.is_open, 1)
        writing.append(*SOURCE, b"k", b"0", (), simulation.now_ms)
        assert simulation.run(lambda: simulation.written(*SOURCE)[0].fate is Fate.ABORTED, 10)
        assert simulation.seconds > 1
        assert writing.append(*SOURCE, b"k", b"1", (), simulation.now_ms) == -1


def _plan(one: InputTransaction, *entries: Entry) -> Plan:
    calm = Plan.drawn(1)
    return replace(calm.without(calm.items), partitions=1, entries=entries, input_transactions=(one,))


@pytest.mark.parametrize("ending", [Ending.ABORT, Ending.EXPIRE])
def test_an_order_in_a_transaction_that_is_aborted_is_never_placed(
    elsewhere: ProcessPoolExecutor, ending: Ending
) -> None:
    unseen = (Unseen(ORDERS, 0, b"acme", PLACED),)
    one = InputTransaction(0, 500, 1000, ending, frozenset({SOURCE}), unseen=unseen)
    result = elsewhere.submit(run, _plan(one)).result()
    assert result.findings == []
    assert result.figures["inputs: records of aborted transactions"] == 1
    assert result.figures["transactions"] == 1, "that of the gap"


def test_an_order_in_a_transaction_is_placed_once_it_is_committed(elsewhere: ProcessPoolExecutor) -> None:
    entry = Entry(0, at_ms=1000, timestamp_ms=1000, topic=ORDERS, partition=0, key=b"acme", value=PLACED)
    one = InputTransaction(0, 500, 3000, Ending.COMMIT, frozenset({SOURCE}), carried=frozenset({0}))
    result = elsewhere.submit(run, _plan(one, entry), tracing=True).result()
    assert result.findings == []
    (committed_at,) = (event.seconds for event in result.trace if "committed: " in event.what)
    assert 3.5 < committed_at < 5


def test_a_count_waits_for_an_order_that_is_there_and_cannot_be_read_yet(elsewhere: ProcessPoolExecutor) -> None:
    order = Entry(0, at_ms=1000, timestamp_ms=1000, topic=ORDERS, partition=0, key=b"acme", value=PLACED)
    count = Entry(1, at_ms=2000, timestamp_ms=2000, topic=STOCK, partition=0, key=b"acme", value=COUNTED)
    one = InputTransaction(0, 500, 4000, Ending.COMMIT, frozenset({SOURCE}), carried=frozenset({0}))
    result = elsewhere.submit(run, _plan(one, order, count), tracing=True).result()
    assert result.findings == []
    (committed,) = (event for event in result.trace if "committed: " in event.what)
    assert committed.seconds > 4.5, "both together, when the transaction has ended"
    assert f"1 applied of shop.{ORDERS}, 1 applied of shop.{STOCK}" in committed.what
