"""The bytes of record batches (message format 2): read, numbered, marked and thinned out as a broker does it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c

HEADER = struct.Struct(">qiibIhiqqqhii")
MAGIC = 2
TRANSACTIONAL = 0x10
CONTROL = 0x20
ATTRIBUTES_AT = 21
CRC_AT = 17
LAST_OFFSET_DELTA_AT = 23
MARKER_KEY = struct.Struct(">hh")
MARKER_VALUE = struct.Struct(">hi")

Record = Any
"""A record of aiokafka: offset, timestamp, key, value, headers."""


class Batch:
    """One batch in a log."""

    __slots__ = ("base_offset", "committed", "control", "data", "epoch", "last_offset", "producer_id", "transactional")

    def __init__(self, data: bytes, base_offset: int) -> None:
        fields = HEADER.unpack_from(data)
        attributes = fields[5]
        self.base_offset = base_offset
        self.last_offset: int = base_offset + fields[6]
        self.producer_id: int = fields[9]
        self.epoch: int = fields[10]
        self.transactional = bool(attributes & TRANSACTIONAL)
        self.control = bool(attributes & CONTROL)
        self.committed: bool | None = None if self.transactional else True
        """None: its transaction is open."""
        self.data = struct.pack(">q", base_offset) + data[8:]

    def records(self) -> Iterator[Record]:
        """Its records, with offset, timestamp, key, value and headers."""
        return iter(DefaultRecordBatch(self.data))

    def thinned(self, keep: Callable[[Record], bool]) -> Batch | None:
        """What the log cleaner leaves of it: its place and its producer stay the same. None: nothing is left."""
        records = list(self.records())
        kept = [record for record in records if keep(record)]
        if not kept:
            return None
        if len(kept) == len(records):
            return self
        data = _built(
            [(r.offset - self.base_offset, r.timestamp, r.key, r.value, list(r.headers)) for r in kept],
            transactional=self.transactional,
            producer=sequence_of(self.data),
            last_offset_delta=self.last_offset - self.base_offset,
        )
        batch = Batch(data, self.base_offset)
        batch.committed = self.committed
        return batch


class Sequence(NamedTuple):
    """The producer of a batch, and where the batch is in its order."""

    producer_id: int
    epoch: int
    base: int
    last: int


def sequence_of(data: bytes) -> Sequence:
    """The producer and the sequence numbers of a batch; the id -1: neither idempotent nor transactional."""
    fields = HEADER.unpack_from(data)
    return Sequence(fields[9], fields[10], fields[11], fields[11] + fields[6])


NOBODY = Sequence(-1, -1, -1, -1)
"""A producer without an id."""


def batch_of(
    key: bytes | None,
    value: bytes | None,
    headers: list[tuple[str, bytes | None]],
    timestamp_ms: int,
    producer: Sequence = NOBODY,
) -> bytes:
    """A batch of one record; in a transaction, if it has a producer."""
    return _built(
        [(0, timestamp_ms, key, value, headers)],
        transactional=producer is not NOBODY,
        producer=producer,
        last_offset_delta=0,
    )


def marker(producer_id: int, epoch: int, *, commit: bool, timestamp_ms: int) -> bytes:
    """The control batch that ends a transaction in a partition."""
    data = bytearray(
        _built(
            [(0, timestamp_ms, MARKER_KEY.pack(0, int(commit)), MARKER_VALUE.pack(0, 0), [])],
            transactional=True,
            producer=Sequence(producer_id, epoch, -1, -1),
            last_offset_delta=0,
        )
    )
    struct.pack_into(">h", data, ATTRIBUTES_AT, TRANSACTIONAL | CONTROL)
    return _sealed(data)


_Content = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]


def _built(records: list[_Content], *, transactional: bool, producer: Sequence, last_offset_delta: int) -> bytes:
    builder = DefaultRecordBatchBuilder(
        magic=MAGIC,
        compression_type=0,
        is_transactional=int(transactional),
        producer_id=producer.producer_id,
        producer_epoch=producer.epoch,
        base_sequence=producer.base,
        batch_size=1 << 30,
    )
    for offset, timestamp, key, value, headers in records:
        builder.append(offset, timestamp, key, value, headers)
    data = bytearray(builder.build())
    struct.pack_into(">i", data, LAST_OFFSET_DELTA_AT, last_offset_delta)
    return _sealed(data)


def _sealed(data: bytearray) -> bytes:
    checksum = calc_crc32c(memoryview(data)[ATTRIBUTES_AT:])
    struct.pack_into(">I", data, CRC_AT, checksum)
    return bytes(data)
