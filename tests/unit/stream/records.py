"""Input records without a broker."""

from __future__ import annotations

from typing import NamedTuple

from worker.stream import Headers


class Record(NamedTuple):
    """What a processor and the merge see of a record."""

    topic: str
    offset: int
    timestamp: int
    value: bytes | None = b"1"
    key: bytes | None = b"key"
    partition: int = 0
    headers: Headers = ()
