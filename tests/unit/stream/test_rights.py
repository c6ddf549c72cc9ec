"""Which right is missing, by what a broker refuses."""

from __future__ import annotations

import pytest
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)

from worker.stream.config import EngineConfig
from worker.stream.rights import hidden_sentence, missing_right, right_of_worker

CONFIG = EngineConfig(
    app_id="app", client={}, inputs=("orders",), outputs=("levels",), journal_topic="out", state_topic="state"
)


@pytest.mark.parametrize(
    ("refusal", "right"),
    [
        (TopicAuthorizationFailedError("orders"), "Read on topic orders"),
        (TopicAuthorizationFailedError("levels"), "Write on topic levels"),
        (TopicAuthorizationFailedError("state"), "Read or Write on topic state"),
        (TopicAuthorizationFailedError("out"), "Read or Write on topic out"),
        (TopicAuthorizationFailedError({"orders", "levels"}), "Write and Read on topics levels, orders"),
        (TopicAuthorizationFailedError(), "Write on a topic"),
        (GroupAuthorizationFailedError("app"), "Read on group app"),
        (GroupAuthorizationFailedError(), "Read on group"),
        (TransactionalIdAuthorizationFailed("app-3"), "Write on transactional id app-3"),
        (ClusterAuthorizationFailedError(), "Write on the topics that are to be written"),
    ],
)
def test_the_right_of_a_worker_is_named_with_what_it_is_on(refusal: KafkaError, right: str) -> None:
    sentence = missing_right(refusal, "worker-1", of_topic=right_of_worker(CONFIG))
    assert sentence.startswith(f"the Kafka user worker-1 lacks the right {right}: grant")


def test_hidden_topics_are_named_up_to_three() -> None:
    sentence = hidden_sentence(None, ["a", "b", "c", "d", "e"])
    assert "lacks the right Describe on topics a, b, c and 2 more, so" in sentence
    assert "on topic a, so it is not known whether it exists" in hidden_sentence("u", ["a"])
