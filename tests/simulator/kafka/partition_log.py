"""The log of one partition: offsets, producers' sequences, open transactions, markers, cleaning and truncation."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.record_batch import Batch, Sequence, marker, sequence_of

REMEMBERED_BATCHES = 5
"""A repeated batch is known as long as it is among the producer's last ones."""


class Fetched(NamedTuple):
    """An answer to a fetch of one partition."""

    code: Code
    high_watermark: int
    stable_offset: int
    start_offset: int
    aborted: list[tuple[int, int]]
    data: bytes


@dataclass
class _Producer:
    epoch: int
    last_sequence: int = -1
    recent: deque[tuple[Sequence, int]] = field(default_factory=lambda: deque(maxlen=REMEMBERED_BATCHES))


class PartitionLog:
    """One partition. `compact`: the log cleaner may run over it."""

    def __init__(self, *, compact: bool) -> None:
        self.compact = compact
        self.start_offset = 0
        self.end_offset = 0
        self.batches: list[Batch] = []
        self.everything: list[Batch] = []
        """Every batch as it was appended."""
        self._last_offsets: list[int] = []
        self._open: dict[int, int] = {}
        """First offset of the open transaction, by producer id."""
        self._aborted: list[tuple[int, int, int]] = []
        """Producer id, first offset and marker's offset of every aborted transaction."""
        self._producers: dict[int, _Producer] = {}
        self.watchers: list[Callable[[], None]] = []
        """Called when there is more to be read."""

    @property
    def stable_offset(self) -> int:
        """The end of what a read_committed reader sees."""
        return min(self._open.values()) if self._open else self.end_offset

    def in_transaction(self, producer_id: int, epoch: int) -> bool:
        """Whether the producer has written here in a transaction of this epoch that has no marker yet."""
        return producer_id in self._open and self._producers[producer_id].epoch == epoch

    def append(self, data: bytes) -> tuple[Code, int]:
        """Append a batch of a producer, or find that it was appended before; its code and base offset."""
        sequence = sequence_of(data)
        if sequence.producer_id >= 0:
            code, offset = self._check(sequence)
            if code is not Code.NONE or offset >= 0:
                return code, offset
        batch = Batch(data, self.end_offset)
        if sequence.producer_id >= 0:
            producer = self._producers.setdefault(sequence.producer_id, _Producer(sequence.epoch))
            if producer.epoch != sequence.epoch:
                producer = self._producers[sequence.producer_id] = _Producer(sequence.epoch)
            producer.last_sequence = sequence.last
            producer.recent.append((sequence, batch.base_offset))
        if batch.transactional:
            self._open.setdefault(batch.producer_id, batch.base_offset)
        self._add(batch)
        return Code.NONE, batch.base_offset

    def _check(self, sequence: Sequence) -> tuple[Code, int]:
        producer = self._producers.get(sequence.producer_id)
        if producer is None:
            return Code.NONE, -1
        if sequence.epoch < producer.epoch:
            return Code.INVALID_PRODUCER_EPOCH, -1
        if sequence.epoch > producer.epoch:
            return (Code.NONE if sequence.base == 0 else Code.OUT_OF_ORDER_SEQUENCE_NUMBER), -1
        for seen, offset in producer.recent:
            if seen == sequence:
                return Code.NONE, offset
        # After a marker that brought the epoch, nothing is known of the sequence but that it begins.
        if sequence.base != producer.last_sequence + 1:
            return Code.OUT_OF_ORDER_SEQUENCE_NUMBER, -1
        return Code.NONE, -1

    def end_transaction(self, producer_id: int, epoch: int, *, commit: bool, timestamp_ms: int) -> None:
        """Write the marker of a transaction: from now on an older epoch cannot write here."""
        batch = Batch(marker(producer_id, epoch, commit=commit, timestamp_ms=timestamp_ms), self.end_offset)
        batch.committed = commit
        first = self._open.pop(producer_id, None)
        if first is not None:
            for earlier in reversed(self.batches):
                if earlier.last_offset < first:
                    break
                if earlier.producer_id == producer_id and earlier.committed is None:
                    earlier.committed = commit
            if not commit:
                self._aborted.append((producer_id, first, batch.base_offset))
        producer = self._producers.get(producer_id)
        if producer is None or producer.epoch < epoch:
            self._producers[producer_id] = _Producer(epoch)
        self._add(batch)

    def _add(self, batch: Batch) -> None:
        self.batches.append(batch)
        self.everything.append(batch)
        self._last_offsets.append(batch.last_offset)
        self.end_offset = batch.last_offset + 1
        if self.watchers:
            for watcher in list(self.watchers):
                watcher()

    def read(self, offset: int, bytes_max: int, *, committed: bool) -> Fetched:
        """What a fetch at `offset` is answered; at least one batch if there is one."""
        stable = self.stable_offset
        end = stable if committed else self.end_offset
        if offset < self.start_offset or offset > self.end_offset:
            return Fetched(Code.OFFSET_OUT_OF_RANGE, -1, -1, -1, [], b"")
        first = at = bisect_left(self._last_offsets, offset)
        size = 0
        batches = self.batches
        while at < len(batches) and batches[at].base_offset < end and (at == first or size < bytes_max):
            size += len(batches[at].data)
            at += 1
        data = b"".join(batch.data for batch in batches[first:at])
        aborted: list[tuple[int, int]] = []
        if committed and data and self._aborted:
            last = batches[at - 1].last_offset
            aborted = [(pid, begin) for pid, begin, end in self._aborted if begin <= last and end >= offset]
        return Fetched(Code.NONE, self.end_offset, stable, self.start_offset, aborted, data)

    def clean(self) -> None:
        """Keep the latest record of each key, among what is stable; aborted records go, markers stay."""
        stable = self.stable_offset
        latest: dict[bytes | None, int] = {}
        for batch in self.batches:
            if batch.committed and not batch.control and batch.last_offset < stable:
                for record in batch.records():
                    latest[record.key] = record.offset
        kept: list[Batch] = []
        for batch in self.batches:
            if batch.control or batch.last_offset >= stable:
                kept.append(batch)
            elif batch.committed:
                left = batch.thinned(lambda record: latest[record.key] == record.offset)
                if left is not None:
                    kept.append(left)
        self._replace(kept)

    def truncate(self, before_offset: int) -> None:
        """Delete what lies before an offset. A batch goes as a whole, and what is left of it cannot be asked for."""
        self.start_offset = max(self.start_offset, min(before_offset, self.end_offset))
        self._replace([batch for batch in self.batches if batch.last_offset >= self.start_offset])

    def cut(self, from_offset: int) -> None:
        """Lose every batch that begins at an offset or later, as where a replica that lacks them becomes the leader."""
        self._replace([batch for batch in self.batches if batch.base_offset < from_offset])
        self.everything = [batch for batch in self.everything if batch.base_offset < from_offset]
        self.end_offset = from_offset
        self._producers.clear()
        self._open.clear()

    def _replace(self, batches: list[Batch]) -> None:
        self.batches = batches
        self._last_offsets = [batch.last_offset for batch in batches]
