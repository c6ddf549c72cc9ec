"""Accounts lie where Kafka's Java client puts them."""

from __future__ import annotations

import pytest

from worker.stream.partitioning import partition_of

# The Java client's own examples of murmur2 (UtilsTest), as signed 32-bit numbers.
MURMUR2 = {
    "21": -973932308,
    "foobar": -790332482,
    "a-little-bit-long-string": -985981536,
    "a-little-bit-longer-string": -1486304829,
    "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    "abc": 479470107,
}


@pytest.mark.parametrize(("account_id", "murmur2"), MURMUR2.items())
@pytest.mark.parametrize("partition_count", [1, 3, 12, 2**31 - 1])
def test_an_account_lies_in_the_partition_of_the_java_client(
    account_id: str, murmur2: int, partition_count: int
) -> None:
    assert partition_of(account_id, partition_count) == (murmur2 & 0x7FFFFFFF) % partition_count


def test_an_account_is_hashed_by_its_utf8_bytes() -> None:
    # 3 mod 4 bytes, all of them above 127: where an implementation with signed bytes goes wrong.
    assert [partition_of(account_id, 1000) for account_id in ("магазин", "ü€", "店")] == [
        partition_by_hand(account_id.encode()) % 1000 for account_id in ("магазин", "ü€", "店")
    ]


def partition_by_hand(data: bytes) -> int:
    """murmur2 as published: seed 0x9747b28c, 32-bit arithmetic, the sign bit cleared."""
    m = 0x5BD1E995
    h = 0x9747B28C ^ len(data)
    whole = len(data) - len(data) % 4
    for start in range(0, whole, 4):
        k = int.from_bytes(data[start : start + 4], "little") * m & 0xFFFFFFFF
        k = (k ^ k >> 24) * m & 0xFFFFFFFF
        h = h * m & 0xFFFFFFFF ^ k
    if rest := data[whole:]:
        h = (h ^ int.from_bytes(rest, "little")) * m & 0xFFFFFFFF
    h = (h ^ h >> 13) * m & 0xFFFFFFFF
    return (h ^ h >> 15) & 0x7FFFFFFF
