"""Long work in steps: between two of them others may go on, who do not look at what is half done.

A worker is one event loop. What one record brings about may be a hundred thousand keys, so whatever has no small bound
is done a slice at a time, and whoever called decides who else goes on in between.
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
