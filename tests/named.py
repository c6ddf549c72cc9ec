"""Outputs by name: a processor hands over plain tuples, a few at a time, tests read their fields."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from worker.stream.records import Output, OutputRecord


def named(parts: Iterable[Sequence[Output]]) -> list[OutputRecord]:
    """The same records in one list, with named fields."""
    return [OutputRecord(*output) for outputs in parts for output in outputs]
