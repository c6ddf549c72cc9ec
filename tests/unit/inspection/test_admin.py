"""How topics must be configured, and the problems of those that are not."""

from __future__ import annotations

import pytest

from schemas.topics import COMPACTED, LEDGER, RECORD_BYTES_MAX, Topic
from worker.inspection.admin import (
    INPUT_RECORD_BYTES_MAX,
    TopicFacts,
    TopicsMissing,
    Used,
    advice_after_creation,
    common_partition_count,
    expected_partition_count,
    judge_topics,
    other_partition_counts,
    refusal_to_create,
    spec_of,
)
from worker.inspection.cluster import BROKER_DEFAULT


def facts(topic: Topic, partition_count: int | None = 4, **configs: str) -> TopicFacts:
    sound = dict(spec_of(topic, topic.value, 4, 1).configs)
    return TopicFacts(
        topic, topic.value, partition_count, sound | {name.replace("_", "."): configs[name] for name in configs}
    )


def problems(*changed: TopicFacts, recorded: dict[int, int] | None = None) -> dict[Topic, list[str]]:
    given = {fact.topic: fact for fact in changed}
    reports = judge_topics([given.get(topic, facts(topic)) for topic in Topic], recorded or {})
    return {report.facts.topic: list(report.problems) for report in reports if report.problems}


def test_topics_as_they_are_created_have_no_problems() -> None:
    assert problems() == {}


def test_what_holds_the_latest_of_each_key_is_compacted_and_nothing_else() -> None:
    policies = {topic: spec_of(topic, topic.value, 4, 3).configs["cleanup.policy"] for topic in Topic}

    assert {topic for topic, policy in policies.items() if policy == "compact"} == COMPACTED


def test_what_is_not_compacted_is_kept_for_ever() -> None:
    for topic in set(Topic) - COMPACTED:
        configs = spec_of(topic, topic.value, 4, 3).configs
        assert (configs["retention.ms"], configs["retention.bytes"]) == ("-1", "-1")


def test_every_input_fits_into_a_dead_letter() -> None:
    sizes = {topic: int(spec_of(topic, topic.value, 4, 3).configs["max.message.bytes"]) for topic in Topic}

    assert max(sizes[topic] for topic in LEDGER.inputs) < sizes[Topic.DEAD_LETTERS] == RECORD_BYTES_MAX


@pytest.mark.parametrize(("replication_factor", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "4")])
def test_one_broker_may_be_away_where_there_are_copies(replication_factor: int, in_sync: str) -> None:
    configs = spec_of(Topic.STATE, "state", 4, replication_factor).configs

    assert configs["min.insync.replicas"] == in_sync


def test_the_brokers_replication_comes_with_their_in_sync_minimum() -> None:
    assert "min.insync.replicas" not in spec_of(Topic.STATE, "state", 4, BROKER_DEFAULT).configs


def test_a_missing_topic_is_told_with_the_command_that_makes_it() -> None:
    assert problems(facts(Topic.ALERTS, None)) == {
        Topic.ALERTS: ["missing: run `stockfreeze topics create`, and follow its advice on the new ones"]
    }


def test_a_topic_with_another_partition_count_than_the_others_is_told() -> None:
    [(topic, [problem])] = problems(facts(Topic.LEVELS, 5)).items()

    assert topic is Topic.LEVELS
    assert "5 partitions, but the other topics have 4" in problem


def test_of_two_counts_that_as_many_topics_have_the_smaller_is_expected() -> None:
    assert expected_partition_count([facts(Topic.LEVELS, 8), facts(Topic.STATUS, 1)], {}) == 1


def test_the_count_that_the_state_was_built_with_decides() -> None:
    answer = problems(facts(Topic.STATE, 3), recorded={0: 3, 1: 3})

    assert set(answer) == set(Topic) - {Topic.STATE}


def test_a_state_built_for_several_counts_is_told() -> None:
    assert any("mixture" in problem for problem in problems(recorded={0: 4, 1: 3})[Topic.STATE])


