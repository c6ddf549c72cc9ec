"""The story, disturbed, through the worker's own rules without Kafka: they agree with the story's plain arithmetic."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.topics import Topic
from tests.named import named
from worker.demo.disturbance import calm, disturb, injected
from worker.demo.judgement import judge
from worker.demo.retail import read_invoices
from worker.demo.scenario import scenario_of
from worker.demo.tally import WATCHED, Tally
from worker.domain.policies import AccountPolicies, Policies
from worker.processors.ledger import PartitionProcessor
from worker.stream.partitioning import partition_of
from worker.stream.records import InputRecord

PARTITIONS = 4
NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_levels_answers_drifts_and_dead_letters_are_as_foretold(seed: int) -> None:
    scenario = scenario_of(read_invoices(), now_ms=NOW_MS, seed=seed)
    deliveries = disturb(scenario.events, now_ms=NOW_MS, seed=seed, repeats=0.2, late=0.4, broken_each=10)
    policies = Policies(AccountPolicies(), {})
    processors = [
        PartitionProcessor(partition=partition, partition_count=PARTITIONS, prefix="", policies=policies)
        for partition in range(PARTITIONS)
    ]
    offsets: Counter[tuple[Topic, int]] = Counter()
    outcomes: Counter[str] = Counter()
    tally = Tally()
    for delivery in [*deliveries, *calm(scenario.requests)]:
        partition = (partition_of(delivery.key.decode(), PARTITIONS) + delivery.misplaced) % PARTITIONS
        offset = offsets[delivery.topic, partition]
        offsets[delivery.topic, partition] += 1
        processor = processors[partition]
        record = InputRecord(delivery.topic, partition, offset, NOW_MS, delivery.key, delivery.value)
        outcomes[processor.process(record)] += 1
        for output in named(processor.flush()):
            if (topic := Topic(output.topic)) in WATCHED:
                tally.see(topic, output.value, output.headers)
    assert [row for row in judge(scenario, injected(deliveries), outcomes, tally) if not row.agrees] == []
