"""What the producer asks of brokers that answer as they are told to."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    DuplicateSequenceNumber,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NotCoordinatorError,
    NotLeaderForPartitionError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)
from aiokafka.record.default_records import DefaultRecordBatch

from tests.unit.stream.fakes import CONFIG
from worker.stream import OutputRecord
from worker.stream.open_batches import Filled, OpenBatches
from worker.stream.producer import TransactionalProducer

INIT, PARTITIONS, OFFSETS = "InitProducerIdRequest", "AddPartitionsToTxnRequest", "AddOffsetsToTxnRequest"
PRODUCE, COMMIT_OFFSETS, END = "ProduceRequest", "TxnOffsetCommitRequest", "EndTxnRequest"
PARTITION = 3
BASE_OFFSET = 100

Refusal = type[KafkaError] | Mapping[str, type[KafkaError]]
"""Of everything, or by topic."""


class _Brokers:
    """In the place of aiokafka's client. Two nodes; node 1 leads, but for the topics in `leaders`."""

    def __init__(self) -> None:
        self.leaders: dict[str, int] = {}
        self.course: list[str] = []
        """What was asked, and `!` where it was answered."""
        self.requests: dict[str, list[Any]] = defaultdict(list)
        self.lookups: list[str] = []
        self.next: dict[str, deque[Refusal | Exception | None]] = defaultdict(deque)
        """What becomes of the next requests of a name: answered, refused, or no answer."""
        self.refreshed = 0
        self.refreshed_twice = asyncio.Event()
        self.cluster = self

    def leader_for_partition(self, source: TopicPartition) -> int:
        assert source.partition == PARTITION
        return self.leaders.get(source.topic, 1)

    async def bootstrap(self) -> None:
        self.course.append("bootstrap")

    async def set_topics(self, topics: Sequence[str]) -> None:
        assert topics == ["out", "state"]

    async def close(self) -> None:
        self.course.append("close")

    async def force_metadata_update(self) -> None:
        self.refreshed += 1
        if self.refreshed == 2:
            self.refreshed_twice.set()

    async def coordinator_lookup(self, kind: int, key: str) -> int:
        self.lookups.append(key)
        return 1 + kind

    async def send(self, node_id: int, request: Any) -> Any:  # noqa: ANN401 - aiokafka's
        name = type(request).__name__
        self.course.append(name)
        self.requests[name].append(request)
        becomes = self.next[name].popleft() if self.next[name] else None
        await asyncio.sleep(0)
        if isinstance(becomes, Exception):
            raise becomes
        self.course.append(f"{name}!")
        return self._answer(name, request, becomes, node_id)

    def _answer(self, name: str, request: Any, refusal: Refusal | None, node_id: int) -> object:  # noqa: ANN401 - aiokafka's
        def code(topic: str) -> int:
            error = refusal.get(topic) if isinstance(refusal, Mapping) else refusal
            return getattr(error, "errno", 0)

        if name == PRODUCE:
            assert all(self.leaders.get(topic, 1) == node_id for topic, _ in request._topics)
            told = [(topic, [(PARTITION, code(topic), BASE_OFFSET, -1, 0)]) for topic, _ in request._topics]
            return SimpleNamespace(topics=told)
        if name in (PARTITIONS, COMMIT_OFFSETS):
            return SimpleNamespace(errors=[(topic, [(PARTITION, code(topic))]) for topic, _ in request._topics])
        return SimpleNamespace(error_code=code(""), producer_id=7, producer_epoch=2)


@pytest.fixture
async def brokers() -> _Brokers:
    return _Brokers()


@pytest.fixture
async def producer(brokers: _Brokers) -> TransactionalProducer:
    producer = TransactionalProducer(CONFIG, PARTITION)
    producer._client = brokers
    await producer.start()
    brokers.course.clear()
    return producer


def _rounds(*topics: str) -> list[list[Filled]]:
    """A round for each text, with a record for each of its letters, all of a topic in one batch."""
    rounds = []
    for letters in topics:
        batches = OpenBatches(10_000, lambda: 1_790_000_000_000)
        batches.append([OutputRecord(letter, b"key", b"value") for letter in letters])
        rounds += batches.take()
    return rounds


def _written(request: Any) -> dict[str, DefaultRecordBatch]:  # noqa: ANN401 - aiokafka's
    return {topic: DefaultRecordBatch(bytes(data)) for topic, ((_, data),) in request._topics}


