from __future__ import annotations

import json
from collections import Counter
from itertools import permutations
from xml.etree import ElementTree as ET

import pytest

from deploy.kafka.jars import kafka_version
from tests.bench.peers.kernel import KERNEL_TYPES, Order, decide, stock_key
from tests.bench.peers.levels import difference, expected_levels, kernel_events
from tests.bench.peers.roster import CONTENDERS, ROOT, STOCKFREEZE
from tests.bench.peers.runs import Sample
from tests.bench.peers.table import as_data, as_markdown

START_MS = 1_790_000_000_000
LINES = [{"sku": "a", "quantity": 2}, {"sku": "b", "quantity": 3}]
EVENTS = [
    {"type": "order.created", "lines": LINES},
    {"type": "sub_order.created", "sub_order_id": "1", "warehouse_id": "default", "lines": LINES[:1]},
    {"type": "sub_order.shipped", "sub_order_id": "1"},
]


def sample(contender: str, rate: float, wrong: str | None = None) -> Sample:
    return Sample(contender, 100, rate, 10.0, 5.0, 20.0, 100.0, wrong)


@pytest.mark.parametrize("events", list(permutations(EVENTS)))
def test_the_kernel_ends_alike_in_whatever_order_the_events_come(events: tuple[dict[str, object], ...]) -> None:
    order: Order = {}
    frozen: Counter[str] = Counter()
    for event in events:
        for posting in decide(order, event):
            frozen[posting.sku] += posting.delta
    assert frozen == {"a": 0, "b": 3}


def test_the_kernel_comes_to_the_expected_levels() -> None:
    records = list(kernel_events(2000, START_MS))
    assert {json.loads(record.value)["type"] for record in records} == KERNEL_TYPES
    orders: dict[str, Order] = {}
    frozen: Counter[str] = Counter()
    for record in records:
        event = json.loads(record.value)
        for posting in decide(orders.setdefault(event["order_id"], {}), event):
            frozen[stock_key(event["account_id"], posting)] += posting.delta
    assert frozen == {"/".join(key): units for key, units in expected_levels(records).items()}


def test_a_level_that_is_wrong_or_missing_is_a_difference() -> None:
    key, other = ("account", "central", "a"), ("account", "central", "b")
    assert difference({key: 1}, {key: 1, other: 0}) is None
    assert difference({key: 1}, {key: 2}) == "1 of 1 levels are wrong (account/central/a: 2, not 1)"
    assert difference({key: 1}, {key: 1, other: 1}) is not None
    assert difference({key: 0}, {}) == "1 of 1 levels are wrong (account/central/a: None, not 0)"


def test_each_system_is_shown_as_a_median_and_a_ratio_to_stockfreeze() -> None:
    peer = CONTENDERS[1].name
    samples = [
        sample(STOCKFREEZE, 10.0),
        sample(STOCKFREEZE, 30.0),
        sample(STOCKFREEZE, 20.0),
        sample(peer, 5.0, "all"),
    ]
    ours, others = as_data(samples)
    assert ours["events_per_s"] == {"median": 20.0, "min": 10.0, "max": 30.0, "ratio_to_stockfreeze": 1.0}
    assert others["events_per_s"]["ratio_to_stockfreeze"] == 0.25
    assert (ours["wrong"], others["wrong"]) == (None, "all")
    assert f"| {peer} (failed: all) |" in as_markdown(samples)


def test_kafka_streams_is_of_the_brokers_version() -> None:
    pom = ROOT / "tests" / "bench" / "peers" / "kafka-streams" / "pom.xml"
    assert ET.parse(pom).findtext(".//{*}properties/{*}kafka.version") == kafka_version()  # noqa: S314 - our own file
