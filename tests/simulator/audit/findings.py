"""What can be found wrong: the kinds, and one finding."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What went wrong, by what it would mean to a reader of the outputs."""

    DOUBLED = "applied twice"
    LOST = "lost"
    TORN = "torn transaction"
    OUTPUT = "wrong output"
    BOOKS = "books do not balance"
    COUNTS = "offsets do not add up"
    AHEAD = "a count ran ahead"
    GROUP = "group offsets disagree"
    STATE = "wrong state"
    HALTED = "halted without cause"
    BREAKER = "the breaker is wrong"
    CRASHED = "the engine failed"
    STUCK = "stands still"


class Finding(NamedTuple):
    """`at_ms` is virtual time since the beginning; `partition` None: of no single one."""

    kind: Kind
    partition: int | None
    message: str
    at_ms: int = 0

    def __str__(self) -> str:
        where = "" if self.partition is None else f" in partition {self.partition}"
        return f"{self.kind}{where} at {self.at_ms / 1000:.3f} s: {self.message}"


class Wrong(Exception):
    """Raised inside the auditor where something does not hold; it becomes a finding."""

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
