"""What the reported topics and their configuration mean for a worker that wants to join."""

from __future__ import annotations

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from tests.unit.stream.fakes import CONFIG
from worker.stream.errors import NotReady
from worker.stream.kafka.metadata_requests import DescribedTopic
from worker.stream.start.topic_check import check_values, topics_seen

NAMES = ["a", "b", "out", "state"]
FINE = {name: DescribedTopic(0, 8, None if name == "b" else name.encode()) for name in NAMES}


def test_topics_of_one_count_are_seen_with_the_ids_that_are_known() -> None:
    seen = topics_seen(FINE, NAMES, CONFIG)
    assert (seen.partition_count, seen.ids) == (8, {"a": b"a", "out": b"out", "state": b"state"})


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"a": DescribedTopic(TopicAuthorizationFailedError.errno, 0, None)}, "lacks the right Describe on topic a"),
        ({"a": DescribedTopic(UnknownTopicOrPartitionError.errno, 0, None)}, "^topics are missing: a; run `stockfr"),
        ({"state": DescribedTopic(UnknownTopicOrPartitionError.errno, 0, None)}, "restore them from a copy"),
        (dict.fromkeys(NAMES, DescribedTopic(UnknownTopicOrPartitionError.errno, 0, None)), "^all topics are missing"),
        ({"a": DescribedTopic(0, 4, None)}, r"the same partition count \(4: a; 8: b, out, state\)"),
    ],
)
def test_topics_that_do_not_fit_are_named(changed: dict[str, DescribedTopic], sentence: str) -> None:
    with pytest.raises(NotReady, match=sentence):
        topics_seen({**FINE, **changed}, NAMES, CONFIG)


def test_a_setting_that_would_lose_records_is_named_with_the_right_value() -> None:
    wanted = {"retention.ms": "-1", "retention.bytes": "-1"}
    check_values("out", wanted, {"retention.ms": "-1"})
    with pytest.raises(NotReady, match=r"^retention\.ms of out is 1000, .*: set it to -1, "):
        check_values("out", wanted, {"retention.ms": "1000"})
