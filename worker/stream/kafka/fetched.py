"""How the bytes of a fetch answer become records, below aiokafka's public interface.

It differs from aiokafka in three ways:

- Header names need not be UTF-8: Kafka accepts any bytes from any client, but aiokafka fails at them. The failure
  would lose the whole fetch answer and repeat, so one such record would stop all partitions of the consumer. Here, each
  byte of a name that is not ASCII becomes `?`, if the name is not UTF-8.
- Records are created as `InputRecord`, a batch at a time, instead of as the client's class and then again.
- A batch that cannot be read (its checksum is wrong, or it does not decompress) does not fail the whole fetch. aiokafka
  would raise after it took out the records of other partitions, and continue after them, so they would be lost. Here,
  an `Unreadable` takes the place of the batch.

The other modules below the public interface are `open_batches` and `producer`.
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
    """Make all consumers of this process return `InputRecord`s. It patches aiokafka for the whole process."""
    fetcher.MemoryRecords = ReadableRecords
    fetcher.PartitionRecords = FetchedPartition


class Unreadable:
    """Stands for a batch that cannot be read, after the last record before it. Use as a record raises its error.

    `offset` is the next offset to read. The consumer's position stays there.
    """

    def __init__(self, offset: int, error: Exception) -> None:
        self.offset = offset
        self.error = error

    def __getattr__(self, name: str) -> object:
        raise self.error


class FetchedPartition(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka has no types
    """Unpacks a partition's batches."""

    def __init__(self, source: TopicPartition, records: ReadableRecords, *rest: Any) -> None:  # noqa: ANN401 # no types
        records.source = source
        super().__init__(source, records, *rest)
        # One iterator for all calls of iter, because the client stops when it has enough, and continues later.
        self._handed_out = self._hand_out()

    def __iter__(self) -> Iterator[InputRecord | Unreadable]:
        return self._handed_out

    def _hand_out(self) -> Iterator[InputRecord | Unreadable]:
        try:
            yield from self._records_iterator
        except Exception as error:  # noqa: BLE001 - any error is passed on in place of the batch
            yield Unreadable(self.next_fetch_offset, error)

    def _consumer_record(self, _source: TopicPartition, record: InputRecord) -> InputRecord:
        return record


class ReadableRecords:
    """The batches of a fetch answer. It replaces aiokafka's `MemoryRecords`."""

    source: TopicPartition
    """The partition that the batches lie in. It must be set before the first batch is read."""

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._records: Any = MemoryRecords(data)
        self._start = 0

    def size_in_bytes(self) -> int:
        """The size of all batches. It is 0 if none is complete, because the client would skip a record otherwise."""
        return int(self._records.size_in_bytes()) if self.has_next() else 0

    def has_next(self) -> bool:
        """Whether there is another complete batch."""
        return bool(self._records.has_next())

    def next_batch(self) -> _ReadableBatch | None:
        """The next batch, None after the last one."""
        batch = self._records.next_batch()
        if batch is None:
            return None
        start = self._start
        self._start += _BEFORE_LENGTH_COUNTS + _LENGTH.unpack_from(self._data, start + _LENGTH_AT)[0]
        return _ReadableBatch(batch, self._data[start : self._start], self.source)


class _ReadableBatch:
    """A batch, its bytes to read it from again, and the partition it lies in."""

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
    """Return the batch with readable header names. aiokafka's reader in Python has a buffer that can be changed."""
    batch: Any = _DefaultRecordBatchPy(data)
    iter(batch)  # decompresses
    position = batch._pos  # noqa: SLF001 # there is nothing public
    for _ in range(batch._num_records):  # noqa: SLF001
        position = _repair(batch._buffer, position)  # noqa: SLF001
    return batch


def _repair(buffer: bytearray, position: int) -> int:
    """Repair the header names of the record at a position. Return the position of the next record."""
    length, position = _varint(buffer, position)
    end = position + length
    position += 1  # attributes
    for _ in ("timestamp", "offset"):
        _, position = _varint(buffer, position)
    for _ in ("key", "value"):
        position = _position_after(buffer, position)
    headers, position = _varint(buffer, position)
    for _ in range(headers):
        length, start = _varint(buffer, position)
        position = start + length
        name = bytes(buffer[start:position])
        try:
            name.decode()
        except UnicodeDecodeError:
            buffer[start:position] = bytes(byte if byte <= _ASCII_MAX else _UNREADABLE for byte in name)
        position = _position_after(buffer, position)
    return end


def _position_after(buffer: bytearray, position: int) -> int:
    """Return the position after the bytes whose length stands at `position`; a length of -1 means no bytes."""
    length, position = _varint(buffer, position)
    return position + max(length, 0)
