"""Input records without a broker."""

from __future__ import annotations

from worker.stream import InputRecord


def record(
    topic: str,
    offset: int,
    timestamp: int,
    value: bytes | None = b"1",
    key: bytes | None = b"key",
    partition: int = 0,
) -> InputRecord:
    """What a processor and the merge see of a record."""
    return InputRecord(topic, partition, offset, timestamp, key, value)
