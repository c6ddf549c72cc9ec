"""Deciding how the topics must be configured, and what is wrong with existing ones.

`worker.inspection.cluster` sends the requests.

Why these configurations:

- Levels, status and state are compacted, and only compacted: deletion by age would lose a key that has not changed for
  long.
- Journal and dead letters are kept for ever: the journal's sums are the stock (contract section 10), and a dead letter
  waits for an operator. The other outputs are created so too; who needs less may set it. So are the inputs: nothing is
  lost while a worker is down, however long, and with the state they are the only store of truth. For them any retention
  is accepted.
- Outputs may be 8 MiB a record. Inputs may be 4 MiB: a count of 5000 SKUs with the longest ids takes 3 MiB, and a dead
  letter, which is an input with more headers, must always fit.
- A write is acknowledged by all but one of the copies (by the one there is, with one or two): one broker may be away
  without stopping the partitions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from schemas.topics import COMPACTED, KEPT_FOR_EVER, LARGE, LEDGER, RECORD_BYTES_MAX, Topic
from worker.inspection.cluster import BROKER_DEFAULT, TopicSpec
from worker.stream.config import EngineConfig
from worker.stream.start.guards import ANOTHER_SYSTEM, BEGIN_ANEW

INPUT_RECORD_BYTES_MAX: Final = RECORD_BYTES_MAX // 2

CLEANUP: Final = "cleanup.policy"
RETENTION_MS: Final = "retention.ms"
RETENTION_BYTES: Final = "retention.bytes"
MESSAGE_BYTES: Final = "max.message.bytes"
IN_SYNC: Final = "min.insync.replicas"
BATCH_BYTES_MAX: Final = EngineConfig.produce_batch_bytes_max
"""The largest batch that the worker writes, unless one record is larger."""
REPUBLISHED: Final = (Topic.LEVELS, Topic.STATUS)
"""Outputs whose latest records follow from the state."""
CHECKED_CONFIGS: Final = (CLEANUP, RETENTION_MS, RETENTION_BYTES, MESSAGE_BYTES)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """An existing topic; `partition_count` None: it is missing, or hidden from the user."""

    topic: Topic
    name: str
    partition_count: int | None
    configs: Mapping[str, str]
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class TopicReport:
    """A topic and its problems, each a sentence with the way out. Empty: all is well."""

    facts: TopicFacts
    problems: Sequence[str]


def spec_of(topic: Topic, name: str, partition_count: int, replication_factor: int) -> TopicSpec:
    """Return how to create a topic."""
    configs = {MESSAGE_BYTES: str(message_bytes_of(topic))}
    if topic in COMPACTED:
        configs[CLEANUP] = "compact"
    else:
        configs |= {CLEANUP: "delete", RETENTION_MS: "-1", RETENTION_BYTES: "-1"}
    if replication_factor != BROKER_DEFAULT:
        configs[IN_SYNC] = str(max(1, replication_factor - 1))
    return TopicSpec(name, partition_count, replication_factor, configs)


def message_bytes_of(topic: Topic) -> int:
    """Return the size of the greatest record that the topic must take."""
    return INPUT_RECORD_BYTES_MAX if topic in LEDGER.inputs else RECORD_BYTES_MAX


def other_partition_counts(found: Mapping[str, int], wanted: int) -> dict[str, int]:
    """Find the topics with another partition count; with those, an account would have several partitions."""
    return {name: count for name, count in sorted(found.items()) if count != wanted}


class TopicsMissing(Exception):
    """Topics of a system are missing, or differ in partition count; the message is one sentence with the way out."""


def common_partition_count(names: Sequence[str], found: Mapping[str, int]) -> int:
    """Return the partition count of a system's topics.

    Raises TopicsMissing where one is missing, or has another count than the others.
    """
    for name in names:
        if name not in found:
            raise TopicsMissing(f"topic {name} is missing: check TOPIC_PREFIX, or run `stockfreeze topics create`")
    counts = {found[name] for name in names}
    if len(counts) > 1:
        raise TopicsMissing("the topics have different partition counts: `stockfreeze topics check` shows them")
    return counts.pop()


@dataclass(frozen=True, slots=True)
class Used:
    """Signs that a system has worked already: state or journal with records, or committed offsets of its group."""

    with_records: frozenset[Topic]
    has_offsets: bool


BOOKS: Final = (Topic.STATE, Topic.MOVEMENTS)
"""State and journal; neither is of use without the other."""


def refusal_to_create(missing: Mapping[Topic, str], used: Used) -> str | None:
    """Explain why missing topics (their full names) must not be created, with the way out; None: they may be."""
    lost = [missing[topic] for topic in BOOKS if topic in missing]
    left = [topic for topic in BOOKS if topic in used.with_records and topic not in missing]
    if not lost or not (left or used.has_offsets):
        return None
    what = {Topic.STATE: "the state", Topic.MOVEMENTS: "the journal"}
    why = f"{what[left[0]]} has records" if left else "its group has committed offsets"
    return (
        f"{' and '.join(lost)} {'is' if len(lost) == 1 else 'are'} missing, but this system has worked, as {why}: "
        "made anew and empty, the books would be wrong, so nothing was created; restore what is missing from a copy "
        "with the same offsets, or run `stockfreeze begin-anew`"
    )


def advice_after_creation(created: Mapping[Topic, str], used: Used) -> list[str]:
    """Advise on topics that were created (their full names) beside a state that has records."""
    if Topic.STATE not in used.with_records:
        return []
    advice = [
        f"{name} is empty now: if it was read before, stop all workers and run `stockfreeze topics accept {name} "
        "--from beginning`."
        for topic, name in created.items()
        if topic in LEDGER.inputs
    ]
    if republished := [name for topic, name in created.items() if topic in REPUBLISHED]:
        advice.append(
            f"{' and '.join(republished)}: empty now; stop all workers and run `stockfreeze topics republish`, which "
            "writes levels and statuses anew."
        )
    advice += [
        f"{name} is empty now: what it held is gone."
        for topic, name in created.items()
        if topic not in (*LEDGER.inputs, *REPUBLISHED)
    ]
    return advice


def spec_like(
    topic: Topic, name: str, partition_count: int, was: TopicSpec | None, replication_factor: int
) -> TopicSpec:
    """Return how to create an output again: with its configuration, but for settings that lose records.

    `was` None: it is not there any more; `replication_factor` is for that.
    """
    spec = spec_of(topic, name, partition_count, replication_factor)
    if was is None:
        return spec
    kept = (CLEANUP, RETENTION_MS, RETENTION_BYTES) if topic in KEPT_FOR_EVER else (CLEANUP,)
    needed = {config: spec.configs[config] for config in kept}
    return TopicSpec(name, partition_count, was.replication_factor, {**was.configs, **needed})


def judge_topics(topics: Sequence[TopicFacts], recorded_counts: Mapping[int, int]) -> list[TopicReport]:
    """Judge all topics together.

    `recorded_counts` is the partition count that each partition of the state has recorded, for those that have: the
    state was built with it.
    """
    expected = expected_partition_count(topics, recorded_counts)
    return [TopicReport(facts, _problems(facts, expected, recorded_counts)) for facts in topics]


def expected_partition_count(topics: Sequence[TopicFacts], recorded_counts: Mapping[int, int]) -> int | None:
    """The count that all topics should have: the recorded one, else the most frequent (the smaller of two); None
    without topics.
    """
    votes = list(recorded_counts.values()) or [facts.partition_count for facts in topics if facts.partition_count]
    return max(sorted(set(votes)), key=votes.count) if votes else None


def _problems(facts: TopicFacts, expected: int | None, recorded_counts: Mapping[int, int]) -> list[str]:
    if facts.is_hidden:
        return ["cannot be seen: grant this command's user the right Describe on it, then check again"]
    if facts.partition_count is None:
        return ["missing: run `stockfreeze topics create`, and follow its advice on the new ones"]
    problems = []
    if facts.partition_count != expected:
        why = "the state was built with" if recorded_counts else "the other topics have"
        problems.append(
            f"{facts.partition_count} partitions, but {why} {expected}: {_way_out_of_count(facts.topic, expected)}"
        )
    if facts.topic is Topic.STATE and len(set(recorded_counts.values())) > 1:
        counts = ", ".join(str(count) for count in sorted(set(recorded_counts.values())))
        problems.append(
            f"its partitions were built for different partition counts ({counts}): it is a mixture of systems"
        )
    return problems + _config_problems(facts.topic, facts.configs)


_AFTERWARDS: Final = ", and run `stockfreeze verify`, as records may be lost already"


def _way_out_of_count(topic: Topic, expected: int | None) -> str:
    if topic in LEDGER.inputs:
        return f"accounts would move; {ANOTHER_SYSTEM}"
    if topic in BOOKS:
        return f"where all inputs have {expected}, {BEGIN_ANEW}"
    afterwards = " and `stockfreeze topics republish`" if topic in REPUBLISHED else "; what it holds is lost then"
    return f"stop all workers, delete it, and run `stockfreeze topics create` with PARTITIONS={expected}{afterwards}"


def _config_problems(topic: Topic, configs: Mapping[str, str]) -> list[str]:
    problems = []
    wanted = "compact" if topic in COMPACTED else "delete"
    if (cleanup := configs.get(CLEANUP, wanted)) != wanted:
        why = (
            "records would be lost by age"
            if topic in COMPACTED
            else "all but the last record of an account would be lost"
        )
        problems.append(f"{CLEANUP} is {cleanup}, so {why}: set it to {wanted}{_AFTERWARDS}")
    if topic in KEPT_FOR_EVER:
        problems += [
            f"{name} is {configs[name]}, but it must be kept for ever: set it to -1{_AFTERWARDS}"
            for name in (RETENTION_MS, RETENTION_BYTES)
            if configs.get(name, "-1") != "-1"
        ]
    bytes_max = int(configs.get(MESSAGE_BYTES, message_bytes_of(topic)))
    if topic in LEDGER.inputs and bytes_max > INPUT_RECORD_BYTES_MAX:
        problems.append(
            f"{MESSAGE_BYTES} is {bytes_max}: a record of that size could not become a dead letter; "
            f"set it to {INPUT_RECORD_BYTES_MAX} or less"
        )
    needed = RECORD_BYTES_MAX if topic in LARGE else 0 if topic in LEDGER.inputs else BATCH_BYTES_MAX
    if bytes_max < needed:
        problems.append(f"{MESSAGE_BYTES} is {bytes_max}, so its partitions would stop: set it to {needed} or more")
    return problems
