"""The order in which the inputs of a partition are processed. Pure: no broker, no clock.

Records are taken by timestamp as far as they are fetched, always in offset order within an input. An input that is
known to have more than was fetched is waited for (the caller bounds that), so that catching up takes the same order
every time. A record that `waits` is taken only when every other input was read up to its timestamp, or to its end;
until then it holds what is behind it in its own input, and nothing else.

The end of an input is known from fetch answers alone: an answer may have been under way when the waiting record was
fetched, the one after it was not. So two answers are needed, and that the position has reached the high watermark they
told: what lies behind an open transaction is not read yet, though nobody can read it. No request is made: one for the
end offsets would wait behind the long poll, and lets counts run ahead.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from worker.stream.errors import halt_at
from worker.stream.records import InputRecord

ANSWERS_NEEDED: Final = 2
CHUNK_BYTES_MAX: Final = 256 * 1024
"""A chunk ends with the record that reaches so many: one large count is a chunk of its own, so that the transaction's
bounds are looked at before the next.
"""


class Reading(NamedTuple):
    """What the client knows of an input at a moment."""

    answered_at_ms: int | None
    """When the last fetch answer came; None: none yet."""
    position: int
    """The offset that will be handed out next."""
    stable_offset: int | None
    """The end of what a read_committed reader can see, as of the last answer."""
    end_offset: int | None = None
    """The end of all there is, as of the last answer."""

    @property
    def handed_out(self) -> bool:
        """Whether all that the last answer could give has been handed out."""
        return self.answered_at_ms is not None and (self.stable_offset is None or self.position >= self.stable_offset)

    @property
    def at_end(self) -> bool:
        """Whether there was nothing more when the last answer came, in open transactions neither."""
        return self.handed_out and (self.end_offset is None or self.position >= self.end_offset)


class _Wait(NamedTuple):
    """What the other inputs had answered when the records up to `offset` began to wait."""

    offset: int
    answers: tuple[int, ...]


class _Input:
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
        return not self.records and not self.excused and not self.reading.handed_out


class Merge:
    """The fetched records of one partition, by input topic."""

    def __init__(self, topics: Sequence[str], waits: Callable[[InputRecord], bool]) -> None:
        self._waits = waits
        self._inputs = [_Input(topic, rank) for rank, topic in enumerate(topics)]
        self._by_topic = {entry.topic: entry for entry in self._inputs}

    def put(self, topic: str, records: Sequence[InputRecord]) -> None:
        """Add fetched records of an input, in offset order.

        Nothing is asked about them yet: who reads for all partitions must not fail at the records of one.
        """
        entry = self._by_topic[topic]
        entry.excused = False
        entry.records.extend(records)
        entry.bytes += sum([record.size_bytes for record in records])

    def observe(self, topic: str, reading: Reading) -> None:
        """Take note of what the client knows of an input now."""
        entry = self._by_topic[topic]
        if reading.answered_at_ms is not None and reading.answered_at_ms != entry.reading.answered_at_ms:
            entry.answers += 1
        entry.reading = reading

    def records_of(self, topic: str) -> int:
        """How many fetched records of an input are waiting."""
        return len(self._by_topic[topic].records)

    def bytes_of(self, topic: str) -> int:
        """How many bytes the fetched records of an input take."""
        return self._by_topic[topic].bytes

    @property
    def empty(self) -> bool:
        """Whether nothing is fetched that has not been taken."""
        return not any(entry.records for entry in self._inputs)

    @property
    def read_to(self) -> dict[str, int]:
        """Of every input of which nothing is left here: up to where the client has read it.

        Where that is further than its last record, what lies between can never be handed out: markers, and records of
        aborted transactions.
        """
        return {entry.topic: entry.reading.position for entry in self._inputs if not entry.records}

    @property
    def lacking(self) -> list[str]:
        """The inputs that are known to have more, none of which is fetched."""
        return [entry.topic for entry in self._inputs if entry.lacking]

    def excuse(self) -> None:
        """Go on without what is lacking: patience is at its end."""
        for entry in self._inputs:
            entry.excused = entry.excused or entry.lacking

    def take(self, records_max: int) -> list[InputRecord]:
        """The next records, in order; fewer where an input lacks records, all that is left waits, or they are large.

        Raises Halt when `waits` fails.
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
        """Take from one input for as long as its head is the next of all: most records follow one of their own."""
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
        """The least key that another input may take its turn with. What waits while others go on has no turn."""
        least: tuple[int, bool, int] | None = None
        for other in self._inputs:
            key = other.key
            if other is entry or key is None or (least is not None and key >= least):
                continue
            if not other.waits or entry.key is None or key > entry.key:
                least = key
        return least

    def _look(self, entry: _Input) -> None:
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
        """Whether the least of all heads, which waits, may be taken: the others have later ones or are at their end."""
        if waiting.records[0].offset > waiting.wait.offset:
            waiting.wait = _Wait(waiting.records[-1].offset, tuple(entry.answers for entry in self._inputs))
        return all(
            entry is waiting
            or bool(entry.records)
            or (entry.answers - answers >= ANSWERS_NEEDED and entry.reading.at_end)
            for entry, answers in zip(self._inputs, waiting.wait.answers, strict=True)
        )