@pytest.mark.parametrize(
    "wrong",
    [
        facts(Topic.STATE, cleanup_policy="compact,delete"),
        facts(Topic.LEVELS, cleanup_policy="delete"),
        facts(Topic.ORDERS, cleanup_policy="compact"),
        facts(Topic.MOVEMENTS, retention_ms="604800000"),
        facts(Topic.DEAD_LETTERS, retention_bytes="1000000"),
        facts(Topic.DEAD_LETTERS, max_message_bytes="1048588"),
        facts(Topic.STATE, max_message_bytes="1048588"),
        facts(Topic.STATUS, max_message_bytes="1048588"),
        facts(Topic.ELIGIBILITY, max_message_bytes="1048588"),
        facts(Topic.MOVEMENTS, max_message_bytes="1000000"),
        facts(Topic.ORDERS, max_message_bytes=str(INPUT_RECORD_BYTES_MAX + 1)),
    ],
    ids=lambda wrong: f"{wrong.topic}",
)
def test_a_configuration_that_loses_records_is_told_with_the_value_to_set(wrong: TopicFacts) -> None:
    answer = problems(wrong)

    assert list(answer) == [wrong.topic]
    assert "set it to" in answer[wrong.topic][0]


@pytest.mark.parametrize(
    "right",
    [
        facts(Topic.ORDERS, retention_ms="604800000"),
        facts(Topic.ALERTS, retention_ms="1"),
        facts(Topic.ORDERS, max_message_bytes="1000"),
        facts(Topic.LEVELS, max_message_bytes="1048588"),
        facts(Topic.MOVEMENTS, max_message_bytes="1048588"),
    ],
)
def test_inputs_may_expire_and_small_outputs_have_the_brokers_bound(right: TopicFacts) -> None:
    assert problems(right) == {}


def test_what_a_broker_does_not_tell_is_no_problem() -> None:
    assert problems(*(TopicFacts(topic, topic.value, 4, {}) for topic in Topic)) == {}


def test_topics_with_another_partition_count_than_wanted_are_listed() -> None:
    assert other_partition_counts({"a": 4, "b": 5}, 4) == {"b": 5}


def test_the_topics_of_a_system_must_all_be_there_with_one_count() -> None:
    assert common_partition_count(["a", "b"], {"a": 4, "b": 4, "c": 9}) == 4
    with pytest.raises(TopicsMissing, match="topic b is missing"):
        common_partition_count(["a", "b"], {"a": 4})
    with pytest.raises(TopicsMissing, match="different partition counts"):
        common_partition_count(["a", "b"], {"a": 4, "b": 5})


WORKED = Used(frozenset({Topic.STATE, Topic.MOVEMENTS}), has_offsets=True)
NEVER_WORKED = Used(frozenset(), has_offsets=False)


@pytest.mark.parametrize(
    ("missing", "used"),
    [
        ([Topic.STATE], Used(frozenset({Topic.MOVEMENTS}), has_offsets=False)),
        ([Topic.MOVEMENTS], Used(frozenset({Topic.STATE}), has_offsets=False)),
        ([Topic.STATE, Topic.MOVEMENTS], Used(frozenset(), has_offsets=True)),
        ([Topic.STATE], Used(frozenset(), has_offsets=True)),
    ],
)
def test_state_or_journal_of_a_system_that_worked_are_not_created(missing: list[Topic], used: Used) -> None:
    refusal = refusal_to_create({topic: f"x.{topic}" for topic in missing}, used)

    assert refusal is not None
    assert all(f"x.{topic}" in refusal for topic in missing)
    assert "`stockfreeze begin-anew`" in refusal


def test_whatever_else_is_missing_may_be_created() -> None:
    others = {topic: str(topic) for topic in set(Topic) - {Topic.STATE, Topic.MOVEMENTS}}

    assert refusal_to_create(others, WORKED) is None
    assert refusal_to_create({topic: str(topic) for topic in Topic}, NEVER_WORKED) is None


def test_what_to_do_about_a_topic_that_is_new_is_said_for_each_kind() -> None:
    created = {topic: str(topic) for topic in (Topic.ORDERS, Topic.LEVELS, Topic.ALERTS)}

    of_input, of_levels, of_alerts = advice_after_creation(created, WORKED)

    assert f"`stockfreeze topics accept {Topic.ORDERS} --from beginning`" in of_input
    assert "`stockfreeze topics republish`" in of_levels
    assert of_alerts == f"{Topic.ALERTS} is empty now: what it held is gone."
    assert advice_after_creation(created, NEVER_WORKED) == []


@pytest.mark.parametrize(
    ("topic", "way_out"),
    [
        (Topic.ORDERS, "another TOPIC_PREFIX and APP_ID"),
        (Topic.STATE, "`stockfreeze begin-anew`"),
        (Topic.LEVELS, "`stockfreeze topics republish`"),
        (Topic.ALERTS, "what it holds is lost then"),
    ],
)
def test_the_way_out_of_another_partition_count_is_one_that_kafka_has(topic: Topic, way_out: str) -> None:
    [(_, [problem])] = problems(facts(topic, 5)).items()

    assert way_out in problem
