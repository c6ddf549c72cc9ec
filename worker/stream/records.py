"""Records as they pass through the engine, in and out.

An input record is a class of its own, not the client's: it is looked at a dozen times, and compiled, its fields are
those of a C struct. The client makes it (`worker.stream.kafka.fetched`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, final

from mypy_extensions import mypyc_attr

Headers = Sequence[tuple[str, bytes | None]]
"""A header may have no value, which is not the same as an empty one."""


@mypyc_attr(acyclic=True)
@final
class InputRecord:
    """A record as read: where it lies, its timestamp in milliseconds since the epoch, and what is in it.

    A value of None is a tombstone; a name of a header may come more than once. `size_bytes` is that of key and value.
    """

    __slots__ = ("headers", "key", "offset", "partition", "size_bytes", "timestamp", "topic", "value")

    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        timestamp: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers = (),
    ) -> None:
        self.topic = topic
        self.partition = partition
        self.offset = offset
        self.timestamp = timestamp
        self.key = key
        self.value = value
        self.headers = headers
        self.size_bytes = (0 if key is None else len(key)) + (0 if value is None else len(value))


def input_records(topic: str, partition: int, batch: Iterable[Any]) -> list[InputRecord]:
    """The records of a batch as the client reads it, which lies in a partition of a topic."""
    return [
        InputRecord(topic, partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
        for record in batch
    ]


class OutputRecord(NamedTuple):
    """A record to write, in the partition of the processor.

    `topic` is the full name; the state topic is one like the others (value None: tombstone).
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Output = tuple[str, bytes | None, bytes | None, Headers]
"""The fields of an `OutputRecord`, or one: a plain tuple takes a fifth of the time to make, and there are several an
event.
"""
