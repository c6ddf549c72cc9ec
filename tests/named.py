"""Outputs by name: a processor hands over plain tuples, tests read their fields."""

from __future__ import annotations

from collections.abc import Iterable

from worker.stream.records import Output, OutputRecord


def named(outputs: Iterable[Output]) -> list[OutputRecord]:
    """The same records, with named fields."""
    return [OutputRecord(*output) for output in outputs]
