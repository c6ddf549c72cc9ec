"""The transaction coordinator: what it knows of each transactional id, and what it does to the partitions.

It has both protocols, and answers each client in the one that the client uses. The old one is KIP-98, with the check of
KIP-890 that a produce belongs to an open transaction. In that of Kafka 4 (KIP-890), each end brings the next epoch, and
another producer id once the epochs are used up.

Every change of a transaction is first written to the coordinator's own log. Until then the id is pending, and every
request gets CONCURRENT_TRANSACTIONS. Markers are written after the answer to a commit.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from tests.simulator.kafka.codes import Code
from tests.simulator.loop import SimulatedLoop

Partition = tuple[str, int]
OFFSETS_TOPIC = "__consumer_offsets"

LOG_SECONDS_MAX = 0.002
MARKER_SECONDS_MAX = 0.006
EXPIRY_CHECK_SECONDS_MAX = 2.0
"""The longest pause between two looks for transactions that took too long (10 s by default on Apache Kafka)."""
RETRY_SECONDS = 0.05
EPOCHS_MAX = 32_766
"""The last epoch of a producer id that can be ended the way of Kafka 4."""


class TxnState(StrEnum):
    """The states, named as Apache Kafka names them.

    PrepareEpochFence is left out: an abort on behalf of a new producer is PREPARE_ABORT here.
    """

    EMPTY = "Empty"
    ONGOING = "Ongoing"
    PREPARE_COMMIT = "PrepareCommit"
    PREPARE_ABORT = "PrepareAbort"
    COMPLETE_COMMIT = "CompleteCommit"
    COMPLETE_ABORT = "CompleteAbort"

    @property
    def ending(self) -> bool:
        """Whether the markers are not all written yet."""
        return self in (TxnState.PREPARE_COMMIT, TxnState.PREPARE_ABORT)


@dataclass
class Transaction:
    """All that is known of a transactional id."""

    transactional_id: str
    producer_id: int
    epoch: int = -1
    state: TxnState = TxnState.EMPTY
    timeout_ms: int = 0
    partitions: set[Partition] = field(default_factory=set)
    pending: bool = False
    as_kafka_4: bool = False
    """Whether the client that began or ended it last uses the protocol of Kafka 4."""
    predecessor: int = -1
    """The producer id before this one, whose epochs are used up."""
    successor: int = -1
    """The producer id that the next transaction will have, if it is another one."""
    begun: int = 0
    """The number of transactions begun, so that a time limit ends only the transaction that it was set for."""


class Markers(Protocol):
    """Where the coordinator writes what ends a transaction."""

    def write_marker(self, partition: Partition, producer_id: int, epoch: int, *, commit: bool) -> bool:
        """End the transaction in a partition; False while its leader cannot be reached."""


class TransactionCoordinator:
    """One for all ids: where an id's coordinator is, and whether it may answer, is the cluster's business."""

    def __init__(self, loop: SimulatedLoop, seed: int, markers: Markers) -> None:
        self._loop = loop
        self._chance = random.Random(f"transactions/{seed}")
        self._markers = markers
        self._transactions: dict[str, Transaction] = {}
        self._producer_ids = 1000
        self.epochs_max = EPOCHS_MAX
        self.awake: Callable[[str, Callable[[], None]], None] = lambda _id, action: action()
        """Calls the given action once the coordinator of an id is up and awake."""
        self._markers_slow = (0.0, 0.0)
        self.on_event: Callable[[str], None] | None = None
        """Called with a line about each event, for the trace."""

    def init_producer_id(self, transactional_id: str | None, timeout_ms: int, reply: Callable[..., None]) -> None:
        """Give the next epoch of an id, once what its predecessor left open is aborted: `reply(code, id, epoch)`."""
        if transactional_id is None:
            reply(Code.NONE, self._next_producer_id(), 0)
            return
        txn = self._transactions.get(transactional_id)
        if txn is None:
            txn = self._transactions[transactional_id] = Transaction(transactional_id, self._next_producer_id())
        if txn.pending or txn.state.ending:
            reply(Code.CONCURRENT_TRANSACTIONS, -1, -1)
        elif txn.state is TxnState.ONGOING:
            self._fence(txn)
            reply(Code.CONCURRENT_TRANSACTIONS, -1, -1)
        else:
            if txn.epoch >= self.epochs_max:
                txn.predecessor, txn.producer_id, txn.epoch = txn.producer_id, self._next_producer_id(), -1
            txn.epoch += 1
            txn.state = TxnState.EMPTY
            txn.as_kafka_4 = False
            txn.timeout_ms = timeout_ms
            epoch = txn.epoch
            self._write(txn, lambda: reply(Code.NONE, txn.producer_id, epoch))

    def _next_producer_id(self) -> int:
        self._producer_ids += 1
        return self._producer_ids

    def add_partitions(
        self,
        transactional_id: str,
        producer_id: int,
        epoch: int,
        partitions: set[Partition],
        reply: Callable[[Code], None],
        *,
        as_kafka_4: bool = False,
    ) -> None:
        """Make partitions part of the open transaction, or begin one with them.

        A client asks for that. With the protocol of Kafka 4, the leader of a partition may ask for it instead, when the
        client writes there.
        """
        known = self._transactions.get(transactional_id)
        txn = self._owned(transactional_id, producer_id, epoch)
        # Before the id is checked: the client may already use its next producer id, which takes effect here only with
        # the last marker.
        if known is not None and (known.pending or known.state.ending):
            reply(Code.CONCURRENT_TRANSACTIONS)
        elif isinstance(txn, Code):
            reply(txn)
        elif txn.state is TxnState.ONGOING and partitions <= txn.partitions:
            reply(Code.NONE)
        else:
            if txn.state is not TxnState.ONGOING:
                txn.state = TxnState.ONGOING
                txn.partitions = set()
                txn.begun += 1
                self._expire_later(txn)
            txn.as_kafka_4 = as_kafka_4
            txn.partitions |= partitions
            self._write(txn, lambda: reply(Code.NONE))

    def verify(self, transactional_id: str, producer_id: int, epoch: int, partition: Partition) -> Code:
        """Whether a first produce to a partition belongs to an open transaction, as its leader asks."""
        txn = self._owned(transactional_id, producer_id, epoch)
        if isinstance(txn, Code):
            return txn
        if txn.pending or txn.state.ending:
            return Code.NOT_ENOUGH_REPLICAS  # what an old client gets for a concurrent transaction
        if txn.state is not TxnState.ONGOING or partition not in txn.partitions:
            return Code.INVALID_TXN_STATE
        return Code.NONE

    def _owned(self, transactional_id: str, producer_id: int, epoch: int) -> Transaction | Code:
        """The transaction, or why it is not this producer's."""
        txn = self._transactions.get(transactional_id)
        if txn is None or txn.producer_id != producer_id:
            return Code.INVALID_PRODUCER_ID_MAPPING
        return txn if txn.epoch == epoch else Code.INVALID_PRODUCER_EPOCH

    def end(
        self, transactional_id: str, producer_id: int, epoch: int, *, commit: bool, reply: Callable[[Code], None]
    ) -> None:
        """Commit or abort. Answered when it is decided; the markers come later."""
        txn = self._owned(transactional_id, producer_id, epoch)
        if isinstance(txn, Code):
            reply(txn)
        elif txn.pending:
            reply(Code.CONCURRENT_TRANSACTIONS)
        else:
            match txn.state:
                case TxnState.ONGOING:
                    txn.as_kafka_4 = False
                    self._end(txn, commit=commit, decided=lambda: reply(Code.NONE))
                case TxnState.EMPTY:
                    reply(Code.INVALID_TXN_STATE)
                case _:
                    reply(_ended_before(txn, commit=commit))

    def end_as_kafka_4(
        self,
        transactional_id: str,
        producer_id: int,
        epoch: int,
        *,
        commit: bool,
        reply: Callable[[Code, int, int], None],
    ) -> None:
        """Commit or abort, and give the producer id and the epoch of the next transaction.

        A retry has the epoch that was ended, so it cannot be taken for the end of the next transaction.
        """
        txn = self._transactions.get(transactional_id)
        again = txn is not None and _is_asked_again(txn, producer_id, epoch, self.epochs_max)
        if txn is None or not (txn.producer_id == producer_id or again):
            reply(Code.INVALID_PRODUCER_ID_MAPPING, -1, -1)
        elif not again and (txn.epoch != epoch or (txn.as_kafka_4 and txn.state.ending)):
            reply(Code.PRODUCER_FENCED, -1, -1)
        elif txn.pending:
            reply(Code.CONCURRENT_TRANSACTIONS, -1, -1)
        elif again or txn.state.ending:
            code = _ended_before(txn, commit=commit)
            reply(code, *((txn.producer_id, txn.epoch) if code is Code.NONE else (-1, -1)))
        elif commit and txn.state is not TxnState.ONGOING:
            reply(Code.INVALID_TXN_STATE, -1, -1)
        else:  # an abort of nothing changes the epoch, too
            txn.as_kafka_4 = True
            txn.successor = self._next_producer_id() if epoch >= self.epochs_max else -1
            following = (producer_id, epoch + 1) if txn.successor < 0 else (txn.successor, 0)
            txn.epoch += 1
            self._end(txn, commit=commit, decided=lambda: reply(Code.NONE, *following))

    def slow_markers(self, seconds_max: float, for_seconds: float) -> None:
        """Let markers be late, for a while."""
        self._markers_slow = (seconds_max, self._loop.time() + for_seconds)

    # -- the coordinator by itself

    def _write(self, txn: Transaction, then: Callable[[], None]) -> None:
        """Write the transaction to the coordinator's log, then go on."""
        txn.pending = True
        self._loop.later(LOG_SECONDS_MAX * self._chance.random(), lambda: self._written(txn, then))

    def _written(self, txn: Transaction, then: Callable[[], None]) -> None:
        def go_on() -> None:
            txn.pending = False
            then()

        self.awake(txn.transactional_id, go_on)

    def _fence(self, txn: Transaction) -> None:
        """Abort an open transaction under the next epoch: its producer can write no more."""
        txn.epoch += 1
        self._end(txn, commit=False, decided=lambda: None)

    def _end(self, txn: Transaction, *, commit: bool, decided: Callable[[], None]) -> None:
        txn.state = TxnState.PREPARE_COMMIT if commit else TxnState.PREPARE_ABORT
        if self.on_event is not None:
            self.on_event(f"{txn.transactional_id} epoch {txn.epoch}: {txn.state}")

        def written() -> None:
            decided()
            left = set(txn.partitions)
            for partition in sorted(left):
                self._mark_later(txn, partition, left, commit=commit)
            if not left:
                self._complete(txn, commit=commit)

        self._write(txn, written)

    def _mark_later(self, txn: Transaction, partition: Partition, left: set[Partition], *, commit: bool) -> None:
        slowness, slow_until = self._markers_slow
        seconds_max = MARKER_SECONDS_MAX + (slowness if self._loop.time() < slow_until else 0.0)
        seconds = seconds_max * self._chance.random()
        self._loop.later(
            seconds,
            lambda: self.awake(txn.transactional_id, lambda: self._mark(txn, partition, left, commit=commit)),
        )

    def _mark(self, txn: Transaction, partition: Partition, left: set[Partition], *, commit: bool) -> None:
        if not self._markers.write_marker(partition, txn.producer_id, txn.epoch, commit=commit):
            self._loop.later(RETRY_SECONDS, lambda: self._mark(txn, partition, left, commit=commit))
            return
        left.discard(partition)
        if not left:
            self._complete(txn, commit=commit)

    def _complete(self, txn: Transaction, *, commit: bool) -> None:
        def written() -> None:
            txn.state = TxnState.COMPLETE_COMMIT if commit else TxnState.COMPLETE_ABORT
            txn.partitions = set()
            if txn.successor >= 0:
                txn.predecessor, txn.producer_id, txn.epoch = txn.producer_id, txn.successor, 0
                txn.successor = -1

        self._write(txn, written)

    def _expire_later(self, txn: Transaction) -> None:
        begun = txn.begun
        seconds = txn.timeout_ms / 1000 + EXPIRY_CHECK_SECONDS_MAX * self._chance.random()
        self._loop.later(seconds, lambda: self.awake(txn.transactional_id, lambda: self._expire(txn, begun)))

    def _expire(self, txn: Transaction, begun: int) -> None:
        if txn.begun != begun or txn.state is not TxnState.ONGOING:
            return
        if txn.pending:
            self._loop.later(RETRY_SECONDS, lambda: self._expire(txn, begun))
            return
        self._fence(txn)


def _is_asked_again(txn: Transaction, producer_id: int, epoch: int, epochs_max: int) -> bool:
    """Whether the end of this epoch was decided before, the way of Kafka 4."""
    if not txn.as_kafka_4 or txn.state in (TxnState.ONGOING, TxnState.EMPTY):
        return False
    if txn.producer_id == producer_id:
        return txn.epoch == epoch + 1
    return txn.predecessor == producer_id and epoch == epochs_max and txn.epoch == 0


def _ended_before(txn: Transaction, *, commit: bool) -> Code:
    """The answer to a repeated end: done, to be retried, or that the other end was decided."""
    if commit is not (txn.state in (TxnState.PREPARE_COMMIT, TxnState.COMPLETE_COMMIT)):
        return Code.INVALID_TXN_STATE
    return Code.CONCURRENT_TRANSACTIONS if txn.state.ending else Code.NONE
