"""What the requests of Kafka 4's transactions are, and who may be asked with them. That Apache Kafka understands them
is a fact of its own (`tests.simulation.kafka_4_facts`).
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import ApiVersionRequest_v0, ApiVersionResponse_v0
from aiokafka.protocol.api import RequestStruct

from worker.stream.transaction_requests import (
    FEATURES,
    FINALIZED_FEATURES,
    NO_TAGS,
    ApiVersionsRequest_v3,
    ApiVersionsResponse_v3,
    EndTxnResponse_v5,
    ProduceResponse_v12,
    TxnOffsetCommitResponse_v5,
    end_request,
    offsets_request,
    produce_request,
    transaction_version,
    versions_request,
)

REQUESTS = (
    produce_request("id", 2500, 3, [("a", b"batch"), ("b", b"another")]),
    offsets_request("id", "group", 7, 2, 3, {"in": 5}),
    end_request("id", 7, 2, commit=True),
)
ANSWERS = (
    ProduceResponse_v12([("a", [(3, 0, 100, -1, 0, [], None, NO_TAGS)], NO_TAGS)], 0, NO_TAGS),
    TxnOffsetCommitResponse_v5(0, [("in", [(3, 51, NO_TAGS)], NO_TAGS)], NO_TAGS),
    EndTxnResponse_v5(0, 0, 7, 3, NO_TAGS),
)
of_one_version = pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)


@pytest.mark.parametrize("struct", [*REQUESTS, *ANSWERS, versions_request()], ids=lambda struct: type(struct).__name__)
def test_what_is_encoded_is_what_is_decoded(struct: Any) -> None:  # noqa: ANN401 - aiokafka's
    assert type(struct).decode(struct.encode()) == struct


@pytest.mark.parametrize(("request_", "answer"), list(zip(REQUESTS, ANSWERS, strict=True)))
def test_a_request_knows_its_answer(request_: RequestStruct, answer: Any) -> None:  # noqa: ANN401 - aiokafka's
    assert request_.RESPONSE_TYPE is type(answer)
    assert (request_.API_KEY, request_.API_VERSION) == (answer.API_KEY, answer.API_VERSION)


@of_one_version
def test_a_broker_is_only_sent_what_it_takes(request_: Any) -> None:  # noqa: ANN401 - aiokafka's
    version = request_.API_VERSION
    assert request_.prepare({request_.API_KEY: (0, version)}) is request_
    for versions in ({}, {request_.API_KEY: (0, version - 1)}, {request_.API_KEY: (version + 1, version + 2)}):
        with pytest.raises(IncompatibleBrokerVersion, match=type(request_).__name__):
            request_.prepare(versions)


def test_an_old_broker_is_asked_about_itself_in_its_own_words() -> None:
    asked = versions_request()
    assert asked.prepare({ApiVersionsRequest_v3.API_KEY: (0, 4)}) is asked
    for versions in ({}, {ApiVersionsRequest_v3.API_KEY: (0, 2)}):
        assert isinstance(asked.prepare(versions), ApiVersionRequest_v0)


def test_the_answer_about_a_broker_has_no_tags_in_its_header() -> None:
    """As Apache Kafka has it, since KIP-511: who asks must be able to read the refusal of any broker."""
    assert versions_request().parse_response_header(BytesIO(b"\0\0\0\7rest")).correlation_id == 7


@pytest.mark.parametrize(
    ("finalized", "expected"),
    [
        (None, 0),
        ([], 0),
        ([("metadata.version", 27, 1, NO_TAGS)], 0),
        ([("metadata.version", 27, 1, NO_TAGS), ("transaction.version", 2, 1, NO_TAGS)], 2),
    ],
)
def test_the_version_of_transactions_is_what_the_cluster_agrees_on(
    finalized: list[tuple[str, int, int, dict[int, bytes]]] | None, expected: int
) -> None:
    tags = {1: b"supported"} | ({} if finalized is None else {FINALIZED_FEATURES: FEATURES.encode(finalized)})
    assert transaction_version(ApiVersionsResponse_v3(0, [], 0, tags)) == expected


def test_a_broker_that_tells_no_features_has_no_new_transactions() -> None:
    assert transaction_version(ApiVersionResponse_v0(0, [])) == 0
