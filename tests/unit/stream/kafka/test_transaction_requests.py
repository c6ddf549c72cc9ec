"""What the requests of Kafka 4's transactions are, and who may be asked with them. That Apache Kafka understands them
is a fact of its own (`tests.simulator.facts.kafka_4_facts`).
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Any

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import ApiVersionRequest_v0, ApiVersionResponse_v0
from aiokafka.protocol.api import RequestStruct

from tests.unit.stream.brokers import NEEDED, about_itself
from worker.stream.kafka.transaction_requests import (
    NO_TAGS,
    ApiVersionsRequest_v3,
    ApiVersionsResponse_v3,
    EndTxnResponse_v5,
    ProduceResponse_v12,
    TxnOffsetCommitResponse_v5,
    end_request,
    is_agreed,
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


@pytest.mark.parametrize("struct", [*REQUESTS, *ANSWERS, versions_request()], ids=lambda struct: type(struct).__name__)
def test_what_is_encoded_is_what_is_decoded(struct: Any) -> None:  # noqa: ANN401 - aiokafka's
    assert type(struct).decode(struct.encode()) == struct


@pytest.mark.parametrize(("request_", "answer"), list(zip(REQUESTS, ANSWERS, strict=True)))
def test_a_request_knows_its_answer(request_: RequestStruct, answer: Any) -> None:  # noqa: ANN401 - aiokafka's
    assert request_.RESPONSE_TYPE is type(answer)
    assert (request_.API_KEY, request_.API_VERSION) == (answer.API_KEY, answer.API_VERSION)


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: type(request).__name__)
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


TOLD = bytes.fromhex(
    "0000"  # no error
    "03" "0000" "0000" "000d" "00" "001a" "0000" "0005" "00"  # Produce up to 13, EndTxn up to 5
    "00000000"  # not throttled
    "03"  # three tags
    "00" "1a" "02" "14" "7472616e73616374696f6e2e76657273696f6e" "0000" "0002" "00"
    "01" "08" "0000000000000011"  # as of epoch 17
    "02" "1a" "02" "14" "7472616e73616374696f6e2e76657273696f6e" "0002" "0002" "00"
)  # fmt: skip
"""An answer as Apache Kafka 4.1 writes it, with less of each kind. Tag 0 has supported features, 2 those agreed on."""


def test_what_a_broker_tells_of_itself_is_read_as_it_writes_it() -> None:
    answer: Any = ApiVersionsResponse_v3.decode(TOLD)
    assert answer.api_versions == [(0, 0, 13, NO_TAGS), (26, 0, 5, NO_TAGS)]
    assert transaction_version(answer) == 2
    assert not is_agreed(answer), "it does not take the offsets"


@pytest.mark.parametrize(("agreed", "epoch", "expected"), [(0, 5, 0), (1, 5, 1), (2, 5, 2), (2, 0, 2), (2, -1, 0)])
def test_the_transaction_version_is_the_one_the_cluster_finalized(agreed: int, epoch: int, expected: int) -> None:
    answer = about_itself(agreed, epoch)
    assert transaction_version(answer) == expected
    assert is_agreed(answer) is (expected == 2)


@pytest.mark.parametrize("what", NEEDED)
def test_what_a_broker_does_not_take_is_not_agreed_on(what: str) -> None:
    key, version = NEEDED[what]
    assert not is_agreed(about_itself(2, versions=dict(NEEDED.values()) | {key: version - 1}))
    assert is_agreed(about_itself(2, versions=dict(NEEDED.values()) | {key: version + 1}))


def test_a_broker_that_tells_no_features_has_no_new_transactions() -> None:
    assert not is_agreed(ApiVersionResponse_v0(0, []))
    assert not is_agreed(ApiVersionsResponse_v3(0, [], 0, NO_TAGS))


def test_who_asks_is_told_in_letters_that_brokers_take() -> None:
    """As `ApiVersionsRequest.isValid` of Apache Kafka has it."""
    asked: Any = versions_request()
    for text in (asked.client_software_name, asked.client_software_version):
        assert re.fullmatch(r"[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?", text)
