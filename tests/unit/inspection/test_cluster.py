"""What is asked of a cluster whose brokers do not all know the same."""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from worker.inspection.cluster import Cluster, TopicSpec

SPECS = [TopicSpec(name, 4, 3, {}) for name in ("orders", "levels")]


class Created(NamedTuple):
    """The answer to a creation."""

    topic_errors: list[tuple[str, int, str | None]]


class Brokers:
    """An admin client whose every question goes to the next broker, which knows what it knows."""

    def __init__(self, *answers: dict[str, list[int]]) -> None:
        """Answers by topic: the leaders of its partitions."""
        self._answers = list(answers)

    async def create_topics(self, topics: list[Any], _timeout_ms: int) -> Created:
        return Created([(topic.name, 0, None) for topic in topics])

    async def describe_topics(self) -> list[dict[str, Any]]:
        return [
            {"topic": topic, "partitions": [{"leader": leader} for leader in leaders]}
            for topic, leaders in self._answers.pop(0).items()
        ]


async def test_new_topics_are_counted_by_a_broker_that_knows_them_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("worker.inspection.cluster.RETRY_SECONDS", 0)
    all_led = {"orders": [1, 2, 3, 1], "levels": [3, 2, 1, 3], "other": [1]}
    brokers = Brokers({}, {"orders": [1, 2, 3, 1]}, {**all_led, "levels": [3, -1, 1, 3]}, all_led, {})
    cluster = Cluster(cast("AIOKafkaAdminClient", brokers))
    assert await cluster.create(SPECS) == (set(), {"orders": 4, "levels": 4})


async def test_nothing_to_create_asks_nobody() -> None:
    assert await Cluster(cast("AIOKafkaAdminClient", Brokers())).create([]) == (set(), {})
