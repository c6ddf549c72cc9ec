"""The answers of requests that fail, and which errors Apache Kafka has for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.protocol import commit, coordination, fetch, group, metadata, offset, produce, transaction

from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.network import Request, Response
from worker.stream.kafka.transaction_requests import (
    NO_TAGS,
    EndTxnRequest_v5,
    EndTxnResponse_v5,
    ProduceRequest_v12,
    ProduceResponse_v12,
    TxnOffsetCommitRequest_v5,
    TxnOffsetCommitResponse_v5,
)

_COORDINATOR = (Code.COORDINATOR_LOAD_IN_PROGRESS, Code.COORDINATOR_NOT_AVAILABLE, Code.NOT_COORDINATOR)
_TRANSACTION = (*_COORDINATOR, Code.CONCURRENT_TRANSACTIONS)
_LEADER = (Code.NOT_LEADER_OR_FOLLOWER, Code.UNKNOWN_TOPIC_OR_PARTITION, Code.KAFKA_STORAGE_ERROR)

ERRORS: Mapping[Any, tuple[Code, ...]] = {
    produce.ProduceRequest_v7: (
        *_LEADER,
        Code.NOT_ENOUGH_REPLICAS,
        Code.REQUEST_TIMED_OUT,
        Code.UNKNOWN_PRODUCER_ID,
        Code.OUT_OF_ORDER_SEQUENCE_NUMBER,
        Code.INVALID_PRODUCER_EPOCH,
        Code.INVALID_TXN_STATE,
    ),
    fetch.FetchRequest_v11: _LEADER,
    offset.OffsetRequest_v3: (*_LEADER, Code.LEADER_NOT_AVAILABLE),
    metadata.MetadataRequest_v5: (Code.LEADER_NOT_AVAILABLE, Code.UNKNOWN_TOPIC_OR_PARTITION),
    commit.OffsetFetchRequest_v3: (Code.COORDINATOR_LOAD_IN_PROGRESS, Code.NOT_COORDINATOR),
    coordination.FindCoordinatorRequest_v1: (Code.COORDINATOR_NOT_AVAILABLE,),
    group.JoinGroupRequest_v5: (*_COORDINATOR, Code.UNKNOWN_MEMBER_ID),
    group.SyncGroupRequest_v3: (
        Code.COORDINATOR_NOT_AVAILABLE,
        Code.NOT_COORDINATOR,
        Code.ILLEGAL_GENERATION,
        Code.UNKNOWN_MEMBER_ID,
        Code.REBALANCE_IN_PROGRESS,
    ),
    group.HeartbeatRequest_v1: (
        Code.COORDINATOR_NOT_AVAILABLE,
        Code.NOT_COORDINATOR,
        Code.ILLEGAL_GENERATION,
        Code.UNKNOWN_MEMBER_ID,
        Code.REBALANCE_IN_PROGRESS,
    ),
    transaction.InitProducerIdRequest_v0: _TRANSACTION,
    transaction.AddPartitionsToTxnRequest_v0: (
        *_TRANSACTION,
        Code.UNKNOWN_TOPIC_OR_PARTITION,
        Code.INVALID_PRODUCER_EPOCH,
        Code.INVALID_PRODUCER_ID_MAPPING,
        Code.INVALID_TXN_STATE,
    ),
    transaction.AddOffsetsToTxnRequest_v0: (*_TRANSACTION, Code.INVALID_PRODUCER_EPOCH, Code.INVALID_TXN_STATE),
    transaction.TxnOffsetCommitRequest_v0: (
        *_COORDINATOR,
        Code.REQUEST_TIMED_OUT,
        Code.UNKNOWN_TOPIC_OR_PARTITION,
        Code.INVALID_PRODUCER_EPOCH,
        Code.ILLEGAL_GENERATION,
    ),
    transaction.EndTxnRequest_v0: (*_TRANSACTION, Code.INVALID_PRODUCER_EPOCH, Code.INVALID_TXN_STATE),
    ProduceRequest_v12: (
        *_LEADER,
        Code.NOT_ENOUGH_REPLICAS,
        Code.REQUEST_TIMED_OUT,
        Code.CONCURRENT_TRANSACTIONS,
        Code.OUT_OF_ORDER_SEQUENCE_NUMBER,
        Code.INVALID_PRODUCER_EPOCH,
        Code.INVALID_PRODUCER_ID_MAPPING,
        Code.INVALID_TXN_STATE,
        Code.TRANSACTION_ABORTABLE,
    ),
    TxnOffsetCommitRequest_v5: (
        *_TRANSACTION,
        Code.REQUEST_TIMED_OUT,
        Code.UNKNOWN_TOPIC_OR_PARTITION,
        Code.INVALID_PRODUCER_EPOCH,
        Code.INVALID_PRODUCER_ID_MAPPING,
        Code.TRANSACTION_ABORTABLE,
    ),
    EndTxnRequest_v5: (
        *_TRANSACTION,
        Code.PRODUCER_FENCED,
        Code.INVALID_PRODUCER_ID_MAPPING,
        Code.INVALID_TXN_STATE,
        Code.TRANSACTION_ABORTABLE,
    ),
}
"""What each request may be refused with."""


def refused(request: Request, code: int) -> Response | None:
    """The answer to a request of which everything failed with `code`; None: there is no such answer."""
    make = _ANSWERS.get(type(request))
    return None if make is None else make(request, code)


def _by_number(topics: Any, answer: Callable[[int], tuple[Any, ...]]) -> list[Any]:  # noqa: ANN401 - aiokafka's
    return [
        (topic, [answer(entry if isinstance(entry, int) else entry[0]) for entry in entries])
        for topic, entries in topics
    ]


def _by_number_tagged(topics: Any, answer: Callable[[int], tuple[Any, ...]]) -> list[Any]:  # noqa: ANN401 - as above
    return [(topic, [answer(number) for number, *_ in entries], NO_TAGS) for topic, entries, _ in topics]


_ANSWERS: Mapping[Any, Callable[[Request, int], Response]] = {
    produce.ProduceRequest_v7: lambda request, code: produce.ProduceResponse_v7(
        _by_number(request.topics, lambda number: (number, code, -1, -1, -1)), 0
    ),
    fetch.FetchRequest_v11: lambda request, code: fetch.FetchResponse_v11(
        0, 0, 0, _by_number(request.topics, lambda number: (number, code, -1, -1, -1, [], -1, b""))
    ),
    offset.OffsetRequest_v3: lambda request, code: offset.OffsetResponse_v3(
        0, _by_number(request.topics, lambda number: (number, code, -1, -1))
    ),
    commit.OffsetFetchRequest_v3: lambda _request, code: commit.OffsetFetchResponse_v3(0, [], code),
    coordination.FindCoordinatorRequest_v1: lambda _request, code: coordination.FindCoordinatorResponse_v1(
        0, code, None, -1, "", -1
    ),
    group.JoinGroupRequest_v5: lambda request, code: group.JoinGroupResponse_v5(
        0, code, -1, "", "", request.member_id, []
    ),
    group.SyncGroupRequest_v3: lambda _request, code: group.SyncGroupResponse_v3(0, code, b""),
    group.HeartbeatRequest_v1: lambda _request, code: group.HeartbeatResponse_v1(0, code),
    transaction.InitProducerIdRequest_v0: lambda _request, code: transaction.InitProducerIdResponse_v0(0, code, -1, -1),
    transaction.AddPartitionsToTxnRequest_v0: lambda request, code: transaction.AddPartitionsToTxnResponse_v0(
        0, _by_number(request.topics, lambda number: (number, code))
    ),
    transaction.AddOffsetsToTxnRequest_v0: lambda _request, code: transaction.AddOffsetsToTxnResponse_v0(0, code),
    transaction.TxnOffsetCommitRequest_v0: lambda request, code: transaction.TxnOffsetCommitResponse_v0(
        0, _by_number(request.topics, lambda number: (number, code))
    ),
    transaction.EndTxnRequest_v0: lambda _request, code: transaction.EndTxnResponse_v0(0, code),
    ProduceRequest_v12: lambda request, code: ProduceResponse_v12(
        _by_number_tagged(request.topics, lambda number: (number, code, -1, -1, -1, [], None, NO_TAGS)), 0, NO_TAGS
    ),
    TxnOffsetCommitRequest_v5: lambda request, code: TxnOffsetCommitResponse_v5(
        0, _by_number_tagged(request.topics, lambda number: (number, code, NO_TAGS)), NO_TAGS
    ),
    EndTxnRequest_v5: lambda _request, code: EndTxnResponse_v5(0, code, -1, -1, NO_TAGS),
}


def weakened(response: Response, code: int) -> Response:
    """A metadata answer in which one topic is not as it should be."""
    if not response.topics:
        return response
    _, topic, internal, _ = response.topics[-1]
    topics = [*response.topics[:-1], (code, topic, internal, [])]
    return type(response)(
        response.throttle_time_ms, response.brokers, response.cluster_id, response.controller_id, topics
    )
