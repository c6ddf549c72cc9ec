"""The verification of a system that writes while it is read: a consistent cut, and another round where it must be."""

from __future__ import annotations

import pytest

from schemas.topics import LEDGER, Topic
from tests.offline import OfflinePartition, Transaction, as_written, input_records, story
from tests.topics_in_memory import MemoryCluster, MemoryReader, Records
from tests.unit.verification.world import ACCOUNT, COUNT, PARTITION, World


def grown(steps: int) -> tuple[World, list[Records], list[dict[tuple[str, int], int]]]:
    """A system in `steps` stages: the topics and the group's offsets after each."""
    inputs = input_records(story(ACCOUNT), PARTITION)
    worker = OfflinePartition(PARTITION, COUNT)
    written: list[Transaction] = []
    stages, committed = [], []
    size = -(-len(inputs) // steps)
    for number in range(steps):
        written.append(worker.process(inputs[number * size : (number + 1) * size]))
        topics = as_written(written, PARTITION)
        for given in inputs:
            topics.setdefault(given.topic, []).append(given)
        stages.append(topics)
        committed.append({(topic, PARTITION): offset for topic, offset in worker.committed().items()})
    return World(MemoryReader({}), MemoryCluster({})), stages, committed


def stepwise(topic_that_steps: Topic, *, compacted: bool) -> tuple[World, int]:
    """A system that moves a step on before each read of a topic; compaction may leave only the last of a key."""
    moving, stages, committed = grown(6)

    def step(stage: int) -> None:
        topics = stages[stage]
        if compacted:
            for topic in (Topic.LEVELS, Topic.STATUS):
                last = {record.key: record for record in topics.get(topic, [])}
                topics[topic] = sorted(last.values(), key=lambda record: record.offset)
        moving.reader.topics = topics
        moving.cluster.offsets = committed[stage]

    at = 1

    def before_read(topic: str) -> None:
        nonlocal at
        if topic == topic_that_steps and at < len(stages) - 1:
            at += 1
            step(at)

    step(at)
    moving.reader = MemoryReader(moving.reader.topics, before_read)
    return moving, len(stages)


@pytest.mark.parametrize("topic", [Topic.LEVELS, Topic.STATUS, Topic.DEAD_LETTERS, Topic.MOVEMENTS])
async def test_a_system_that_moves_on_while_it_is_read_has_no_findings(topic: Topic) -> None:
    moving, _ = stepwise(topic, compacted=False)

    report = await moving.verify()

    assert report.findings.examples == []
    assert (report.unsettled, report.rounds) == (0, 1)


@pytest.mark.parametrize(("topic", "movements"), [(Topic.LEVELS, 13), (Topic.STATUS, 8), (Topic.STATE, 13)])
async def test_levels_that_compaction_took_are_judged_in_another_round(topic: Topic, movements: int) -> None:
    moving, _ = stepwise(topic, compacted=True)

    report = await moving.verify()

    assert report.findings.examples == []
    assert report.rounds > 1
    assert report.movements == movements


def test_every_input_topic_is_in_the_story() -> None:
    assert {given.topic for given in story(ACCOUNT)} >= set(LEDGER.inputs) - {Topic.COMMANDS}
