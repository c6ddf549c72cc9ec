from __future__ import annotations

import asyncio

import pytest
from aiokafka.errors import (
    InvalidTxnState,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    NotCoordinatorError,
    ProducerFenced,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
)

from worker.stream.errors import CAUSES, NotReady, OffsetLost, StateTaken, StepTimeout, bounded, cause_of, sentence_of


async def test_a_step_that_takes_too_long_is_named() -> None:
    with pytest.raises(StepTimeout, match="committing did not end within 1 ms"):
        await bounded(asyncio.Event().wait(), 1, "committing")


async def test_a_step_gives_its_result() -> None:
    assert await bounded(asyncio.sleep(0, 7), 1000, "waiting") == 7


def test_a_refused_password_is_named_although_only_the_log_has_it() -> None:
    sentence = sentence_of(KafkaConnectionError("no bootstrap"), "kafka:9092", SaslAuthenticationFailed("nope"))
    assert sentence.startswith("the broker at kafka:9092 did not authenticate this worker")
    assert "password" in sentence


def test_a_missing_right_is_named() -> None:
    sentence = sentence_of(TopicAuthorizationFailedError("orders"), "kafka:9092", None)
    assert "lacks the right Read or Write on topic orders" in sentence


def test_an_unreachable_broker_is_explained_by_the_clients_log() -> None:
    sentence = sentence_of(KafkaConnectionError("no bootstrap"), "kafka:9092", ConnectionRefusedError("refused"))
    assert sentence == (
        "the broker at kafka:9092 cannot be reached or does not answer (ConnectionRefusedError: refused): check that "
        "it runs, and the address in BOOTSTRAP_SERVERS"
    )


def test_an_answer_of_a_broker_needs_no_line_of_the_clients_log() -> None:
    sentence = sentence_of(MessageSizeTooLargeError("levels"), "kafka:9092", NotCoordinatorError("app"))
    assert sentence.startswith("a record is larger than its topic allows (MessageSizeTooLargeError: levels)")
    assert "max.message.bytes" in sentence
    sentence = sentence_of(InvalidTxnState("app-3"), "kafka:9092", ConnectionRefusedError("refused"))
    assert sentence.startswith("the broker at kafka:9092 rejects a request (InvalidTxnState: app-3): ")


@pytest.mark.parametrize("error", [StepTimeout("committing did not end within 8000 ms"), RequestTimedOutError()])
def test_a_timeout_is_explained_by_the_clients_log(error: Exception) -> None:
    assert "cannot be reached or does not answer (OSError: no route)" in sentence_of(error, "k:1", OSError("no route"))
    assert "committing did not end" in sentence_of(StepTimeout("committing did not end"), "k:1", None)


def test_a_fence_is_not_blamed_on_the_broker() -> None:
    sentence = sentence_of(ProducerFenced(), "kafka:9092", ConnectionRefusedError("refused"))
    assert sentence.startswith("another worker has taken over the partition")
    assert "APP_ID" in sentence


def test_an_error_of_the_engine_is_its_own_explanation() -> None:
    assert sentence_of(NotReady("topics are missing"), "kafka:9092", OSError("old")) == "topics are missing"


def test_a_defect_is_not_blamed_on_the_broker() -> None:
    sentence = sentence_of(NameError("name 'x' is not defined"), "kafka:9092", ConnectionRefusedError("refused"))
    assert sentence.startswith("this worker has a defect")
    assert "name 'x' is not defined" in sentence


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ProducerFenced(), "fenced"),
        (StepTimeout(), "timeout"),
        (OffsetLost(), "lost"),
        (StateTaken(), "fenced"),
        (TypeError(), "defect"),
        (KeyError(), "defect"),
        (AssertionError(), "broker"),
    ],
)
def test_causes(error: Exception, cause: str) -> None:
    assert cause_of(error) == cause
    assert cause_of(error).value in CAUSES
