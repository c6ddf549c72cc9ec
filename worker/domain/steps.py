"""Long work in steps, between which other partitions may go on. The caller sees to it that nobody reads half of it.

A worker is one event loop, and one record may touch a hundred thousand keys. So work without a small bound is done a
slice at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_slices(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """All items in their order, `size` at a time, the last slice perhaps fewer."""
    rest = iter(items)
    while items_of_step := list(islice(rest, size)):
        yield items_of_step
