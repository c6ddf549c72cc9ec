"""What a cluster says of topics by name, where its brokers are too old to give their ids."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from aiokafka.errors import (
    IncompatibleBrokerVersion,
    NoError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
)
from aiokafka.protocol.metadata import MetadataRequest

from worker.stream.kafka.metadata_requests import DescribedTopic, describe_topics


class OldCluster:
    """An admin client of brokers before 2.8, and their connections: what it lists, and how it answers for the rest."""

    def __init__(self, listed: Mapping[str, int], answers: Mapping[str, int]) -> None:
        self._client = self
        self._listed = listed
        self._answers = answers
        self.asked_by_name: list[MetadataRequest] = []

    def get_random_node(self) -> int:
        return 0

    async def send(self, _node: int, _request: object) -> object:
        raise IncompatibleBrokerVersion

    async def describe_topics(self) -> list[dict[str, object]]:
        return [
            {"topic": name, "error_code": NoError.errno, "partitions": [{}] * count}
            for name, count in self._listed.items()
        ]

    async def _send_request(self, request: MetadataRequest) -> object:
        self.asked_by_name.append(request)
        topics = [{"topic": name, "error_code": code} for name, code in self._answers.items()]
        return SimpleNamespace(to_object=lambda: {"topics": topics})


async def test_an_old_broker_describes_topics_without_their_ids() -> None:
    cluster = OldCluster({"orders": 3, "others": 1}, {})
    assert await describe_topics(cluster, ["orders"]) == {"orders": DescribedTopic(NoError.errno, 3, None)}
    assert cluster.asked_by_name == []


@pytest.mark.parametrize("code", [TopicAuthorizationFailedError.errno, UnknownTopicOrPartitionError.errno])
async def test_an_old_broker_hides_a_topic_or_does_not_know_it(code: int) -> None:
    cluster = OldCluster({"orders": 3}, {"levels": code})
    assert await describe_topics(cluster, ["orders", "levels"]) == {
        "orders": DescribedTopic(NoError.errno, 3, None),
        "levels": DescribedTopic(code, 0, None),
    }
    assert len(cluster.asked_by_name) == 1