async def test_a_transaction_takes_three_round_trips(producer: TransactionalProducer, brokers: _Brokers) -> None:
    await producer.begin(["a", "b"], with_offsets=True)
    assert await producer.write(_rounds("aab"), {"in": 5}) == {"a": BASE_OFFSET + 1, "b": BASE_OFFSET}
    await producer.end(commit=True)
    first, second, third = brokers.course[:4], brokers.course[4:8], brokers.course[8:]
    assert first == [PARTITIONS, OFFSETS, f"{PARTITIONS}!", f"{OFFSETS}!"]
    assert second == [PRODUCE, COMMIT_OFFSETS, f"{PRODUCE}!", f"{COMMIT_OFFSETS}!"]
    assert third == [END, f"{END}!"]
    (end,) = brokers.requests[END]
    assert (end._transactional_id, end._producer_id, end._producer_epoch, end._transaction_result) == (
        f"{CONFIG.app_id}-{PARTITION}",
        7,
        2,
        True,
    )


async def test_a_transaction_without_offsets_is_none_of_the_group(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    await producer.begin(["a"], with_offsets=False)
    await producer.write(_rounds("a"), {})
    await producer.end(commit=True)
    assert [name for name in brokers.course if not name.endswith("!")] == [PARTITIONS, PRODUCE, END]


async def test_what_was_not_begun_is_not_ended(producer: TransactionalProducer, brokers: _Brokers) -> None:
    await producer.end(commit=False)
    await producer.begin([], with_offsets=False)
    await producer.end(commit=False)
    await producer.begin(["a"], with_offsets=False)
    await producer.end(commit=True)
    await producer.end(commit=False)
    assert [request._transaction_result for request in brokers.requests[END]] == [True]


@pytest.mark.parametrize("name", [END, COMMIT_OFFSETS])
@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaConnectionError("Connection closed")])
async def test_what_would_do_harm_if_it_came_late_is_not_asked_for_again_without_an_answer(
    producer: TransactionalProducer, brokers: _Brokers, name: str, error: KafkaError
) -> None:
    brokers.next[name].append(error)
    with pytest.raises(type(error)):
        await _transaction(producer)
    assert len(brokers.requests[name]) == 1


@pytest.mark.parametrize("name", [PARTITIONS, OFFSETS, PRODUCE])
@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaConnectionError("Connection closed")])
async def test_what_does_no_harm_twice_is_asked_for_again_without_an_answer(
    producer: TransactionalProducer, brokers: _Brokers, name: str, error: KafkaError
) -> None:
    brokers.next[name].append(error)
    await _transaction(producer)
    assert len(brokers.requests[name]) == 2


async def test_an_epoch_is_asked_for_again_without_an_answer(brokers: _Brokers) -> None:
    producer = TransactionalProducer(CONFIG, PARTITION)
    producer._client = brokers
    brokers.next[INIT] += [RequestTimedOutError(), ConcurrentTransactions, CoordinatorNotAvailableError]
    await producer.start()
    assert len(brokers.requests[INIT]) == 4
    await producer.stop()
    assert brokers.course[-1] == "close"


@pytest.mark.parametrize("name", [PARTITIONS, OFFSETS, COMMIT_OFFSETS, END])
@pytest.mark.parametrize(
    ("passing", "lookups"),
    [
        (NodeNotReadyError("not sent"), 1),
        (NotCoordinatorError, 1),
        (CoordinatorNotAvailableError, 1),
        (CoordinatorLoadInProgressError, 0),
        (ConcurrentTransactions, 0),
    ],
)
async def test_what_passes_is_waited_for_and_who_moved_is_looked_for(
    producer: TransactionalProducer, brokers: _Brokers, name: str, passing: Refusal | Exception, lookups: int
) -> None:
    await _transaction(producer)
    brokers.lookups.clear()
    brokers.next[name] += [passing, passing]
    await _transaction(producer)
    assert len(brokers.requests[name]) == 4
    key = CONFIG.app_id if name == COMMIT_OFFSETS else producer._id
    assert brokers.lookups == [key] * 2 * lookups


@pytest.mark.parametrize("name", [PARTITIONS, OFFSETS, PRODUCE, COMMIT_OFFSETS, END])
async def test_who_has_an_old_epoch_is_told_that_he_is_fenced(
    producer: TransactionalProducer, brokers: _Brokers, name: str
) -> None:
    brokers.next[name].append(InvalidProducerEpoch)
    with pytest.raises(ProducerFenced):
        await _transaction(producer)
    assert len(brokers.requests[name]) == 1


