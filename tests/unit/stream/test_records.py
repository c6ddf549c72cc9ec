"""Records of the engine."""

from __future__ import annotations

import pytest

from worker.stream import InputRecord


@pytest.mark.parametrize(
    ("key", "value", "size_bytes"), [(b"678", b"12345", 8), (b"", b"", 0), (None, b"12345", 5), (b"678", None, 3)]
)
def test_the_size_of_a_record_is_that_of_its_key_and_value(
    key: bytes | None, value: bytes | None, size_bytes: int
) -> None:
    assert InputRecord("t", 0, 0, 0, key, value, [("name", b"not counted")]).size_bytes == size_bytes
