"""What beginning anew deletes and creates."""

from __future__ import annotations

import pytest

from schemas.topics import LEDGER, Topic
from worker.administration.beginning_anew import Renewal, renewal_of
from worker.inspection.admin import TopicsMissing
from worker.inspection.cluster import TopicSpec

NAMES = {topic: f"x.{topic}" for topic in Topic}


def renewal(*absent: Topic, **counts: int) -> Renewal:
    """Topics with four partitions, or with those in `counts`, by the name of the topic's member."""
    found = {NAMES[topic]: counts.get(topic.name, 4) for topic in Topic if topic not in absent}
    was = {name: TopicSpec(name, count, 3, {"min.insync.replicas": "2"}) for name, count in found.items()}
    return renewal_of(NAMES, found, was)


def test_state_and_all_outputs_go_together_and_inputs_stay() -> None:
    found = renewal()
    assert set(found.deleted) == {NAMES[topic] for topic in LEDGER.outputs}
    assert [spec.name for spec in found.created] == [NAMES[topic] for topic in LEDGER.outputs]
    assert found.kept == [NAMES[topic] for topic in LEDGER.inputs]
    assert found.lacking == []


def test_outputs_are_created_as_they_were() -> None:
    alerts = next(spec for spec in renewal().created if spec.name == NAMES[Topic.ALERTS])
    assert (alerts.partition_count, alerts.replication_factor) == (4, 3)
    assert alerts.configs == {"min.insync.replicas": "2", "cleanup.policy": "delete"}


def test_what_would_lose_records_is_set_right() -> None:
    found = {NAMES[topic]: 4 for topic in Topic}
    was = {name: TopicSpec(name, 4, 3, {"cleanup.policy": "delete", "retention.ms": "1000"}) for name in found}
    created = {spec.name: spec.configs for spec in renewal_of(NAMES, found, was).created}
    assert created[NAMES[Topic.STATE]]["cleanup.policy"] == "compact"
    journal = created[NAMES[Topic.MOVEMENTS]]
    assert (journal["retention.ms"], journal["retention.bytes"]) == ("-1", "-1")
    assert created[NAMES[Topic.ALERTS]]["retention.ms"] == "1000"


def test_outputs_with_other_partition_counts_get_that_of_the_inputs() -> None:
    assert {spec.partition_count for spec in renewal(STATE=7, ALERTS=9).created} == {4}


def test_an_interrupted_run_is_finished() -> None:
    found = renewal(*LEDGER.outputs)
    assert found.deleted == []
    assert [spec.name for spec in found.created] == found.lacking == [NAMES[topic] for topic in LEDGER.outputs]
    assert {spec.replication_factor for spec in found.created} == {3}, "that of the inputs"


def test_inputs_that_are_missing_are_created() -> None:
    assert NAMES[Topic.ORDERS] in [spec.name for spec in renewal(Topic.ORDERS).created]


def test_a_system_without_inputs_is_not_this_one() -> None:
    with pytest.raises(TopicsMissing, match="check TOPIC_PREFIX"):
        renewal(*LEDGER.inputs)


def test_inputs_with_different_partition_counts_are_refused() -> None:
    with pytest.raises(TopicsMissing, match="different partition counts"):
        renewal(ORDERS=5)
