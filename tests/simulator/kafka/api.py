"""What a node answers to each request: in the versions that aiokafka chooses against Apache Kafka 4.1, and to those of
the transactions of Kafka 4 that the engine has of its own (`adding.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from aiokafka.protocol import admin, commit, coordination, fetch, group, metadata, offset, produce, transaction

from tests.simulator.kafka.cluster import GROUP, HOST, PORT, TRANSACTION, Cluster, Node
from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.fetch_answers import Answer, Fetching
from tests.simulator.kafka.groups import Join, Joined
from tests.simulator.kafka.kafka_4_transactions import Adding
from tests.simulator.kafka.network import Reply, Request, Response
from tests.simulator.kafka.partition_log import Fetched, PartitionLog
from tests.simulator.kafka.record_batch import sequence_of
from tests.simulator.kafka.topic_descriptions import Describing
from tests.simulator.kafka.transactions import OFFSETS_TOPIC, Partition

PRODUCE_SECONDS_MAX = 0.002
RECORD_BYTES_MAX = 8 * 1024 * 1024 + 4096
READ_COMMITTED = 1
EARLIEST = -2


class Api:
    """Serves all nodes of a cluster."""

    def __init__(self) -> None:
        self.cluster: Cluster
        handlers: dict[Any, Callable[[Node, Any, Reply], None]] = {
            produce.ProduceRequest_v7: self._produce,
            fetch.FetchRequest_v11: self._fetch,
            offset.OffsetRequest_v3: self._list_offsets,
            metadata.MetadataRequest_v5: self._metadata,
            commit.OffsetCommitRequest_v3: self._offset_commit,
            commit.OffsetFetchRequest_v3: self._offset_fetch,
            coordination.FindCoordinatorRequest_v1: self._find_coordinator,
            group.JoinGroupRequest_v5: self._join,
            group.HeartbeatRequest_v1: self._heartbeat,
            group.LeaveGroupRequest_v1: self._leave,
            group.SyncGroupRequest_v3: self._sync,
            admin.CreateTopicsRequest_v3: self._create_topics,
            admin.DeleteTopicsRequest_v3: self._delete_topics,
            admin.CreatePartitionsRequest_v1: self._create_partitions,
            admin.DeleteRecordsRequest_v1: self._delete_records,
            transaction.InitProducerIdRequest_v0: self._init_producer_id,
            transaction.AddPartitionsToTxnRequest_v0: self._add_partitions,
            transaction.AddOffsetsToTxnRequest_v0: self._add_offsets,
            transaction.EndTxnRequest_v0: self._end_txn,
            transaction.TxnOffsetCommitRequest_v0: self._txn_offset_commit,
        }
        self._handlers = handlers | Adding(self).handlers | Describing(self).handlers
        self._described: dict[tuple[str, ...] | None, Response] = {}
        """Answers to requests for metadata, by the topics asked for, as of so many changes of the cluster."""
        self._described_at = -1
        self.versions: dict[int, tuple[int, int]] = {}
        """By API key: the oldest and the newest version that a node takes."""
        for request in self._handlers:
            oldest, newest = self.versions.get(request.API_KEY, (request.API_VERSION, request.API_VERSION))
            self.versions[request.API_KEY] = (min(oldest, request.API_VERSION), max(newest, request.API_VERSION))

    def serve(self, node: Node, request: Request, reply: Reply) -> None:
        """Let a node handle a request."""
        self._handlers[type(request)](node, request, reply)

    # -- records

    def _produce(self, node: Node, request: Request, reply: Reply) -> None:
        topics = []
        for topic, partitions in request.topics:
            answers = []
            for partition, messages in partitions:
                data, source = bytes(messages), (topic, partition)
                allowed = self._verified(request.transactional_id, source, data)
                code, base_offset = self.append(node, source, data, allowed)
                answers.append((partition, int(code), base_offset, -1, 0))
            topics.append((topic, answers))
        self.answer_written(node, produce.ProduceResponse_v7(topics, 0), reply)

    def append(self, node: Node, source: Partition, data: bytes, allowed: Code) -> tuple[Code, int]:
        """Append a batch where this node leads and it is `allowed`; its code and base offset."""
        code, log = self.led(node, *source)
        if log is None:
            return code, -1
        if len(data) > RECORD_BYTES_MAX:
            return Code.MESSAGE_TOO_LARGE, -1
        return log.append(data) if allowed is Code.NONE else (allowed, -1)

    def _verified(self, transactional_id: str | None, source: Partition, data: bytes) -> Code:
        """Whether a batch belongs to an open transaction, or to none."""
        log = self.cluster.log(*source)
        producer_id, epoch, _, _ = sequence_of(data)
        if transactional_id is None or log is None or log.in_transaction(producer_id, epoch):
            return Code.NONE
        return self.cluster.transactions.verify(transactional_id, producer_id, epoch, source)

    def answer_written(self, node: Node, response: Response, reply: Reply) -> None:
        """Answer once the other replicas have what was written."""
        seconds = PRODUCE_SECONDS_MAX * self.cluster.chance.random()
        self.cluster.loop.later(seconds, lambda: node.awake(lambda: reply(response)))

    def _fetch(self, node: Node, request: Request, reply: Reply) -> None:
        Fetching(self.cluster, node, request, lambda: self._fetched(node, request), reply)

    def _fetched(self, node: Node, request: Request) -> Answer:
        """The answer as it is now, how many bytes it has, and whether an error is in it."""
        committed = request.isolation_level == READ_COMMITTED
        topics, size, failed = [], 0, False
        for topic, partitions in request.topics:
            answers = []
            for partition, _, fetch_offset, _, bytes_max in partitions:
                code, log = self.led(node, topic, partition)
                if log is None:
                    got = Fetched(code, -1, -1, -1, [], b"")
                else:
                    got = log.read(fetch_offset, min(bytes_max, max(request.max_bytes - size, 1)), committed=committed)
                failed = failed or got.code is not Code.NONE
                size += len(got.data)
                answers.append(
                    (
                        partition,
                        int(got.code),
                        got.high_watermark,
                        got.stable_offset,
                        got.start_offset,
                        got.aborted,
                        -1,
                        got.data,
                    )
                )
            topics.append((topic, answers))
        return Answer(topics, size, failed)

    def _list_offsets(self, node: Node, request: Request, reply: Reply) -> None:
        topics = []
        for topic, partitions in request.topics:
            answers = []
            for partition, timestamp in partitions:
                code, log = self.led(node, topic, partition)
                found = -1
                if log is not None:
                    if timestamp == EARLIEST:
                        found = log.start_offset
                    else:
                        found = log.stable_offset if request.isolation_level == READ_COMMITTED else log.end_offset
                answers.append((partition, int(code), -1, found))
            topics.append((topic, answers))
        reply(offset.OffsetResponse_v3(0, topics))

    def led(self, node: Node, topic: str, partition: int) -> tuple[Code, PartitionLog | None]:
        """The log of a partition, where this node leads it; else why not."""
        log = self.cluster.log(topic, partition)
        if log is None:
            return Code.UNKNOWN_TOPIC_OR_PARTITION, None
        if self.cluster.leader(topic, partition) != node.node_id:
            return Code.NOT_LEADER_OR_FOLLOWER, None
        return Code.NONE, log

    # -- topics

    def _metadata(self, _node: Node, request: Request, reply: Reply) -> None:
        if self._described_at != self.cluster.changes:
            self._described.clear()
            self._described_at = self.cluster.changes
        asked = None if request.topics is None else tuple(request.topics)
        if asked not in self._described:
            self._described[asked] = self._describe(self.cluster.logs if asked is None else asked)
        reply(self._described[asked])

    def _describe(self, names: Iterable[str]) -> Response:
        cluster = self.cluster
        ids = [node.node_id for node in cluster.nodes]
        # The rack is no None: aiokafka keeps these in a set, and the hash of None is another one in every process.
        brokers = [(node.node_id, HOST, PORT + node.node_id, "") for node in cluster.nodes if node.online]
        topics: list[Any] = []
        for topic in names:
            logs = cluster.logs.get(topic)
            if logs is None:
                topics.append((int(Code.UNKNOWN_TOPIC_OR_PARTITION), topic, False, []))
                continue
            partitions: list[Any] = []
            for number in range(len(logs)):
                leader = cluster.leader(topic, number)
                code = Code.LEADER_NOT_AVAILABLE if leader < 0 else Code.NONE
                partitions.append((int(code), number, leader, ids, ids, []))
            topics.append((int(Code.NONE), topic, False, partitions))
        return metadata.MetadataResponse_v5(0, brokers, "simulated", cluster.controller(), topics)

    def _create_topics(self, _node: Node, request: Request, reply: Reply) -> None:
        answers = []
        for name, partitions, _, _, configs in request.create_topic_requests:
            code = Code.NONE
            if name in self.cluster.logs:
                code = Code.TOPIC_ALREADY_EXISTS
            elif partitions < 1:
                code = Code.INVALID_PARTITIONS
            else:
                self.cluster.create_topic(
                    name, partitions, compact="compact" in dict(configs).get("cleanup.policy", "")
                )
            answers.append((name, int(code), None))
        reply(admin.CreateTopicsResponse_v3(0, answers))

    def _delete_topics(self, _node: Node, request: Request, reply: Reply) -> None:
        answers = []
        for name in request.topics:
            is_gone = self.cluster.delete_topic(name)
            answers.append((name, int(Code.NONE if is_gone else Code.UNKNOWN_TOPIC_OR_PARTITION)))
        reply(admin.DeleteTopicsResponse_v3(0, answers))

    def _create_partitions(self, _node: Node, request: Request, reply: Reply) -> None:
        answers = []
        for name, (count, _) in request.topic_partitions:
            logs = self.cluster.logs.get(name)
            code = Code.NONE
            if logs is None:
                code = Code.UNKNOWN_TOPIC_OR_PARTITION
            elif count <= len(logs):
                code = Code.INVALID_PARTITIONS
            else:
                logs.extend(PartitionLog(compact=logs[0].compact) for _ in range(count - len(logs)))
                self.cluster.changes += 1
            answers.append((name, int(code), None))
        reply(admin.CreatePartitionsResponse_v1(0, answers))

    def _delete_records(self, node: Node, request: Request, reply: Reply) -> None:
        topics = []
        for topic, partitions in request.topics:
            answers = []
            for partition, before_offset in partitions:
                code, log = self.led(node, topic, partition)
                if log is not None:
                    log.truncate(before_offset)
                answers.append((partition, -1 if log is None else log.start_offset, int(code)))
            topics.append((topic, answers))
        reply(admin.DeleteRecordsResponse_v1(0, topics))

    # -- coordinators

    def _find_coordinator(self, _node: Node, request: Request, reply: Reply) -> None:
        node_id = self.cluster.coordinator(request.coordinator_type, request.coordinator_key)
        code = Code.COORDINATOR_NOT_AVAILABLE if node_id < 0 else Code.NONE
        reply(coordination.FindCoordinatorResponse_v1(0, int(code), None, node_id, HOST, PORT + node_id))

    def refused(self, node: Node, kind: int, key: str) -> Code:
        """Why this node does not answer for a key."""
        if self.cluster.coordinator(kind, key) != node.node_id:
            return Code.NOT_COORDINATOR
        return Code.COORDINATOR_LOAD_IN_PROGRESS if self.cluster.loading(kind, key) else Code.NONE

    def _init_producer_id(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(code: Code, producer_id: int, epoch: int) -> None:
            reply(transaction.InitProducerIdResponse_v0(0, int(code), producer_id, epoch))

        key = request.transactional_id
        refused = Code.NONE if key is None else self.refused(node, TRANSACTION, key)
        if refused is not Code.NONE:
            answer(refused, -1, -1)
        else:
            self.cluster.transactions.init_producer_id(key, request.transaction_timeout_ms, answer)

    def _add_partitions(self, node: Node, request: Request, reply: Reply) -> None:
        partitions: set[Partition] = {(topic, number) for topic, numbers in request.topics for number in numbers}

        def answer(code: Code) -> None:
            errors = [(topic, [(number, int(code)) for number in numbers]) for topic, numbers in request.topics]
            reply(transaction.AddPartitionsToTxnResponse_v0(0, errors))

        key = request.transactional_id
        refused = self.refused(node, TRANSACTION, key)
        if refused is not Code.NONE:
            answer(refused)
        elif any(self.cluster.log(topic, number) is None for topic, number in partitions):
            answer(Code.UNKNOWN_TOPIC_OR_PARTITION)
        else:
            self.cluster.transactions.add_partitions(
                key, request.producer_id, request.producer_epoch, partitions, answer
            )

    def _add_offsets(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(code: Code) -> None:
            reply(transaction.AddOffsetsToTxnResponse_v0(0, int(code)))

        key = request.transactional_id
        refused = self.refused(node, TRANSACTION, key)
        if refused is not Code.NONE:
            answer(refused)
        else:
            self.cluster.transactions.add_partitions(
                key, request.producer_id, request.producer_epoch, {(OFFSETS_TOPIC + request.group_id, 0)}, answer
            )

    def _end_txn(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(code: Code) -> None:
            reply(transaction.EndTxnResponse_v0(0, int(code)))

        key = request.transactional_id
        refused = self.refused(node, TRANSACTION, key)
        if refused is not Code.NONE:
            answer(refused)
        else:
            self.cluster.transactions.end(
                key,
                request.producer_id,
                request.producer_epoch,
                commit=bool(request.transaction_result),
                reply=answer,
            )

    def _txn_offset_commit(self, node: Node, request: Request, reply: Reply) -> None:
        offsets = {(topic, number): at for topic, entries in request.topics for number, at, _ in entries}
        code = self.refused(node, GROUP, request.group_id)
        if code is Code.NONE:
            code = self.cluster.transactions.verify(
                request.transactional_id,
                request.producer_id,
                request.producer_epoch,
                (OFFSETS_TOPIC + request.group_id, 0),
            )
            # An old client gets a concurrent transaction as a coordinator that is loading.
            code = Code.COORDINATOR_LOAD_IN_PROGRESS if code is Code.NOT_ENOUGH_REPLICAS else code
        if code is Code.NONE:
            kept = self.cluster.group(request.group_id).offsets.keep(
                request.producer_id, request.producer_epoch, offsets
            )
            code = Code.NONE if kept else Code.INVALID_PRODUCER_EPOCH
        errors = [(topic, [(number, int(code)) for number, _, _ in entries]) for topic, entries in request.topics]
        reply(transaction.TxnOffsetCommitResponse_v0(0, errors))

    def _offset_commit(self, node: Node, request: Request, reply: Reply) -> None:
        offsets = {(topic, number): at for topic, entries in request.topics for number, at, _ in entries}
        code = self.refused(node, GROUP, request.consumer_group)
        if code is Code.NONE:
            code = self.cluster.group(request.consumer_group).commit(
                request.consumer_group_generation_id, request.consumer_id, offsets
            )
        topics = [(topic, [(number, int(code)) for number, _, _ in entries]) for topic, entries in request.topics]
        reply(commit.OffsetCommitResponse_v3(0, topics))

    def _offset_fetch(self, node: Node, request: Request, reply: Reply) -> None:
        code = self.refused(node, GROUP, request.consumer_group)
        committed = self.cluster.group(request.consumer_group).offsets.answered(self.cluster.loop.time())
        asked = request.topics
        if asked is None:
            by_topic: dict[str, list[int]] = {}
            for topic, number in committed:
                by_topic.setdefault(topic, []).append(number)
            asked = list(by_topic.items())
        topics = []
        if code is Code.NONE:
            for topic, numbers in asked:
                topics.append((topic, [(number, committed.get((topic, number), -1), "", 0) for number in numbers]))
        # An error of the whole answer comes without topics: aiokafka does not look at it.
        reply(commit.OffsetFetchResponse_v3(0, topics, int(code)))

    def _join(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(joined: Joined) -> None:
            node.awake(lambda: reply(group.JoinGroupResponse_v5(0, int(joined.code), *joined[1:5], list(joined[5]))))

        refused = self.refused(node, GROUP, request.group)
        if refused is not Code.NONE:
            answer(Joined(refused, member_id=request.member_id))
            return
        protocols = tuple((name, bytes(about)) for name, about in request.group_protocols)
        join = Join(
            request.member_id, request.group_instance_id, request.session_timeout, request.rebalance_timeout, protocols
        )
        self.cluster.group(request.group).join(join, answer)

    def _sync(self, node: Node, request: Request, reply: Reply) -> None:
        def answer(code: Code, assignment: bytes) -> None:
            node.awake(lambda: reply(group.SyncGroupResponse_v3(0, int(code), assignment)))

        refused = self.refused(node, GROUP, request.group)
        if refused is not Code.NONE:
            answer(refused, b"")
            return
        assignments = {member: bytes(assignment) for member, assignment in request.group_assignment}
        self.cluster.group(request.group).sync(
            request.generation_id, request.member_id, request.group_instance_id, assignments, answer
        )

    def _heartbeat(self, node: Node, request: Request, reply: Reply) -> None:
        code = self.refused(node, GROUP, request.group)
        if code is Code.NONE:
            code = self.cluster.group(request.group).heartbeat(request.generation_id, request.member_id)
        elif code is Code.COORDINATOR_LOAD_IN_PROGRESS:
            code = Code.NONE  # as Apache Kafka answers while it loads
        reply(group.HeartbeatResponse_v1(0, int(code)))

    def _leave(self, node: Node, request: Request, reply: Reply) -> None:
        code = self.refused(node, GROUP, request.group)
        if code is Code.NONE:
            code = self.cluster.group(request.group).leave(request.member_id)
        reply(group.LeaveGroupResponse_v1(0, int(code)))
