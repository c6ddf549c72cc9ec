"""The transactional producer of one partition: what a transaction is on the wire, on aiokafka's client.

In the old way (KIP-98), the only one that aiokafka knows, partitions and group are added to the transaction first, and
an epoch lasts as long as the producer. A commit without an answer is never asked for again there: what is left of the
first one on the way may come when the next transaction is open, and would commit what there is of it.

In the way of Kafka 4 (KIP-890) each end brings another epoch, so nothing that comes late does harm. And brokers make
partitions part of the transaction by themselves, so where one of them leads all that is written to, a transaction takes
three requests: offsets, records, the end. Several would get into each other's way there: they are told before.

aiokafka's own producer does one thing after the other and hides its retries. Here what can go together does, so it is
three round trips in any case, instead of five. Who gets an error from here must end this producer; the next one of the
id has another epoch, which stops whatever is still on the way.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorNotAvailableError,
    DuplicateSequenceNumber,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
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

log = logging.getLogger(__name__)

MARKER_SECONDS: Final = 0.003
"""How long to wait where the markers of the last transaction are not all written, which takes a few milliseconds."""
MARKER_SECONDS_MAX: Final = 0.1
"""It waits twice as long each time, up to this: a marker's partition may be without a leader for long."""
SEQUENCE_MASK: Final = 0x7FFF_FFFF

ELSEWHERE: Final = (NotCoordinatorError, CoordinatorNotAvailableError, RequestTimedOutError)
"""After these the coordinator is looked for anew."""

PRODUCER_FENCED: Final = 90
"""aiokafka knows the error, but not its number."""

Codes = Callable[[Answer], Iterable[tuple[str, int]]]
"""Gives what an answer says: names (of topics), and the number of each one's error."""


