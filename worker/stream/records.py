"""Input and output records of the engine.

An input record is a class of the engine, not the client's. It is read about a dozen times, and compiled, its fields are
those of a C struct. `worker.stream.kafka.fetched` makes the client create it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, final

from mypy_extensions import mypyc_attr

Headers = Sequence[tuple[str, bytes | None]]
"""Names and values. A value of None is a header without value, which differs from an empty one."""


@mypyc_attr(acyclic=True)
@final
class InputRecord:
    """A record as read. `timestamp` is in milliseconds since the epoch.

    A value of None is a tombstone. A header name may come more than once. `size_bytes` is the size of key and value.
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
    """Make input records of a batch that the client read from a partition of a topic."""
    return [
        InputRecord(topic, partition, record.offset, record.timestamp, record.key, record.value, tuple(record.headers))
        for record in batch
    ]


class OutputRecord(NamedTuple):
    """A record to write into the processor's partition of any topic, the state topic included.

    `topic` is the full name. A value of None is a tombstone.
    """

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


Output = tuple[str, bytes | None, bytes | None, Headers]
"""An `OutputRecord`, or its fields as a plain tuple, which takes a fifth of the time to make. Each event makes several.
"""
