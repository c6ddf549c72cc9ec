"""Which requests a producer sends for a transaction, and what it does about their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    CoordinatorNotAvailableError,
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    InvalidTxnState,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    NodeNotReadyError,
    NotCoordinatorError,
    OperationNotAttempted,
    ProducerFenced,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from tests.unit.stream.brokers import (
    COMMIT_OFFSETS,
    END,
    INIT,
    KAFKA_4,
    OFFSETS,
    OLD,
    PARTITION,
    PARTITIONS,
    PRODUCE,
    VERSIONS,
    Brokers,
    Refusal,
    topics_of,
)
from tests.unit.stream.fakes import CONFIG
from tests.unit.stream.kafka.producing import AS_KAFKA_4, OF_A_TRANSACTION, OLD_WAY, asked, rounds, transaction, written
from worker.stream.kafka.producer import TransactionalProducer
from worker.stream.kafka.transaction_requests import EndTxnRequest_v5, ProduceRequest_v12, TxnOffsetCommitRequest_v5


@OLD_WAY
async def test_the_old_protocol_takes_three_round_trips(producer: TransactionalProducer, brokers: Brokers) -> None:
    await producer.begin(["a", "b"], with_offsets=True)
    assert await producer.write(rounds("aab"), {"in": 5}) == {"a": brokers.base_offset + 1, "b": brokers.base_offset}
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


@AS_KAFKA_4
async def test_the_protocol_of_kafka_4_takes_three_requests_offsets_first(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    await producer.begin(["a", "b"], with_offsets=True)
    assert await producer.write(rounds("aab"), {"in": 5}) == {"a": brokers.base_offset + 1, "b": brokers.base_offset}
    await producer.end(commit=True)
    assert brokers.course == [COMMIT_OFFSETS, f"{COMMIT_OFFSETS}!", PRODUCE, f"{PRODUCE}!", END, f"{END}!"]
    (offsets,), (produce,), (end,) = (brokers.requests[name] for name in (COMMIT_OFFSETS, PRODUCE, END))
    name = f"{CONFIG.app_id}-{PARTITION}"
    assert (offsets.transactional_id, offsets.group_id, offsets.producer_id, offsets.producer_epoch) == (
        name,
        CONFIG.app_id,
        7,
        2,
    )
    assert topics_of(offsets) == {"in": 5}
    assert (produce.transactional_id, produce.required_acks) == (name, -1)
    assert (end.transactional_id, end.producer_id, end.producer_epoch, end.transaction_result) == (name, 7, 2, True)


@AS_KAFKA_4
async def test_partitions_of_several_brokers_are_added_before_the_writes(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    """Each would add its partitions by itself; but the coordinator takes one after the other, and they wait long."""
    brokers.leaders["b"] = 2
    await producer.begin(["a", "b"], with_offsets=True)
    await producer.write(rounds("ab"), {"in": 5})
    await producer.end(commit=True)
    first, second, third = brokers.course[:4], brokers.course[4:10], brokers.course[10:]
    assert first == [PARTITIONS, OFFSETS, f"{PARTITIONS}!", f"{OFFSETS}!"]
    assert sorted(second[:3]) == [PRODUCE, PRODUCE, COMMIT_OFFSETS]
    assert third == [END, f"{END}!"]
    assert [type(brokers.requests[name][0]) for name in (PRODUCE, COMMIT_OFFSETS, END)] == [
        ProduceRequest_v12,
        TxnOffsetCommitRequest_v5,
        EndTxnRequest_v5,
    ]


@AS_KAFKA_4
async def test_records_that_meet_the_last_transaction_are_retried_quietly(
    producer: TransactionalProducer, brokers: Brokers, caplog: pytest.LogCaptureFixture
) -> None:
    brokers.next[PRODUCE] += [ConcurrentTransactions, ConcurrentTransactions]
    await producer.begin(["a"], with_offsets=False)
    assert await producer.write(rounds("a"), {}) == {"a": brokers.base_offset}
    assert (len(brokers.requests[PRODUCE]), brokers.refreshed, caplog.messages) == (3, 0, [])


@AS_KAFKA_4
@pytest.mark.parametrize("commits", [True, False])
async def test_an_end_by_another_producer_means_fenced(
    producer: TransactionalProducer, brokers: Brokers, *, commits: bool
) -> None:
    brokers.next[END].append(InvalidTxnState)
    await producer.begin(["a"], with_offsets=False)
    with pytest.raises(ProducerFenced):
        await producer.end(commit=commits)


@AS_KAFKA_4
async def test_each_end_brings_the_epoch_of_the_next_transaction(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    await transaction(producer)
    brokers.following = (8, 0)
    await transaction(producer)
    await transaction(producer)
    expected = [(7, 2), (7, 3), (8, 0)]
    batches = [written(request)["a"] for request in brokers.requests[PRODUCE]]
    assert [(batch.producer_id, batch.producer_epoch) for batch in batches] == expected
    assert [batch.base_sequence for batch in batches] == [0, 0, 0]
    for name in (COMMIT_OFFSETS, END):
        assert [(each.producer_id, each.producer_epoch) for each in brokers.requests[name]] == expected


async def test_a_transaction_without_offsets_is_none_of_the_group(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    await producer.begin(["a"], with_offsets=False)
    await producer.write(rounds("a"), {})
    await producer.end(commit=True)
    expected = [name for name in OF_A_TRANSACTION[brokers.transaction_version] if name not in (OFFSETS, COMMIT_OFFSETS)]
    assert [name for name in brokers.course if not name.endswith("!")] == expected


async def test_a_transaction_that_was_not_begun_is_not_ended(producer: TransactionalProducer, brokers: Brokers) -> None:
    await producer.end(commit=False)
    await producer.begin([], with_offsets=False)
    await producer.end(commit=False)
    await producer.begin(["a"], with_offsets=False)
    await producer.end(commit=True)
    await producer.end(commit=False)
    assert len(brokers.requests[END]) == 1


@OLD_WAY
@pytest.mark.parametrize("name", [END, COMMIT_OFFSETS])
@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaConnectionError("Connection closed")])
async def test_a_request_that_could_do_harm_late_is_not_repeated(
    producer: TransactionalProducer, brokers: Brokers, name: str, error: KafkaError
) -> None:
    brokers.next[name].append(error)
    with pytest.raises(type(error)):
        await transaction(producer)
    assert len(brokers.requests[name]) == 1


@pytest.mark.parametrize(
    ("brokers", "name"),
    [
        *((OLD, name) for name in (PARTITIONS, OFFSETS, PRODUCE)),
        *((KAFKA_4, name) for name in (COMMIT_OFFSETS, PRODUCE, END)),
    ],
    indirect=["brokers"],
)
@pytest.mark.parametrize("error", [RequestTimedOutError(), KafkaConnectionError("Connection closed")])
async def test_a_request_that_does_no_harm_twice_is_repeated(
    producer: TransactionalProducer, brokers: Brokers, name: str, error: KafkaError
) -> None:
    brokers.next[name].append(error)
    await transaction(producer)
    assert len(brokers.requests[name]) == 2


async def test_of_requests_that_time_out_at_the_same_moment_none_is_a_defect(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    """The client then fails to find the connection that it closed for the first of them: seed 5742."""
    brokers.next[PRODUCE].append(KeyError((1, "a connection")))
    await transaction(producer)
    assert len(brokers.requests[PRODUCE]) == 2
    brokers.next[COMMIT_OFFSETS].append(KeyError((1, "a connection")))
    if brokers.transaction_version == OLD:
        with pytest.raises(RequestTimedOutError):
            await transaction(producer)
    else:
        await transaction(producer)


async def test_an_epoch_is_asked_for_again_without_an_answer(brokers: Brokers) -> None:
    producer = TransactionalProducer(CONFIG, PARTITION)
    producer._client = brokers
    brokers.next[INIT] += [RequestTimedOutError(), ConcurrentTransactions, CoordinatorNotAvailableError]
    await producer.start()
    assert len(brokers.requests[INIT]) == 4
    assert len(brokers.requests[VERSIONS]) == 1
    await producer.stop()
    assert brokers.course[-1] == "close"


@asked(PRODUCE)
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
async def test_transient_errors_are_retried_and_moved_coordinators_found(
    producer: TransactionalProducer, brokers: Brokers, name: str, passing: Refusal | Exception, lookups: int
) -> None:
    await transaction(producer)
    brokers.lookups.clear()
    brokers.next[name] += [passing, passing]
    await transaction(producer)
    assert len(brokers.requests[name]) == 4
    key = CONFIG.app_id if name == COMMIT_OFFSETS else producer._id
    assert brokers.lookups == [key] * 2 * lookups


@asked(END)
@pytest.mark.parametrize(
    ("refusal", "raised"), [(InvalidTxnState, InvalidTxnState), (InvalidProducerEpoch, ProducerFenced)]
)
async def test_a_permanent_error_is_raised_and_an_old_epoch_means_fenced(
    producer: TransactionalProducer,
    brokers: Brokers,
    name: str,
    refusal: type[KafkaError],
    raised: type[KafkaError],
) -> None:
    brokers.next[name].append(refusal)
    with pytest.raises(raised):
        await transaction(producer)
    assert len(brokers.requests[name]) == 1


async def test_an_end_with_an_old_epoch_means_fenced(producer: TransactionalProducer, brokers: Brokers) -> None:
    brokers.next[END].append(InvalidProducerEpoch)
    with pytest.raises(ProducerFenced):
        await transaction(producer)
    assert len(brokers.requests[END]) == 1


@OLD_WAY
async def test_an_end_that_the_transaction_does_not_allow_is_told_as_such(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.next[END].append(InvalidTxnState)
    with pytest.raises(InvalidTxnState):
        await transaction(producer)


@OLD_WAY
@pytest.mark.parametrize(
    ("name", "refusal", "named"),
    [
        (PARTITIONS, {"a": OperationNotAttempted, "b": TopicAuthorizationFailedError}, "b"),
        (OFFSETS, GroupAuthorizationFailedError, CONFIG.app_id),
        (PRODUCE, {"b": MessageSizeTooLargeError}, "b"),
    ],
)
async def test_what_was_refused_is_named(
    producer: TransactionalProducer, brokers: Brokers, name: str, refusal: Refusal, named: str
) -> None:
    brokers.next[name].append(refusal)
    error = refusal["b"] if isinstance(refusal, Mapping) else refusal
    with pytest.raises(error, match=f": {named}$"):
        await transaction(producer, "ab")


async def test_a_coordinator_lookup_without_the_right_names_the_group(
    producer: TransactionalProducer, brokers: Brokers, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(_kind: int, _key: str) -> int:
        raise GroupAuthorizationFailedError

    monkeypatch.setattr(brokers, "coordinator_lookup", refuse)
    with pytest.raises(GroupAuthorizationFailedError, match=rf": {CONFIG.app_id}$"):
        await transaction(producer)


@asked(OFFSETS, PRODUCE, END)
async def test_what_was_not_attempted_was_not_done(
    producer: TransactionalProducer, brokers: Brokers, name: str
) -> None:
    brokers.next[name].append(OperationNotAttempted)
    with pytest.raises(OperationNotAttempted):
        await transaction(producer)


async def test_an_unknown_error_is_named_by_its_number(producer: TransactionalProducer, brokers: Brokers) -> None:
    brokers.next[PRODUCE].append(numbered(120))
    with pytest.raises(UnknownError, match=r": a, error 120$"):
        await transaction(producer)


async def test_the_number_of_a_fenced_producer_is_known(producer: TransactionalProducer, brokers: Brokers) -> None:
    brokers.next[END].append(numbered(90))
    with pytest.raises(ProducerFenced):
        await transaction(producer)


@OLD_WAY
async def test_slow_markers_are_waited_for_ever_longer_and_then_logged(
    producer: TransactionalProducer,
    brokers: Brokers,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    waits: list[float] = []

    async def note(seconds: float) -> None:
        waits.append(seconds)

    brokers.next[PARTITIONS] += [ConcurrentTransactions] * 8
    with monkeypatch.context() as patched:
        patched.setattr("worker.stream.kafka.producer.asyncio.sleep", note)
        await producer.begin(["a"], with_offsets=False)
    waits = [seconds for seconds in waits if seconds]
    assert waits == [0.003, 0.006, 0.012, 0.024, 0.048, 0.096, 0.1, 0.1]
    assert len(caplog.messages) == 2


@OLD_WAY
async def test_the_first_error_of_what_goes_together_ends_the_rest(
    producer: TransactionalProducer, brokers: Brokers
) -> None:
    brokers.next[OFFSETS].append(InvalidTxnState)
    brokers.next[PARTITIONS] += [CoordinatorLoadInProgressError] * 1000
    with pytest.raises(InvalidTxnState):
        await producer.begin(["a"], with_offsets=True)
    assert len(brokers.requests[PARTITIONS]) == 1
    task = asyncio.current_task()
    assert task is not None
    assert (task.cancelling(), len(asyncio.all_tasks())) == (0, 1)


def numbered(number: int) -> type[KafkaError]:
    return type("Numbered", (KafkaError,), {"errno": number})