@pytest.mark.parametrize("name", [PARTITIONS, OFFSETS, PRODUCE, COMMIT_OFFSETS, END])
async def test_an_error_that_does_not_pass_ends_it(
    producer: TransactionalProducer, brokers: _Brokers, name: str
) -> None:
    brokers.next[name].append(InvalidTxnState)
    with pytest.raises(InvalidTxnState):
        await _transaction(producer)
    assert len(brokers.requests[name]) == 1


async def test_refused_topics_are_named(producer: TransactionalProducer, brokers: _Brokers) -> None:
    brokers.next[PARTITIONS].append({"a": OperationNotAttempted, "b": TopicAuthorizationFailedError})
    with pytest.raises(TopicAuthorizationFailedError, match=r": b$"):
        await producer.begin(["a", "b", "c"], with_offsets=False)
    brokers.next[OFFSETS].append(GroupAuthorizationFailedError)
    with pytest.raises(GroupAuthorizationFailedError, match=producer._id):
        await producer.begin([], with_offsets=True)
    brokers.next[PRODUCE].append({"b": MessageSizeTooLargeError})
    with pytest.raises(MessageSizeTooLargeError, match=r": b$"):
        await producer.write(_rounds("ab"), {})


async def test_the_first_error_of_what_goes_together_ends_the_rest(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    brokers.next[OFFSETS].append(InvalidTxnState)
    brokers.next[PARTITIONS] += [CoordinatorLoadInProgressError] * 1000
    with pytest.raises(InvalidTxnState):
        await producer.begin(["a"], with_offsets=True)
    assert len(brokers.requests[PARTITIONS]) == 1


# -- records


async def test_batches_of_a_topic_are_written_one_after_the_other_with_numbers_that_go_on(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    ends = await producer.write(_rounds("aab", "aaa"), {})
    await producer.write(_rounds("ab"), {})
    assert ends == {"a": BASE_OFFSET + 2, "b": BASE_OFFSET}
    numbers = [
        {topic: (batch.producer_id, batch.producer_epoch, batch.base_sequence) for topic, batch in each.items()}
        for each in map(_written, brokers.requests[PRODUCE])
    ]
    assert numbers == [{"a": (7, 2, 0), "b": (7, 2, 0)}, {"a": (7, 2, 2)}, {"a": (7, 2, 5), "b": (7, 2, 1)}]


async def test_numbers_of_records_begin_again_at_zero_as_brokers_expect_them(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    """As `DefaultRecordBatch.incrementSequence` of Apache Kafka counts: the number after 2^31 - 1 is 0."""
    producer._sequences["a"] = 2**31 - 2
    for _ in range(3):
        await producer.write(_rounds("aaa"), {})
    sequences = [_written(request)["a"].base_sequence for request in brokers.requests[PRODUCE]]
    assert sequences == [2**31 - 2, 1, 4]


async def test_only_what_was_refused_is_produced_again_and_as_it_was(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    brokers.next[PRODUCE] += [{"b": NotLeaderForPartitionError}, RequestTimedOutError()]
    assert await producer.write(_rounds("abb"), {}) == {"a": BASE_OFFSET, "b": BASE_OFFSET + 1}
    first, second, third = (dict(request._topics) for request in brokers.requests[PRODUCE])
    assert list(first) == ["a", "b"]
    assert second == third == {"b": first["b"]}
    assert brokers.refreshed == 2


async def test_what_the_broker_has_already_is_written_and_its_place_may_be_unknown(
    producer: TransactionalProducer, brokers: _Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    brokers.next[PRODUCE].append(DuplicateSequenceNumber)
    assert await producer.write(_rounds("a"), {}) == {"a": BASE_OFFSET}
    monkeypatch.setitem(globals(), "BASE_OFFSET", -1)
    brokers.next[PRODUCE].append(DuplicateSequenceNumber)
    assert await producer.write(_rounds("aa"), {}) == {"a": -1}


async def test_each_leader_is_given_what_it_leads_and_who_has_none_is_waited_for(
    producer: TransactionalProducer, brokers: _Brokers
) -> None:
    brokers.leaders = {"b": 2, "c": -1}
    writing = asyncio.ensure_future(producer.write(_rounds("abc"), {}))
    await brokers.refreshed_twice.wait()
    assert [list(_written(request)) for request in brokers.requests[PRODUCE]] == [["a"], ["b"]]
    brokers.leaders["c"] = 1
    assert await writing == dict.fromkeys("abc", BASE_OFFSET)


async def _transaction(producer: TransactionalProducer) -> None:
    await producer.begin(["a"], with_offsets=True)
    await producer.write(_rounds("a"), {"in": 5})
    await producer.end(commit=True)
