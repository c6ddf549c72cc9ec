"""A producer walks through its states, and refuses what they do not allow."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka.errors import InvalidTxnState

from tests.unit.stream.brokers import END, INIT, PARTITION, PRODUCE, Brokers
from tests.unit.stream.fakes import CONFIG
from tests.unit.stream.kafka.producing import rounds
from worker.stream.kafka.producer import TransactionalProducer
from worker.stream.kafka.producer_state import PRODUCER_TRANSITIONS, ProducerState
from worker.stream.transitions import ForbiddenTransition

S = ProducerState


class _Walker:
    """Does to a producer what leads from one state to the next, and keeps the transitions it saw."""

    def __init__(self, brokers: Brokers) -> None:
        self.brokers = brokers
        self.producer = TransactionalProducer(CONFIG, PARTITION)
        self.producer._client = brokers

    async def start(self) -> None:
        await self.producer.start()

    async def fail_to_start(self) -> None:
        self.brokers.next[INIT].append(InvalidTxnState)
        with pytest.raises(InvalidTxnState):
            await self.producer.start()

    async def begin(self) -> None:
        await self.producer.begin(["a"], with_offsets=False)

    async def fail_to_write(self) -> None:
        self.brokers.next[PRODUCE].append(InvalidTxnState)
        with pytest.raises(InvalidTxnState):
            await self.producer.write(rounds("a"), {})

    async def hold_the_commit(self) -> None:
        await self._held(commit=True)

    async def hold_the_abort(self) -> None:
        await self._held(commit=False)

    async def _held(self, *, commit: bool) -> None:
        self.answer = asyncio.Event()
        self.brokers.next[END].append(self.answer)
        self.ending = asyncio.ensure_future(self.producer.end(commit=commit))
        await asyncio.sleep(0)

    async def be_answered(self) -> None:
        self.answer.set()
        await self.ending

    async def give_up(self) -> None:
        self.ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await self.ending

    async def stop(self) -> None:
        await self.producer.stop()


Step = Callable[[_Walker], Awaitable[None]]
W = _Walker
TO_COMMITTING = (W.start, W.begin, W.hold_the_commit)
TO_ABORTABLE = (W.start, W.begin, W.fail_to_write)
WALKS: list[tuple[tuple[Step, ...], list[ProducerState]]] = [
    ((W.fail_to_start, W.stop), [S.FINISHED, S.STOPPED]),
    ((W.stop,), [S.STOPPED]),
    ((W.start, W.stop), [S.READY, S.STOPPED]),
    ((W.start, W.begin, W.stop), [S.READY, S.IN_TRANSACTION, S.STOPPED]),
    ((*TO_COMMITTING, W.be_answered), [S.READY, S.IN_TRANSACTION, S.COMMITTING, S.READY]),
    ((*TO_COMMITTING, W.give_up), [S.READY, S.IN_TRANSACTION, S.COMMITTING, S.ABORTABLE]),
    ((*TO_COMMITTING, W.stop, W.give_up), [S.READY, S.IN_TRANSACTION, S.COMMITTING, S.STOPPED, S.STOPPED]),
    ((*TO_ABORTABLE, W.stop), [S.READY, S.IN_TRANSACTION, S.ABORTABLE, S.STOPPED]),
    (
        (*TO_ABORTABLE, W.hold_the_abort, W.be_answered),
        [S.READY, S.IN_TRANSACTION, S.ABORTABLE, S.ABORTING, S.FINISHED],
    ),
    ((W.start, W.begin, W.hold_the_abort, W.give_up), [S.READY, S.IN_TRANSACTION, S.ABORTING, S.FINISHED]),
    (
        (W.start, W.begin, W.hold_the_abort, W.stop, W.give_up),
        [S.READY, S.IN_TRANSACTION, S.ABORTING, S.STOPPED, S.STOPPED],
    ),
]


@pytest.mark.parametrize(("steps", "states"), WALKS)
async def test_a_producer_walks_through_its_states(
    brokers: Brokers, steps: tuple[Step, ...], states: list[ProducerState]
) -> None:
    walker = _Walker(brokers)
    seen = []
    for step in steps:
        await step(walker)
        seen.append(walker.producer.state)
    assert seen == states


def test_the_walks_take_every_transition_of_the_table() -> None:
    walked = set()
    for _, states in WALKS:
        walked |= set(zip([S.UNINITIALIZED, *states], states, strict=False))
    table = {(now, wanted) for now, after in PRODUCER_TRANSITIONS.items() for wanted in after}
    assert table == {(now, wanted) for now, wanted in walked if now is not wanted}


async def test_a_commit_after_a_failed_write_is_forbidden(opened: TransactionalProducer, brokers: Brokers) -> None:
    brokers.next[PRODUCE].append(InvalidTxnState)
    with pytest.raises(InvalidTxnState):
        await opened.write(rounds("a"), {})
    with pytest.raises(ForbiddenTransition, match="cannot go from abortable to committing"):
        await opened.end(commit=True)
    assert not brokers.requests[END]


async def test_no_transaction_begins_in_an_open_one(opened: TransactionalProducer) -> None:
    with pytest.raises(ForbiddenTransition):
        await opened.begin(["a"], with_offsets=False)


async def test_nothing_is_written_outside_a_transaction(producer: TransactionalProducer, brokers: Brokers) -> None:
    with pytest.raises(ForbiddenTransition, match="cannot write while it is ready"):
        await producer.write(rounds("a"), {})
    assert not brokers.requests[PRODUCE]


async def test_no_transaction_follows_an_abort(opened: TransactionalProducer) -> None:
    """The sequence numbers of records that failed cannot be used again, so a successor takes the next epoch."""
    await opened.end(commit=False)
    with pytest.raises(ForbiddenTransition, match="cannot go from finished to in_transaction"):
        await opened.begin(["a"], with_offsets=False)
