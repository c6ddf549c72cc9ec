"""The transactional producer of one partition: begins, writes and ends transactions, on aiokafka's client.

Transactions have two protocols:

- The old one (KIP-98) is the only one that aiokafka knows. The client first adds partitions and the group to the
  transaction, and keeps its epoch for as long as the producer lives. So a commit without an answer is never sent again:
  if the first request arrives late, it would commit a part of the next transaction.
- The one of Kafka 4 (KIP-890) gives the producer a new epoch at each end, so a late request does no harm. The leader of
  a partition adds it to the transaction by itself. If one broker leads all partitions, a transaction takes three
  requests: offsets, records, end. If several brokers lead them, the client adds the partitions as in the old protocol,
  because the brokers would delay each other.

aiokafka's own producer sends one request after the other, which takes five round trips, and hides its retries. This one
sends together what may go together. So a transaction takes three round trips in both protocols, each of one or more
requests.

After an error the producer only aborts and stops (`ProducerState`). Its successor takes the transactional id's next
epoch, so the broker rejects requests of the old producer that still arrive: they are *fenced*.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    DuplicateSequenceNumber,
    InvalidTxnState,
    KafkaError,
    NodeNotReadyError,
    NoError,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    for_code,
)
from aiokafka.protocol.commit import OffsetFetchRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.transaction import (
    AddOffsetsToTxnRequest,
    AddPartitionsToTxnRequest,
    EndTxnRequest,
    InitProducerIdRequest,
    TxnOffsetCommitRequest,
)

from worker.stream.clients import Answer, Client
from worker.stream.config import EngineConfig
from worker.stream.kafka import transaction_requests as kafka_4
from worker.stream.kafka.open_batches import Filled
from worker.stream.kafka.producer_state import PRODUCER_TRANSITIONS, ProducerState
from worker.stream.kafka.responses import (
    Codes,
    answer_to,
    codes_of_offsets,
    codes_of_partitions,
    error_code,
    error_of,
    name_of,
    together,
)
from worker.stream.transitions import ForbiddenTransition, next_state

log = logging.getLogger(__name__)

MARKER_SECONDS: Final = 0.003
"""The first pause while the markers of the previous transaction are being written, which takes a few milliseconds."""
MARKER_SECONDS_MAX: Final = 0.1
"""The longest such pause. Each is twice as long as the one before, because a partition may lack a leader for long."""
SEQUENCE_MASK: Final = 0x7FFF_FFFF

ELSEWHERE: Final = (NotCoordinatorError, CoordinatorNotAvailableError, RequestTimedOutError)
"""Errors after which the producer looks the coordinator up again."""

_NOTHING_OPEN: Final = (ProducerState.UNINITIALIZED, ProducerState.READY, ProducerState.FINISHED, ProducerState.STOPPED)


class TransactionalProducer:
    """The present user of one transactional id: a successor fences it. After any exception it may only abort and stop.

    Its methods wait without a time limit, so callers must set one. A call that `state` does not allow raises
    ForbiddenTransition.

    If a broker handles a transaction's first produce and its offset commit together, it rejects one, because both make
    it query the coordinator for the same transactional id. So the producer keeps one connection per broker: a broker
    handles the requests of one connection one after the other.
    """

    def __init__(self, config: EngineConfig, partition: int) -> None:
        self._config = config
        self._partition = partition
        self._id = f"{config.app_id}-{partition}"
        self._client: Client = AIOKafkaClient(
            **config.client,
            client_id=self._id,
            request_timeout_ms=config.request_timeout_ms,
            metadata_max_age_ms=config.metadata_age_ms_max,
            retry_backoff_ms=config.retry_backoff_ms,
        )
        self._backoff_seconds = config.retry_backoff_ms / 1000
        self._coordinators: dict[CoordinationType, int] = {}
        self._producer_id = -1
        self._epoch = -1
        self._sequences: Counter[str] = Counter()
        """By topic: the sequence number of the next record."""
        self._are_leaders_stale = False
        """Whether the client must refresh the leaders of partitions before the next produce."""
        self._is_added = False
        """Whether `begin` added partitions and group to the transaction."""
        self._as_kafka_4 = False
        """Whether the cluster has agreed on the transactions of Kafka 4."""
        self.state = ProducerState.UNINITIALIZED

    def _enter(self, state: ProducerState) -> None:
        self.state = next_state(f"the producer {self._id}", self.state, state, PRODUCER_TRANSITIONS)

    @contextmanager
    def _entering(self, failed: ProducerState) -> Iterator[None]:
        """Change the state to `failed` if what is done within raises, cancellation included."""
        try:
            yield
        except BaseException:
            if self.state is not ProducerState.STOPPED:
                self._enter(failed)
            raise

    async def start(self) -> None:
        """Connect and take the id's next epoch.

        From then on the broker rejects writes of earlier producers of the id. It aborts the transaction they left open.
        """
        with self._entering(ProducerState.FINISHED):
            await self._client.bootstrap()
            await self._client.set_topics([*self._config.outputs, self._config.state_topic])
            await self._take_epoch()
        self._enter(ProducerState.READY)

    async def take_over(self) -> None:
        """Connect and take the id's next epoch, like `start`, also where topics are missing.

        A producer that begins like this cannot write. It only ends what an earlier one left open.
        """
        with self._entering(ProducerState.FINISHED):
            await self._client.bootstrap()
            await self._take_epoch()
        self._enter(ProducerState.READY)

    async def _take_epoch(self) -> None:
        request = InitProducerIdRequest(self._id, self._config.transaction_timeout_ms)
        answer = await self._ask(CoordinationType.TRANSACTION, request, error_code)
        self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
        answer = await self._ask(CoordinationType.TRANSACTION, kafka_4.versions_request(), error_code)
        self._as_kafka_4 = kafka_4.is_agreed(answer)

    async def stop(self) -> None:
        """Close the connections.

        An open transaction stays open until the broker's time limit, or until a successor takes the next epoch.
        """
        self._enter(ProducerState.STOPPED)
        await self._client.close()

    async def begin(self, topics: Collection[str], *, with_offsets: bool) -> None:
        """Begin a transaction that writes to this partition of `topics`, and commits the group's offsets if asked.

        Without topics and offsets nothing begins, and the producer stays READY.
        """
        if not topics and not with_offsets:
            return
        self._enter(ProducerState.IN_TRANSACTION)
        with self._entering(ProducerState.ABORTABLE):
            self._is_added = not self._as_kafka_4 or len(self._by_leader(topics)) > 1
            if self._is_added:
                await self._add(topics, with_offsets=with_offsets)

    async def _add(self, topics: Collection[str], *, with_offsets: bool) -> None:
        """Add partitions and group to the transaction."""
        own = (self._id, self._producer_id, self._epoch)
        steps = []
        if topics:
            request = AddPartitionsToTxnRequest(*own, [(topic, [self._partition]) for topic in topics])
            steps.append(self._ask(CoordinationType.TRANSACTION, request, codes_of_partitions))
        if with_offsets:
            request = AddOffsetsToTxnRequest(*own, self._config.app_id)
            steps.append(self._ask(CoordinationType.TRANSACTION, request, error_code))
        await together(steps)

    async def write(self, rounds: Sequence[Sequence[Filled]], offsets: Mapping[str, int]) -> dict[str, int]:
        """Write batches, and the group's next offsets by topic.

        A round has at most one batch of each topic. Rounds are sent one after the other, so a topic's batches stay in
        order. Return the offset of the last record by topic, -1 if the broker does not report it. After an error the
        transaction must not be committed, because the commit would succeed without what was rejected.
        """
        ends: dict[str, int] = {}
        if not rounds and not offsets:
            return ends
        if self.state is not ProducerState.IN_TRANSACTION:
            raise ForbiddenTransition(f"the producer {self._id} cannot write while it is {self.state.value}")
        with self._entering(ProducerState.ABORTABLE):
            if not offsets:
                await self._write_batches(rounds, ends)
            elif not self._is_added:
                # The offsets go first and open the transaction. While markers of the previous one are missing, a broker
                # rejects offsets immediately, but delays records by 20 ms (add.partitions.to.txn.retry.backoff.ms).
                await self._commit_offsets(offsets)
                await self._write_batches(rounds, ends)
            else:
                await together([self._write_batches(rounds, ends), self._commit_offsets(offsets)])
        return ends

    async def end(self, *, commit: bool) -> None:
        """Commit or abort the open transaction. If none is open, do nothing.

        After a commit the producer is READY for the next transaction, after an abort it is FINISHED. Raises
        ForbiddenTransition for a commit of a transaction that had an error.
        """
        if self.state in _NOTHING_OPEN:
            return
        if commit:
            self._enter(ProducerState.COMMITTING)
            with self._entering(ProducerState.ABORTABLE):
                await self._end(commit=True)
            self._enter(ProducerState.READY)
        else:
            self._enter(ProducerState.ABORTING)
            with self._entering(ProducerState.FINISHED):
                await self._end(commit=False)
            self._enter(ProducerState.FINISHED)

    async def _end(self, *, commit: bool) -> None:
        own = (self._id, self._producer_id, self._epoch)
        if self._as_kafka_4:
            request = kafka_4.end_request(*own, commit=commit)
            try:
                answer = await self._ask(CoordinationType.TRANSACTION, request, error_code)
            except InvalidTxnState as error:
                # Another producer aborted it under the next epoch, so this end looks to the broker like a repeated one.
                raise ProducerFenced from error
            self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
            self._sequences.clear()
        else:
            request = EndTxnRequest(*own, commit)
            await self._ask(CoordinationType.TRANSACTION, request, error_code, again=False)

    async def _commit_offsets(self, offsets: Mapping[str, int]) -> None:
        own = (self._id, self._config.app_id, self._producer_id, self._epoch)
        if self._as_kafka_4:
            request = kafka_4.offsets_request(*own, self._partition, offsets)
            await self._ask(CoordinationType.GROUP, request, codes_of_partitions)
        else:
            topics = [(topic, [(self._partition, offset, "")]) for topic, offset in offsets.items()]
            # Never sent again: if the first request arrived late, it would set the group's offsets back.
            await self._ask(
                CoordinationType.GROUP, TxnOffsetCommitRequest(*own, topics), codes_of_partitions, again=False
            )

    async def committed_offsets(self) -> dict[str, int]:
        """The group's committed offsets of this partition, by input topic; topics without one are left out."""
        request = OffsetFetchRequest(self._config.app_id, [(topic, [self._partition]) for topic in self._config.inputs])
        answer = await self._ask(CoordinationType.GROUP, request, codes_of_offsets)
        return {topic: offset for topic, ((_, offset, *_),) in answer.topics if offset >= 0}

    # -- records

    async def _write_batches(self, rounds: Sequence[Sequence[Filled]], ends: dict[str, int]) -> None:
        for batches in rounds:
            left: dict[str, tuple[bytes, int]] = {}
            for topic, batch, record_count in batches:
                sequence = self._sequences[topic]
                batch.set_producer_state(self._producer_id, self._epoch, sequence)
                self._sequences[topic] = (sequence + record_count) & SEQUENCE_MASK
                left[topic] = (batch.build(), record_count)
            while True:
                await together(
                    [self._produce(node_id, left, topics, ends) for node_id, topics in self._by_leader(left)]
                )
                if not left:
                    break
                await asyncio.sleep(self._backoff_seconds)
                if self._are_leaders_stale:
                    self._are_leaders_stale = False
                    await self._client.force_metadata_update()

    def _by_leader(self, topics: Iterable[str]) -> list[tuple[int, list[str]]]:
        """Group topics by the broker that leads their partition; those without a leader are left out."""
        by_node: dict[int, list[str]] = {}
        for topic in topics:
            node_id = self._client.cluster.leader_for_partition(TopicPartition(topic, self._partition))
            if node_id is None or node_id < 0:
                self._are_leaders_stale = True
                self._note("Produce", f"{topic} has no leader")
            else:
                by_node.setdefault(node_id, []).append(topic)
        return list(by_node.items())

    async def _produce(
        self, node_id: int, left: dict[str, tuple[bytes, int]], topics: Sequence[str], ends: dict[str, int]
    ) -> None:
        """Send the batches of `topics` to their leader, and remove those that it has written from `left`.

        The leader drops a batch that it has already, by the sequence numbers.
        """
        # Half the time limit, because an offset commit that is never sent again may wait on the same connection.
        timeout_ms = self._config.request_timeout_ms // 2
        request: Any
        if self._as_kafka_4:
            batches = [(topic, left[topic][0]) for topic in topics]
            request = kafka_4.produce_request(self._id, timeout_ms, self._partition, batches)
        else:
            batches_of = [(topic, [(self._partition, left[topic][0])]) for topic in topics]
            request = ProduceRequest(self._id, kafka_4.ALL_REPLICAS, timeout_ms, batches_of)
        try:
            answer = await answer_to(self._client.send(node_id, request))
        except KafkaError as error:
            if not error.retriable:
                raise
            self._are_leaders_stale = True
            self._note("Produce", error)
            return
        for topic, partitions, *_tags in answer.topics:
            for _, code, offset, *_ in partitions:
                refusal = for_code(code)
                if refusal in (NoError, DuplicateSequenceNumber):
                    _, record_count = left.pop(topic)
                    ends[topic] = offset + record_count - 1 if offset >= 0 else -1
                elif refusal is ConcurrentTransactions:
                    pass  # the broker has already waited a while for the markers of the previous transaction
                elif refusal.retriable:
                    self._are_leaders_stale = self._are_leaders_stale or refusal.invalid_metadata
                    self._note("Produce", refusal(topic))
                else:
                    raise error_of(code, topic, self._config.app_id)

    # -- coordinators

    async def _ask(self, kind: CoordinationType, request: Any, codes: Codes, *, again: bool = True) -> Answer:  # noqa: ANN401 - aiokafka's
        """Send a request to a coordinator until it answers without a transient error. Raises any other error.

        `again` False: a request that may have been handled, but was not answered, is not repeated and raises.
        """
        marker_seconds = MARKER_SECONDS
        while True:
            node_id = await self._coordinator(kind)
            wait_seconds = self._backoff_seconds
            try:
                answer = await answer_to(self._client.send(node_id, request))
            except KafkaError as error:
                if not (isinstance(error, NodeNotReadyError) or (again and error.retriable)):
                    raise
                self._coordinators.pop(kind, None)
                self._note(name_of(request), error)
            else:
                refused = [(name, code) for name, code in codes(answer) if code != NoError.errno]
                if not refused:
                    return answer
                # If the broker rejects one entry, it answers OperationNotAttempted for the others.
                name, code = next((entry for entry in refused if entry[1] != OperationNotAttempted.errno), refused[0])
                refusal = for_code(code)
                if refusal is ConcurrentTransactions:
                    wait_seconds, marker_seconds = marker_seconds, min(2 * marker_seconds, MARKER_SECONDS_MAX)
                elif not refusal.retriable:
                    raise error_of(code, name or self._id, self._config.app_id)
                elif refusal in ELSEWHERE:
                    self._coordinators.pop(kind, None)
                if refusal is not ConcurrentTransactions or wait_seconds == MARKER_SECONDS_MAX:
                    self._note(name_of(request), refusal())
            await asyncio.sleep(wait_seconds)

    async def _coordinator(self, kind: CoordinationType) -> int:
        while (node_id := self._coordinators.get(kind)) is None:
            key = self._id if kind is CoordinationType.TRANSACTION else self._config.app_id
            try:
                self._coordinators[kind] = await answer_to(self._client.coordinator_lookup(kind, key))
            except KafkaError as error:
                if not error.retriable:
                    raise type(error)(key, *error.args) from error  # the client does not name the group or id
                self._note("FindCoordinator", error)
                await asyncio.sleep(self._backoff_seconds)
                await self._client.force_metadata_update()
        return node_id

    def _note(self, what: str, why: object) -> None:
        log.warning("%s of %s is retried: %r", what, self._id, why)
