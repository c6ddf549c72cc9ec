from __future__ import annotations

from types import SimpleNamespace

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from worker.stream.errors import NotReady, sentence_of
from worker.stream.kafka.assignor import KnowingRangeAssignor, assignor_with
from worker.stream.kafka.client_log import ClientLog


class Cluster:
    """What a client knows of the partitions of topics."""

    def __init__(self, **partitions: int) -> None:
        self._partitions = partitions

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        count = self._partitions.get(topic)
        return None if count is None else set(range(count))


def members(*names: str) -> dict[str, SimpleNamespace]:
    return {name: SimpleNamespace(subscription=["orders", "counts"]) for name in names}


def test_partitions_of_one_number_land_together() -> None:
    assigned = KnowingRangeAssignor.assign(Cluster(orders=3, counts=3), members("a", "b"))
    places = {name: dict(member.assignment) for name, member in assigned.items()}
    assert places == {"a": {"orders": [0, 1], "counts": [0, 1]}, "b": {"orders": [2], "counts": [2]}}


def test_a_leader_without_metadata_of_a_topic_assigns_nothing() -> None:
    with pytest.raises(NotReady, match="has no metadata yet for partitions of counts"):
        KnowingRangeAssignor.assign(Cluster(orders=3), members("a"))


def test_its_error_is_known_although_the_client_passes_on_a_text() -> None:
    heard = ClientLog(5000, lambda: 0.0)
    heard.install()
    try:
        with pytest.raises(NotReady) as refused:
            KnowingRangeAssignor.assign(Cluster(orders=3), members("a"))
    finally:
        heard.remove()
    sentence = sentence_of(KafkaError(repr(refused.value)), "broker:9092", heard.last_error(1))
    assert sentence == "the leader of the group has no metadata yet for partitions of counts"


def test_a_member_joins_with_its_data_and_is_led_as_before() -> None:
    assignor = assignor_with(b"data")

    joined = assignor.metadata(["orders"])

    assert (joined.user_data, joined.subscription) == (b"data", ["orders"])
    assert (assignor.name, assignor.version) == (RangePartitionAssignor.name, RangePartitionAssignor.version)
    assert assignor_with(b"other").metadata(["orders"]).user_data == b"other"
    assert assignor.metadata(["orders"]).user_data == b"data"
