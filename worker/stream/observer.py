"""What the engine reports for metrics, which live outside, so that the engine needs no metrics library.

All methods of an observer are called on the event loop, one at a time, so they must return quickly and must not block.
They must not raise: an exception would end the task or the session that calls. They may be called for several
partitions in any order, but for one partition they are called in the order in which things happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from worker.stream.processor import Outcome, Processor

P_co = TypeVar("P_co", bound=Processor, covariant=True)
P_contra = TypeVar("P_contra", bound=Processor, contravariant=True)


class BatchReport(NamedTuple, Generic[P_co]):
    """One committed transaction of a partition."""

    partition: int
    outcomes: Mapping[tuple[str, Outcome], int]
    """Records by topic (full name) and outcome. Without records, the transaction only counted gaps."""
    timestamps_ms: Sequence[int]
    """The timestamp of each record. Compared with `committed_at_ms`, they give the end-to-end time of each."""
    committed_at_ms: int
    transaction_seconds: float
    """From the begin of the transaction to the answer to its commit, processing included."""
    outputs: int
    """How many records were written, the state's included."""
    processor: P_co
    """The processor of the partition, for what it counted itself. It must only be read, and not kept."""


class PartitionObserver(Protocol):
    """Is informed of what happens to the task of a partition, apart from its transactions."""

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """The state of a partition was restored from `records` records, within `seconds`.

        Called at most once per start of a task, not if the state came from memory. The start may still fail afterwards.
        """

    def task_restarted(self, partition: int, cause: str) -> None:
        """A task lost its producer and its state, and will start again after a pause.

        `cause` is the value of a `worker.stream.errors.RestartCause`. Called once per failure, before the pause. The
        task may be stopped during the pause, so a start need not follow.
        """

    def partition_halted(self, partition: int, reason: str) -> None:
        """A partition stopped until the process is restarted. Called once per partition and process."""

    def topic_made_anew(self, partition: int, topic: str) -> None:
        """A topic has another id than the state knew, but the same records, so the partition continues with it.

        Called during each start that finds another id, before that id is recorded. So it may be called again for the
        same id if the start fails.
        """


class Observer(PartitionObserver, Protocol[P_contra]):
    """Is informed of everything that an engine counts."""

    def batch_committed(self, report: BatchReport[P_contra]) -> None:
        """A transaction was committed. Called once per transaction, after the answer to its commit.

        It is not called for a transaction whose commit was not answered, although that one may have succeeded.
        """

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """A rebalance ended: these are all partitions of this worker now. Their tasks have not started yet.

        Called once per rebalance. It is not called when partitions are revoked.
        """


class SilentObserver:
    """Counts nothing: for an engine, or a part of one, without metrics."""

    def batch_committed(self, report: BatchReport[Processor]) -> None:
        """Do nothing."""

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """Do nothing."""

    def task_restarted(self, partition: int, cause: str) -> None:
        """Do nothing."""

    def partition_halted(self, partition: int, reason: str) -> None:
        """Do nothing."""

    def topic_made_anew(self, partition: int, topic: str) -> None:
        """Do nothing."""

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """Do nothing."""
