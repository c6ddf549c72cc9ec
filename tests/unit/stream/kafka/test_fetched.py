"""A record is read whatever bytes its header names are."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c

from worker.stream.kafka.fetched import FetchedPartition, ReadableRecords, Unreadable, read_as_input_records
from worker.stream.records import InputRecord

CRC_AT, COUNTED_FROM, RECORDS_FROM = 17, 21, 61


def batch(names: list[str], *, first: int = 0) -> bytes:
    """A batch as a broker gives it: a record for each header name, and one without headers at the end."""
    builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
    for number, name in enumerate(names):
        builder.append(number, timestamp=7, key=b"k", value=b"v" * 300, headers=[("a", None), (name, b"x"), ("", b"")])
    builder.append(len(names), timestamp=7, key=None, value=None, headers=[])
    data = bytearray(builder.build())
    struct.pack_into(">q", data, 0, first)
    return bytes(data)


def spoilt(data: bytes, name: bytes, by: bytes) -> bytes:
    """The bytes of a name, replaced by as many others."""
    assert len(name) == len(by)
    assert name in data
    changed = bytearray(data.replace(name, by))
    struct.pack_into(">I", changed, CRC_AT, calc_crc32c(bytes(changed[COUNTED_FROM:])))
    return bytes(changed)


def compressed(plain: bytes, codec: int) -> bytes:
    """A batch with its records compressed by gzip, snappy, lz4 or zstd."""
    compress = {1: gzip_encode, 2: snappy_encode, 3: lz4_encode, 4: zstd_encode}[codec]
    changed = bytearray(plain[:RECORDS_FROM] + compress(plain[RECORDS_FROM:]))
    struct.pack_into(">i", changed, 8, len(changed) - 12)
    struct.pack_into(">h", changed, 21, codec)
    struct.pack_into(">I", changed, CRC_AT, calc_crc32c(bytes(changed[COUNTED_FROM:])))
    return bytes(changed)


def read(data: bytes) -> list[InputRecord]:
    """What a consumer gets of a fetch answer."""
    return list(unpacked(FetchedPartition, ReadableRecords(data)))


def read_by_the_client(data: bytes) -> list[Any]:
    """The same by aiokafka alone."""
    return list(unpacked(FetchedPartition.__base__, MemoryRecords(data)))


def unpacked(unpack: Any, batches: object) -> Any:  # noqa: ANN401
    """What a consumer makes of batches."""
    check_crcs = True
    return unpack(TopicPartition("t", 3), batches, [], 0, None, None, check_crcs, 1)


def fields_of(record: Any) -> tuple[object, ...]:  # noqa: ANN401
    return tuple(
        getattr(record, name) for name in ("topic", "partition", "offset", "timestamp", "key", "value", "headers")
    )


def names_of(record: Any) -> list[str]:  # noqa: ANN401
    return [name for name, _ in record.headers]


def test_what_is_not_utf8_of_a_name_is_replaced_and_nothing_else() -> None:
    first = spoilt(batch(["fine", "ABCDE", "ü"]), b"ABCDE", b"n\xe4m\xff\xc3")
    records = read(first + batch(["later"], first=4))
    assert [record.offset for record in records] == [0, 1, 2, 3, 4, 5]
    assert [names_of(record) for record in records[:5]] == [
        ["a", "fine", ""],
        ["a", "n?m??", ""],
        ["a", "ü", ""],
        [],
        ["a", "later", ""],
    ]
    assert records[1].headers == (("a", None), ("n?m??", b"x"), ("", b""))
    assert {(record.key, record.value) for record in records} == {(b"k", b"v" * 300), (None, None)}


@pytest.mark.parametrize("codec", [1, 2, 3, 4])
def test_the_records_of_a_compressed_batch_are_read_too(codec: int) -> None:
    plain = spoilt(batch(["fine", "ABCDE"]), b"ABCDE", b"n\xe4m\xff\xc3")
    records = read(compressed(plain, codec))
    assert [names_of(record) for record in records] == [["a", "fine", ""], ["a", "n?m??", ""], []]


def test_what_can_be_read_is_read_as_by_the_client_itself() -> None:
    data = batch(["fine", "ü"]) + batch(["later"], first=3)
    assert [fields_of(record) for record in read(data)] == [fields_of(record) for record in read_by_the_client(data)]


def test_the_client_still_makes_its_records_where_they_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MemoryRecords", "PartitionRecords"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    read_as_input_records()
    assert {"MemoryRecords", "PartitionRecords"} <= {*fetcher.Fetcher._proc_fetch_request.__code__.co_names}
    assert (fetcher.MemoryRecords, fetcher.PartitionRecords) == (ReadableRecords, FetchedPartition)


def test_a_corrupt_batch_is_returned_in_its_place_and_ends_the_read() -> None:
    spoilt_batch = bytearray(batch(["fine"], first=3))
    spoilt_batch[-1] ^= 1
    unpacking = unpacked(
        FetchedPartition, ReadableRecords(batch(["a", "b"]) + bytes(spoilt_batch) + batch([], first=5))
    )
    *records, unreadable = unpacking
    assert [record.offset for record in records] == [0, 1, 2]
    assert (type(unreadable), unreadable.offset, unpacking.next_fetch_offset) == (Unreadable, 3, 3)
    assert list(unpacking) == []
    with pytest.raises(CorruptRecordException):
        _ = unreadable.value


def test_who_leaves_off_goes_on_where_he_left_off() -> None:
    unpacking = unpacked(FetchedPartition, ReadableRecords(batch(["a", "b"]) + batch(["c"], first=3)))
    first = next(iter(unpacking))
    assert [first.offset, *(record.offset for record in unpacking)] == [0, 1, 2, 3, 4]


def test_a_batch_that_was_cut_is_nothing_and_no_record_is_skipped_for_it() -> None:
    whole = batch(["a"])
    assert ReadableRecords(whole).size_in_bytes() == len(whole)
    cut = ReadableRecords(whole[:-1])
    assert (cut.has_next(), cut.size_in_bytes()) == (False, 0)
