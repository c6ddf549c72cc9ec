"""A processor that knows sums: enough of a domain to see every record that is lost, doubled or out of order.

A record adds its number to the sum of its key; each gives one output, `key` with `<sum>@<topic>:<offset>`. What is no
number is dead-lettered. `poison` raises. Records of a topic called `…counts` wait, and tell the sum of everything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from worker.stream import InputRecord, Outcome, OutputRecord, StateVersionError
from worker.stream.processor import Parties


class InvariantViolation(Exception):
    """What the toy raises for `poison`."""


class ToyTopics(NamedTuple):
    """Full names of the toy's outputs."""

    out: str
    bad: str
    state: str


class Toy:
    """Sums by key."""

    rest: Iterator[None] | None = None
    parties: Parties | None = None

    def __init__(self, topics: ToyTopics, on_process: Callable[[InputRecord], None] | None = None) -> None:
        self._topics = topics
        self._on_process = on_process
        self.sums: dict[bytes, int] = {}
        self.restored_at_ms: int | None = None
        self._dirty: set[bytes] = set()
        self._outputs: list[OutputRecord] = []

    def restore(self, key: bytes, value: bytes | None) -> None:
        assert value is not None
        if value.startswith(b"v2"):
            raise StateVersionError("a record of version 2")
        self.sums[key] = int(value)

    @property
    def state_records(self) -> int:
        return len(self.sums)

    def finish_restore(self, stream_time_ms: int, _generations: Mapping[str, int]) -> Iterator[None]:
        self.restored_at_ms = stream_time_ms
        yield

    def waits(self, record: InputRecord) -> bool:
        return record.topic.endswith("counts")

    def process(self, record: InputRecord) -> Outcome:
        if self._on_process is not None:
            self._on_process(record)
        value, key = record.value or b"", record.key or b""
        if value == b"poison":
            raise InvariantViolation("the sums do not add up")
        if value.startswith(b"large"):
            self._outputs.append(OutputRecord(self._topics.out, key, value))
            self._outputs.append(OutputRecord(self._topics.bad, key, value, record.headers))
            return Outcome.APPLIED
        place = f"{record.topic}:{record.offset}"
        if self.waits(record):
            value = f"{sum(self.sums.values())}@{place}".encode()
            self._outputs.append(OutputRecord(self._topics.out, key, value))
            return Outcome.APPLIED
        if not value.isdigit():
            self._outputs.append(OutputRecord(self._topics.bad, record.key, record.value, record.headers))
            return Outcome.DEAD_LETTERED
        self.sums[key] = self.sums.get(key, 0) + int(value)
        self._dirty.add(key)
        self._outputs.append(OutputRecord(self._topics.out, key, f"{self.sums[key]}@{place}".encode()))
        return Outcome.APPLIED

    def flush(self) -> Iterator[list[OutputRecord]]:
        records, self._outputs = self._outputs, []
        records.extend(OutputRecord(self._topics.state, key, b"%d" % self.sums[key]) for key in sorted(self._dirty))
        self._dirty = set()
        yield records
