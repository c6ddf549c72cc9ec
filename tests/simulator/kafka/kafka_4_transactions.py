"""What a node answers to the requests of Kafka 4's transactions (KIP-890): who leads a partition makes it part of the
transaction by itself, when the first records or offsets of the transaction come.

The leader of a partition asks the coordinator of the transaction, and where that has another transaction of the id in
hand it asks again for a while, as Apache Kafka does; the coordinator of a group gives the answer on immediately.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiokafka.protocol.types import Int64

from tests.simulator.kafka.cluster import GROUP, TRANSACTION, Node
from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.network import Reply, Request
from tests.simulator.kafka.record_batch import Sequence, sequence_of
from tests.simulator.kafka.transactions import OFFSETS_TOPIC, Partition
from worker.stream.kafka.transaction_requests import (
    FEATURES,
    FEATURES_EPOCH,
    FINALIZED_FEATURES,
    NO_TAGS,
    ApiVersionsRequest_v3,
    ApiVersionsResponse_v3,
    EndTxnRequest_v5,
    EndTxnResponse_v5,
    ProduceRequest_v12,
    ProduceResponse_v12,
    TxnOffsetCommitRequest_v5,
    TxnOffsetCommitResponse_v5,
)

if TYPE_CHECKING:
    from tests.simulator.kafka.api import Api

RETRY_SECONDS = 0.02
RETRIES_SECONDS_MAX = 0.1
"""`add.partitions.to.txn.retry.backoff.ms` and its maximum, as they are by default."""
BETWEEN_NODES_SECONDS_MAX = 0.0005


class Adding:
    """Serves all nodes of a cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.handlers: dict[Any, Callable[[Node, Any, Reply], None]] = {
            ApiVersionsRequest_v3: self._versions,
            ProduceRequest_v12: self._produce,
            EndTxnRequest_v5: self._end_txn,
            TxnOffsetCommitRequest_v5: self._txn_offset_commit,
        }

    def _versions(self, _node: Node, _request: Request, reply: Reply) -> None:
        taken = [(key, oldest, newest, NO_TAGS) for key, (oldest, newest) in self._api.versions.items()]
        agreed = self._api.cluster.transaction_version
        features = FEATURES.encode([("transaction.version", agreed, agreed, NO_TAGS)])
        tags = {FEATURES_EPOCH: Int64.encode(self._api.cluster.changes), FINALIZED_FEATURES: features}
        reply(ApiVersionsResponse_v3(0, taken, 0, tags))

    def _produce(self, node: Node, request: Request, reply: Reply) -> None:
        appends: list[tuple[Partition, bytes]] = [
            ((topic, partition), bytes(data)) for topic, entries, _ in request.topics for partition, data, _ in entries
        ]
        new = {source for source, data in appends if self._is_new(node, source, data)}

        def append(added: Code) -> None:
            answers: dict[str, list[tuple[object, ...]]] = {}
            for source, data in appends:
                code, offset = self._api.append(node, source, data, added if source in new else Code.NONE)
                answers.setdefault(source[0], []).append((source[1], int(code), offset, -1, 0, [], None, NO_TAGS))
            topics = [(topic, entries, NO_TAGS) for topic, entries in answers.items()]
            self._api.answer_written(node, ProduceResponse_v12(topics, 0, NO_TAGS), reply)

        if new:
            producer = sequence_of(appends[0][1])
            until_seconds = self._api.cluster.loop.time() + RETRIES_SECONDS_MAX
            self._add(node, request.transactional_id, producer, new, append, until_seconds)
        else:
            append(Code.NONE)

    def _is_new(self, node: Node, source: Partition, data: bytes) -> bool:
        """Whether a batch is the first one of its transaction in a partition that this node leads."""
        producer = sequence_of(data)
        _, log = self._api.led(node, *source)
        return log is not None and not log.in_transaction(producer.producer_id, producer.epoch)

    def _add(
        self,
        node: Node,
        transactional_id: str,
        producer: Sequence,
        partitions: set[Partition],
        then: Callable[[Code], None],
        until_seconds: float,
    ) -> None:
        """Make partitions part of the transaction, then go on. While another transaction of the id is in hand it is
        tried again, until then.
        """
        cluster = self._api.cluster

        def ask() -> None:
            """At the coordinator, when it is awake; of one that dies there is no answer."""
            here = cluster.coordinator(TRANSACTION, transactional_id) == coordinator
            if not here or cluster.loading(TRANSACTION, transactional_id):
                answered(Code.NOT_ENOUGH_REPLICAS)
            else:
                cluster.transactions.add_partitions(
                    transactional_id, producer.producer_id, producer.epoch, partitions, answered, as_kafka_4=True
                )

        def answered(code: Code) -> None:
            self._travel(lambda: node.awake(lambda: added(code)))

        def added(code: Code) -> None:
            if code is Code.CONCURRENT_TRANSACTIONS and cluster.loop.time() < until_seconds:
                cluster.loop.later(RETRY_SECONDS, lambda: node.awake(again))
            else:
                then(code)

        def again() -> None:
            self._add(node, transactional_id, producer, partitions, then, until_seconds)

        coordinator = cluster.coordinator(TRANSACTION, transactional_id)
        if coordinator < 0:
            then(Code.NOT_ENOUGH_REPLICAS)
        else:
            self._travel(lambda: cluster.nodes[coordinator].awake(ask))

    def _travel(self, arrive: Callable[[], None]) -> None:
        """A message between two nodes."""
        cluster = self._api.cluster
        cluster.loop.later(BETWEEN_NODES_SECONDS_MAX * cluster.chance.random(), arrive)

    def _txn_offset_commit(self, node: Node, request: Request, reply: Reply) -> None:
        group_id = request.group_id
        offsets = {(topic, number): at for topic, entries, _ in request.topics for number, at, *_ in entries}

        def answer(code: Code) -> None:
            topics = [
                (topic, [(number, int(code), NO_TAGS) for number, *_ in entries], NO_TAGS)
                for topic, entries, _ in request.topics
            ]
            reply(TxnOffsetCommitResponse_v5(0, topics, NO_TAGS))

        def keep(added: Code) -> None:
            code: Code = Code.COORDINATOR_NOT_AVAILABLE if added is Code.NOT_ENOUGH_REPLICAS else added
            if code is Code.NONE:
                code = self._api.refused(node, GROUP, group_id)
            if code is Code.NONE:
                kept = self._api.cluster.group(group_id).offsets.keep(
                    request.producer_id, request.producer_epoch, offsets
                )
                code = Code.NONE if kept else Code.INVALID_PRODUCER_EPOCH
            answer(code)

        refused = self._api.refused(node, GROUP, group_id)
        if refused is Code.NONE:
            producer = Sequence(request.producer_id, request.producer_epoch, -1, -1)
            self._add(node, request.transactional_id, producer, {(OFFSETS_TOPIC + group_id, 0)}, keep, 0.0)
        else:
            answer(refused)

    def _end_txn(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(code: Code, producer_id: int = -1, epoch: int = -1) -> None:
            reply(EndTxnResponse_v5(0, int(code), producer_id, epoch, NO_TAGS))

        refused = self._api.refused(node, TRANSACTION, request.transactional_id)
        if refused is Code.NONE:
            self._api.cluster.transactions.end_as_kafka_4(
                request.transactional_id,
                request.producer_id,
                request.producer_epoch,
                commit=bool(request.transaction_result),
                reply=answer,
            )
        else:
            answer(refused)
