"""The load of benchmarks is valid, of the stated mix and size, and the same for a seed."""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice

from schemas.decoding import decode
from tests.bench.steady_load import opening_counts, steady_load

ACCOUNTS = [f"account-{number}" for number in range(8)]
START_MS = 1_790_000_000_000


def test_every_event_of_the_load_is_valid_and_of_its_topic() -> None:
    records = [*opening_counts(ACCOUNTS, 700, as_of_ms=START_MS)]
    records += steady_load(5_000, accounts=ACCOUNTS, skus=700, start_ms=START_MS)
    for record in records:
        assert decode(record.topic, record.value).event.account_id.encode() == record.key


def test_the_load_is_as_long_as_asked_and_the_same_for_a_seed() -> None:
    first, again, other = (
        list(steady_load(1_000, accounts=ACCOUNTS, skus=100, start_ms=START_MS, seed=seed)) for seed in (1, 1, 2)
    )
    assert len(first) == 1_000
    assert first == again
    assert first != other


def test_the_load_is_of_the_size_and_mix_it_states() -> None:
    values = [record.value for record in steady_load(20_000, accounts=ACCOUNTS, skus=2_000, start_ms=START_MS)]
    assert 220 <= sum(map(len, values)) / len(values) <= 250
    orders = [json.loads(value) for value in values if b'"order.created"' in value]
    named = sum("warehouse_id" in order["lines"][0] for order in orders)
    assert 0.66 <= named / len(orders) <= 0.74
    assert {len(order["lines"]) for order in orders} == {1, 2, 3, 4, 5}
    kinds = Counter(json.loads(value)["type"] for value in values)
    assert set(kinds) == {f"sub_order.{kind}" for kind in ("created", "label_issued", "shipped", "delivered")} | {
        "order.created"
    }


def test_event_ids_are_never_used_twice_and_sub_orders_cover_their_order() -> None:
    events = [json.loads(r.value) for r in steady_load(10_000, accounts=ACCOUNTS, skus=50, start_ms=START_MS)]
    assert len({event["event_id"] for event in events}) == len(events)
    ordered: Counter[tuple[str, str]] = Counter()
    covered: Counter[tuple[str, str]] = Counter()
    finished = {event["order_id"] for event in events if event["type"] == "sub_order.delivered"}
    for event in events:
        if event["order_id"] in finished and event["type"] in {"order.created", "sub_order.created"}:
            units = ordered if event["type"] == "order.created" else covered
            for line in event["lines"]:
                units[event["order_id"], line["sku"]] += line["quantity"]
    assert len(finished) > 1_000
    assert covered == ordered


def test_the_load_is_lazy() -> None:
    assert len(list(islice(steady_load(10**9, accounts=ACCOUNTS, skus=50, start_ms=START_MS), 10))) == 10
