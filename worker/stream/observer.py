"""What the engine reports to its observer. Metrics live outside, so that the engine knows no metrics library.

Callbacks are synchronous and short, run on the event loop, and are made only for what was committed.
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
    """Records by topic (full name) and outcome."""
    timestamps_ms: Sequence[int]
    """The timestamp of each record: with `committed_at_ms`, how long each took from end to end."""
    committed_at_ms: int
    transaction_seconds: float
    """From the begin of the transaction, processing included, to the answer of its commit."""
    outputs: int
    """Records written, state included."""
    processor: P_co
    """What decided it: for what it counted itself."""


class Observer(Protocol[P_contra]):
    """Learns of everything worth counting."""

    def batch_committed(self, report: BatchReport[P_contra]) -> None:
        """A transaction was committed; one that only passes over gaps has no records."""

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """The state of a partition is complete."""

    def task_restarted(self, partition: int, cause: str) -> None:
        """A partition lost its producer and its state, and starts again.

        `cause` is "fenced", "timeout", "lost" (an offset of an input that cannot be read), "breach" (state and topics
        do not belong together), "defect" or "broker".
        """

    def partition_halted(self, partition: int, reason: str) -> None:
        """A partition stopped for good (in this process)."""

    def topic_made_anew(self, partition: int, topic: str) -> None:
        """A topic has another id than the state of a partition knew, and the partition goes on with it."""

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """A rebalance ended: these are the partitions of this worker."""
