"""The order in which the inputs of a partition are processed. Pure: no broker, no clock.

Records are taken by timestamp, and in offset order within an input. While an input
has records on the broker, but none of them here, nothing is taken. So catching up takes the same order every time. The
caller limits that wait (`Merge.excuse`).

A record for which `waits` is true (a count, a command) is taken only when every other input has been read up to the
record's timestamp, or to its end. Until then it holds back what comes after it in its own input, and nothing else.

Only fetch answers prove that an input is at its end. One answer may have been under way when the waiting record was
fetched, so two are needed. The position must also have reached the high watermark of the answer, because records after
the begin of an open transaction cannot be read yet. No request for end offsets is sent, because the broker would answer
it only after the consumer's fetch, which it holds open until records come.

A worked example, with inputs `orders` and `stock`, and a count (C) that waits:

    orders   offset 7, timestamp 100     offset 8, timestamp 300
    stock    offset 4, timestamp 200 C   offset 5, timestamp 250

    1. Offset 7 of orders is taken, because 100 is the least timestamp.
    2. The heads are now 300 and the count at 200. `orders` has a head later than the count, so it was read up to 200:
       the count is taken, then offset 5 of stock (250), then offset 8 of orders (300).

    If offset 8 of orders had not been fetched, step 2 would differ. `orders` would have no head, so the count would
    wait. It would remember how many fetch answers `orders` had. After two more answers, and at its end by the
    latest, nothing older than the count can lie there: the count is taken. If a record with timestamp 150 came with one
    of them, it would be taken before the count.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from worker.stream.errors import halt_at
from worker.stream.records import InputRecord

ANSWERS_NEEDED: Final = 2
CHUNK_BYTES_MAX: Final = 256 * 1024
"""A chunk ends with the record that reaches this size. So a large count is a chunk of its own, and the limits of the
transaction are checked before the next record.
"""


class Reading(NamedTuple):
    """What the client knows of one input at a moment."""

    answered_at_ms: int | None
    """When the latest fetch answer came; None before the first."""
    position: int
    """The offset of the next record that the client hands out."""
    stable_offset: int | None
    """The end for a read_committed reader, as of the latest answer."""
    end_offset: int | None = None
    """The high watermark, as of the latest answer: the end of all records, also of open transactions."""

    @property
    def handed_out(self) -> bool:
        """Whether every record up to the stable offset of the latest answer has been handed out."""
        return self.answered_at_ms is not None and (self.stable_offset is None or self.position >= self.stable_offset)

    @property
    def at_end(self) -> bool:
        """Whether the input had no more records at the latest answer, not even those of an open transaction."""
        return self.handed_out and (self.end_offset is None or self.position >= self.end_offset)


class _Wait(NamedTuple):
    """How many answers each input had when a record began to wait.

    It also holds for later records of the same input, up to `offset`, which were fetched by then.
    """

    offset: int
    answers: tuple[int, ...]


class _Input:
    """The fetched records of one input, and the key by which its head is ordered among the heads of all inputs.

    The key is (timestamp, whether it waits, rank of the input), None while there is no record. So at one timestamp a
    record that waits comes last.
    """

    __slots__ = ("answers", "bytes", "excused", "key", "rank", "reading", "records", "topic", "wait", "waits")

    def __init__(self, topic: str, rank: int) -> None:
        self.topic = topic
        self.rank = rank
        self.records: deque[InputRecord] = deque()
        self.bytes = 0
        self.key: tuple[int, bool, int] | None = None
        self.waits = False
        self.wait = _Wait(-1, ())
        self.reading = Reading(None, 0, None)
        self.answers = 0
        self.excused = False

    @property
    def lacking(self) -> bool:
        """Whether it has records on the broker, but none here, and is not excused."""
        return not self.records and not self.excused and not self.reading.handed_out


class Merge:
    """The fetched records of one partition, by input topic."""

    def __init__(self, topics: Sequence[str], waits: Callable[[InputRecord], bool]) -> None:
        self._waits = waits
        self._inputs = [_Input(topic, rank) for rank, topic in enumerate(topics)]
        self._by_topic = {entry.topic: entry for entry in self._inputs}

    def put(self, topic: str, records: Sequence[InputRecord]) -> None:
        """Add fetched records of an input, in offset order.

        It does not call `waits`, which may fail: the reader of all partitions must not fail at the records of one.
        """
        entry = self._by_topic[topic]
        entry.excused = False
        entry.records.extend(records)
        entry.bytes += sum([record.size_bytes for record in records])

    def observe(self, topic: str, reading: Reading) -> None:
        """Note what the client knows of an input now."""
        entry = self._by_topic[topic]
        if reading.answered_at_ms is not None and reading.answered_at_ms != entry.reading.answered_at_ms:
            entry.answers += 1
        entry.reading = reading

    def records_of(self, topic: str) -> int:
        """Count the fetched records of an input that are not taken yet."""
        return len(self._by_topic[topic].records)

    def bytes_of(self, topic: str) -> int:
        """Sum the sizes of the fetched records of an input that are not taken yet."""
        return self._by_topic[topic].bytes

    @property
    def empty(self) -> bool:
        """Whether every fetched record has been taken."""
        return not any(entry.records for entry in self._inputs)

    @property
    def read_to(self) -> dict[str, int]:
        """The client's position in each input that has no record left here.

        Between the last record taken and that position lie only transaction markers and aborted or compacted records.
        """
        return {entry.topic: entry.reading.position for entry in self._inputs if not entry.records}

    @property
    def lacking(self) -> list[str]:
        """The inputs that have records on the broker, but none here, and for which `take` waits."""
        return [entry.topic for entry in self._inputs if entry.lacking]

    def excuse(self) -> None:
        """Let `take` go on without the inputs that are lacking, until their next records come."""
        for entry in self._inputs:
            entry.excused = entry.excused or entry.lacking

    def take(self, records_max: int) -> list[InputRecord]:
        """Take the next records, in order, at most `records_max`.

        It returns fewer if an input lacks records, if the rest must wait, or if the records are large. Raises Halt if
        `waits` fails.
        """
        taken: list[InputRecord] = []
        if self.lacking:
            return taken
        for fetched in self._inputs:
            if fetched.key is None:
                self._look(fetched)
        bytes_left = CHUNK_BYTES_MAX
        while len(taken) < records_max and bytes_left > 0:
            entry = self._next()
            if entry is None:
                break
            held = entry.bytes
            self._take_run(entry, self._limit_of(entry), taken, records_max, held - bytes_left)
            bytes_left -= held - entry.bytes
            if entry.lacking:
                break
        return taken

    def _take_run(
        self,
        entry: _Input,
        limit: tuple[int, bool, int] | None,
        taken: list[InputRecord],
        records_max: int,
        bytes_kept: int,
    ) -> None:
        """Take from one input while its head comes before `limit`, and more than `bytes_kept` bytes of it are left.

        Most records follow one of the same input, so this saves choosing an input for each.
        """
        records, rank = entry.records, entry.rank
        while True:
            record = records.popleft()
            entry.bytes -= record.size_bytes
            taken.append(record)
            if not records or self._must_wait(records[0]):
                self._look(entry)
                return
            key = (records[0].timestamp, False, rank)
            full = len(taken) >= records_max or entry.bytes <= bytes_kept
            if full or (limit is not None and key >= limit):
                entry.key, entry.waits = key, False
                return

    def _limit_of(self, entry: _Input) -> tuple[int, bool, int] | None:
        """The key of the next record of another input, None if there is none.

        A waiting record that comes before this input's head is left out, because `_next` has already passed it over.
        """
        least: tuple[int, bool, int] | None = None
        for other in self._inputs:
            key = other.key
            if other is entry or key is None or (least is not None and key >= least):
                continue
            if not other.waits or entry.key is None or key > entry.key:
                least = key
        return least

    def _look(self, entry: _Input) -> None:
        """Compute the key of an input's head."""
        if not entry.records:
            entry.key, entry.waits = None, False
            return
        head = entry.records[0]
        entry.waits = self._must_wait(head)
        entry.key = (head.timestamp, entry.waits, entry.rank)

    def _must_wait(self, record: InputRecord) -> bool:
        try:
            return self._waits(record)
        except Exception as error:
            place = f"{record.topic}/{record.partition}/{record.offset}"
            raise halt_at(record.partition, place, error) from error

    def _next(self) -> _Input | None:
        """Choose the input with the least key. If its head must go on waiting, choose the least that need not wait."""
        first: _Input | None = None
        free: _Input | None = None
        for entry in self._inputs:
            key = entry.key
            if key is None:
                continue
            if first is None or first.key is None or key < first.key:
                first = entry
            if not entry.waits and (free is None or free.key is None or key < free.key):
                free = entry
        if first is None or not first.waits or self._released(first):
            return first
        return free

    def _released(self, waiting: _Input) -> bool:
        """Whether the waiting head with the least key may be taken now.

        Each other input must have a later head, or must have answered twice since the wait began and be at its end.
        """
        if waiting.records[0].offset > waiting.wait.offset:
            waiting.wait = _Wait(waiting.records[-1].offset, tuple(entry.answers for entry in self._inputs))
        return all(
            entry is waiting
            or bool(entry.records)
            or (entry.answers - answers >= ANSWERS_NEEDED and entry.reading.at_end)
            for entry, answers in zip(self._inputs, waiting.wait.answers, strict=True)
        )
