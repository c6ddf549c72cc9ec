"""Who watches an engine in tests that do not count."""

from __future__ import annotations

from worker.stream import BatchReport, Processor


class SilentObserver:
    """An observer that counts nothing."""

    def batch_committed(self, report: BatchReport[Processor]) -> None:
        """Nothing."""

    def restore_finished(self, partition: int, records: int, seconds: float) -> None:
        """Nothing."""

    def task_restarted(self, partition: int, cause: str) -> None:
        """Nothing."""

    def partition_halted(self, partition: int, reason: str) -> None:
        """Nothing."""

    def topic_made_anew(self, partition: int, topic: str) -> None:
        """Nothing."""

    def partitions_assigned(self, partitions: frozenset[int]) -> None:
        """Nothing."""
