"""Between the bytes of a fetch and the records: one of three places below aiokafka's public interface.

Header names need not be UTF-8: Kafka takes any bytes from any client, and aiokafka refuses to read them. The refusal
takes the whole answer of a fetch with it, and the next one, and so on: one such record would stop its partition for
good, and all that are read by the same consumer. There is no public way around. What cannot be read of a name becomes
`?`, byte by byte; a record whose headers can be read passes untouched.

And records are made as the engine's own class here, a batch at a time, instead of the client's and then again.

And a batch that cannot be read (its checksum is wrong, it does not decompress) is no error of the whole fetch. The
client would raise it after it has taken out what came of other partitions, and past that it goes on: they would be lost
to whoever takes its positions for what was read. So it is handed out, in its place.

The other places are `worker.stream.kafka.open_batches` and `worker.stream.kafka.producer`, with its requests.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

from worker.stream.records import InputRecord, input_records

_LENGTH: Final = struct.Struct(">i")
_LENGTH_AT: Final = 8
_BEFORE_LENGTH_COUNTS: Final = 12
"""A batch begins with its offset (8 bytes) and the length of what follows (4)."""

_varint: Final[Callable[[bytearray, int], tuple[int, int]]] = decode_varint
_ASCII_MAX: Final = 0x7F
_UNREADABLE: Final = ord("?")


def read_as_input_records() -> None:
    """Make all consumers of this process give `InputRecord`s, whatever bytes the names of headers are."""
    fetcher.MemoryRecords = ReadableRecords
    fetcher.PartitionRecords = InputRecords


class Unreadable:
    """Stands behind the last record before a batch that cannot be read. Whoever takes it for a record meets its error.

    offset: where the next record is to be read, which the position stays at.
    """

    def __init__(self, offset: int, error: Exception) -> None:
        self.offset = offset
        self.error = error

    def __getattr__(self, name: str) -> object:
        raise self.error


class InputRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Unpacks a partition's batches."""

    def __init__(self, source: TopicPartition, records: ReadableRecords, *rest: Any) -> None:  # noqa: ANN401 # no types
        records.source = source
        super().__init__(source, records, *rest)
        # One for all calls of iter: the client leaves off where it has enough, and comes back.
        self._handed_out = self._hand_out()

    def __iter__(self) -> Iterator[InputRecord | Unreadable]:
        return self._handed_out

    def _hand_out(self) -> Iterator[InputRecord | Unreadable]:
        try:
            yield from self._records_iterator
        except Exception as error:  # noqa: BLE001 - it is handed out
            yield Unreadable(self.next_fetch_offset, error)

    def _consumer_record(self, _source: TopicPartition, record: InputRecord) -> InputRecord:
        return record


class ReadableRecords:
    """The batches of a fetch answer: stands in for aiokafka's `MemoryRecords`."""

    source: TopicPartition
    """Where they lie. To be set before the first batch is read."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._records: Any = MemoryRecords(data)
        self._start = 0

    def size_in_bytes(self) -> int:
        """Of all batches; 0 where none is whole, which the client would skip a record for."""
        return int(self._records.size_in_bytes()) if self.has_next() else 0

    def has_next(self) -> bool:
        """Whether there is a whole batch more."""
        return bool(self._records.has_next())

    def next_batch(self) -> _ReadableBatch | None:
        """The next batch, None after the last."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        start = self._start
        self._start += _BEFORE_LENGTH_COUNTS + _LENGTH.unpack_from(self._data, start + _LENGTH_AT)[0]
        return _ReadableBatch(batch, self._data[start : self._start], self.source)


class _ReadableBatch:
    """A batch, its bytes to read it again from, and where it lies."""

    def __init__(self, batch: Any, data: memoryview, source: TopicPartition) -> None:  # noqa: ANN401 # no types
        self._batch = batch
        self._data = data
        self._source = source

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 # aiokafka has no types
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[InputRecord]:
        topic, partition = self._source
        try:
            return iter(input_records(topic, partition, self._batch))
        except UnicodeDecodeError:
            return iter(input_records(topic, partition, _repaired(self._data)))

    def __next__(self) -> Any:  # noqa: ANN401 # aiokafka has no types
        return next(self._batch)


def _repaired(data: memoryview) -> Any:  # noqa: ANN401 # aiokafka has no types
    """The batch with names that can be read: by aiokafka's own reader in Python, whose buffer can be written."""
    batch: Any = _DefaultRecordBatchPy(data)
    iter(batch)  # decompresses
    position = batch._pos  # noqa: SLF001 # there is nothing public
    for _ in range(batch._num_records):  # noqa: SLF001
        position = _repair(batch._buffer, position)  # noqa: SLF001
    return batch


def _repair(buffer: bytearray, position: int) -> int:
    """Repair the header names of the record at a position. Gives where the next one is."""
    length, position = _varint(buffer, position)
    end = position + length
    position += 1  # attributes
    for _ in ("timestamp", "offset"):
        _, position = _varint(buffer, position)
    for _ in ("key", "value"):
        position = _behind(buffer, position)
    headers, position = _varint(buffer, position)
    for _ in range(headers):
        length, start = _varint(buffer, position)
        position = start + length
        name = bytes(buffer[start:position])
        try:
            name.decode()
        except UnicodeDecodeError:
            buffer[start:position] = bytes(byte if byte <= _ASCII_MAX else _UNREADABLE for byte in name)
        position = _behind(buffer, position)
    return end


def _behind(buffer: bytearray, position: int) -> int:
    """Behind the bytes whose length stands at a position; -1: there are none."""
    length, position = _varint(buffer, position)
    return position + max(length, 0)