class TransactionalProducer:
    """Speaks for one transactional id. Any exception from it means that it must be stopped and not be used again.

    Whatever it waits for, it waits without a bound: whoever calls sets one. It has one connection to a broker, which
    thus takes one request after the other: of a produce and offsets that it looks at together, Apache Kafka refuses
    one, as its question to the coordinator of the transaction has another one of the same id beside it.
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
        """By topic: the number of the next record."""
        self._is_stale = False
        """Whether the leaders of partitions must be asked for before the next produce."""
        self._is_open = False
        self._is_added = False
        """Whether partitions and group were made part of the transaction when it was begun."""
        self._as_kafka_4 = False
        """Whether the cluster agrees on the transactions of Kafka 4."""

    async def start(self) -> None:
        """Connect, and take the id's next epoch: its predecessors write no more, what they left open is aborted."""
        await self._client.bootstrap()
        await self._client.set_topics([*self._config.outputs, self._config.state_topic])
        await self._take_epoch()

    async def take_over(self) -> None:
        """Connect and take the id's next epoch, like `start`, where the topics may not be there. It cannot write."""
        await self._client.bootstrap()
        await self._take_epoch()

    async def _take_epoch(self) -> None:
        request = InitProducerIdRequest(self._id, self._config.transaction_timeout_ms)
        answer = await self._ask(CoordinationType.TRANSACTION, request, _error_code)
        self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
        answer = await self._ask(CoordinationType.TRANSACTION, kafka_4.versions_request(), _error_code)
        self._as_kafka_4 = kafka_4.is_agreed(answer)

    async def stop(self) -> None:
        """Close the connections. What is open stays so until the broker gives it up, or the id has its next epoch."""
        await self._client.close()

    async def begin(self, topics: Collection[str], *, with_offsets: bool) -> None:
        """Begin a transaction that writes to this partition of `topics`, and the group's offsets if so."""
        self._is_open = bool(topics) or with_offsets
        self._is_added = not self._as_kafka_4 or len(self._led(topics)) > 1
        if not self._is_added:
            return
        own = (self._id, self._producer_id, self._epoch)
        steps = []
        if topics:
            request = AddPartitionsToTxnRequest(*own, [(topic, [self._partition]) for topic in topics])
            steps.append(self._ask(CoordinationType.TRANSACTION, request, _codes_of_partitions))
        if with_offsets:
            request = AddOffsetsToTxnRequest(*own, self._config.app_id)
            steps.append(self._ask(CoordinationType.TRANSACTION, request, _error_code))
        await _together(steps)

    async def write(self, rounds: Sequence[Sequence[Filled]], offsets: Mapping[str, int]) -> dict[str, int]:
        """Write batches, one of a topic after the other, and the group's next offsets by topic.

        Gives the offset of the last record by topic, -1 where the broker does not tell. A commit after an error would
        succeed without what was refused.
        """
        ends: dict[str, int] = {}
        if not offsets:
            await self._write_batches(rounds, ends)
        elif not self._is_added:
            # The offsets open the transaction: while the markers of the last one are not all written they are refused
            # at once, but records are kept waiting for 20 ms (add.partitions.to.txn.retry.backoff.ms).
            await self._commit_offsets(offsets)
            await self._write_batches(rounds, ends)
        else:
            await _together([self._write_batches(rounds, ends), self._commit_offsets(offsets)])
        return ends

    async def end(self, *, commit: bool) -> None:
        """Commit or abort what was begun, if anything was."""
        if not self._is_open:
            return
        own = (self._id, self._producer_id, self._epoch)
        if self._as_kafka_4:
            request = kafka_4.end_request(*own, commit=commit)
            try:
                answer = await self._ask(CoordinationType.TRANSACTION, request, _error_code)
            except InvalidTxnState as error:
                # Somebody else has aborted it, under the epoch after this one, which looks like our own end of it.
                raise ProducerFenced from error
            self._producer_id, self._epoch = answer.producer_id, answer.producer_epoch
            self._sequences.clear()
        else:
            request = EndTxnRequest(*own, commit)
            await self._ask(CoordinationType.TRANSACTION, request, _error_code, again=False)
        self._is_open = False

    async def _commit_offsets(self, offsets: Mapping[str, int]) -> None:
        own = (self._id, self._config.app_id, self._producer_id, self._epoch)
        if self._as_kafka_4:
            request = kafka_4.offsets_request(*own, self._partition, offsets)
            await self._ask(CoordinationType.GROUP, request, _codes_of_partitions)
        else:
            topics = [(topic, [(self._partition, offset, "")]) for topic, offset in offsets.items()]
            # Not twice: the first one, if it came late, would put the group back.
            await self._ask(
                CoordinationType.GROUP, TxnOffsetCommitRequest(*own, topics), _codes_of_partitions, again=False
            )

    async def committed_offsets(self) -> dict[str, int]:
        """What the group has committed of this partition, by input topic."""
        request = OffsetFetchRequest(self._config.app_id, [(topic, [self._partition]) for topic in self._config.inputs])
        answer = await self._ask(CoordinationType.GROUP, request, _codes_of_offsets)
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
                await _together([self._produce(node_id, left, topics, ends) for node_id, topics in self._led(left)])
                if not left:
                    break
                await asyncio.sleep(self._backoff_seconds)
                if self._is_stale:
                    self._is_stale = False
                    await self._client.force_metadata_update()

    def _led(self, topics: Iterable[str]) -> list[tuple[int, list[str]]]:
        """Topics by the node that leads their partition; without those that have no leader now."""
        by_node: dict[int, list[str]] = {}
        for topic in topics:
            node_id = self._client.cluster.leader_for_partition(TopicPartition(topic, self._partition))
            if node_id is None or node_id < 0:
                self._is_stale = True
                self._note("Produce", f"{topic} has no leader")
            else:
                by_node.setdefault(node_id, []).append(topic)
        return list(by_node.items())

    async def _produce(
        self, node_id: int, left: dict[str, tuple[bytes, int]], topics: Sequence[str], ends: dict[str, int]
    ) -> None:
        """Take out of `left` what a node has written. What came twice it drops, by the sequence numbers."""
        timeout_ms = self._config.request_timeout_ms // 2  # offsets may wait behind it that are asked for only once
        request: Any
        if self._as_kafka_4:
            batches = [(topic, left[topic][0]) for topic in topics]
            request = kafka_4.produce_request(self._id, timeout_ms, self._partition, batches)
        else:
            batches_of = [(topic, [(self._partition, left[topic][0])]) for topic in topics]
            request = ProduceRequest(self._id, kafka_4.ALL_REPLICAS, timeout_ms, batches_of)
        try:
            answer = await _answer(self._client.send(node_id, request))
        except KafkaError as error:
            if not error.retriable:
                raise
            self._is_stale = True
            self._note("Produce", error)
            return
        for topic, partitions, *_tags in answer.topics:
            for _, code, offset, *_ in partitions:
                refusal = for_code(code)
                if refusal in (NoError, DuplicateSequenceNumber):
                    _, record_count = left.pop(topic)
                    ends[topic] = offset + record_count - 1 if offset >= 0 else -1
                elif refusal is ConcurrentTransactions:
                    pass  # the broker has waited for the markers of the last transaction for a while already
                elif refusal.retriable:
                    self._is_stale = self._is_stale or refusal.invalid_metadata
                    self._note("Produce", refusal(topic))
                else:
                    raise self._error_of(code, topic)

    # -- coordinators

    async def _ask(self, kind: CoordinationType, request: Any, codes: Codes, *, again: bool = True) -> Answer:  # noqa: ANN401 - aiokafka's
        """Ask a coordinator until it answers without an error that passes.

        `again`: also where it is not known what became of the request.
        """
        marker_seconds = MARKER_SECONDS
        while True:
            node_id = await self._coordinator(kind)
            wait_seconds = self._backoff_seconds
            try:
                answer = await _answer(self._client.send(node_id, request))
            except KafkaError as error:
                if not (isinstance(error, NodeNotReadyError) or (again and error.retriable)):
                    raise
                self._coordinators.pop(kind, None)
                self._note(_name(request), error)
            else:
                refused = [(name, code) for name, code in codes(answer) if code != NoError.errno]
                if not refused:
                    return answer
                # Others are not attempted where one is refused.
                name, code = next((entry for entry in refused if entry[1] != OperationNotAttempted.errno), refused[0])
                refusal = for_code(code)
                if refusal is ConcurrentTransactions:
                    wait_seconds, marker_seconds = marker_seconds, min(2 * marker_seconds, MARKER_SECONDS_MAX)
                elif not refusal.retriable:
                    raise self._error_of(code, name or self._id)
                elif refusal in ELSEWHERE:
                    self._coordinators.pop(kind, None)
                if refusal is not ConcurrentTransactions or wait_seconds == MARKER_SECONDS_MAX:
                    self._note(_name(request), refusal())
            await asyncio.sleep(wait_seconds)

    async def _coordinator(self, kind: CoordinationType) -> int:
        while (node_id := self._coordinators.get(kind)) is None:
            key = self._id if kind is CoordinationType.TRANSACTION else self._config.app_id
            try:
                self._coordinators[kind] = await _answer(self._client.coordinator_lookup(kind, key))
            except KafkaError as error:
                if not error.retriable:
                    raise type(error)(key, *error.args) from error  # the client leaves out whose
                self._note("FindCoordinator", error)
                await asyncio.sleep(self._backoff_seconds)
                await self._client.force_metadata_update()
        return node_id

    def _error_of(self, code: int, what: str) -> KafkaError:
        """The error of a number that an answer gives, about `what`."""
        if code in (InvalidProducerEpoch.errno, PRODUCER_FENCED):
            return ProducerFenced()
        error = for_code(code)
        if error is GroupAuthorizationFailedError:
            what = self._config.app_id
        return error(what if error.errno == code else f"{what}, error {code}")

    def _note(self, what: str, why: object) -> None:
        log.warning("%s of %s is tried again: %r", what, self._id, why)


async def _answer(asked: Awaitable[Answer]) -> Answer:
    try:
        return await asked
    except KeyError as error:
        # Of two requests that time out at the same moment, aiokafka looks twice for the connection to close.
        raise RequestTimedOutError from error


def _name(request: object) -> str:
    """Of a request, whatever its version."""
    return type(request).__name__.partition("Request")[0]


def _error_code(answer: Answer) -> Iterable[tuple[str, int]]:
    return (("", answer.error_code),)


def _codes_of_offsets(answer: Answer) -> Iterable[tuple[str, int]]:
    partitions = [(topic, code) for topic, entries in answer.topics for *_, code in entries]
    return [("", getattr(answer, "error_code", NoError.errno)), *partitions]


def _codes_of_partitions(answer: Answer) -> Iterable[tuple[str, int]]:
    return ((topic, code) for topic, partitions, *_ in answer.errors for _, code, *_ in partitions)


async def _together(steps: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Await all; after the first error the others are cancelled, and it is raised.

    No task group: on Python 3.11, one that fails leaves its task half cancelled (`Task.cancelling`), and a partition's
    task goes on after errors.
    """
    if len(steps) == 1:
        await steps[0]
    elif steps:
        tasks = [asyncio.ensure_future(step) for step in steps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
