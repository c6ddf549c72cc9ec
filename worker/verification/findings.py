"""The findings of a verification: all are counted, and the first of each kind are kept with their details."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXAMPLES_MAX: Final = 20
"""Findings of one kind that are kept with their details, per partition."""


class Check(StrEnum):
    """The check that a finding belongs to."""

    BALANCE = "balance"
    """A movement's balance does not follow from the movement before: one between them is lost, doubled or altered."""
    REPEATED = "repeated"
    """An event's movements stand in the journal a second time, or not in the order of their events."""
    STOCK = "stock"
    """Journal, level, state and open units of a stock key are not equal: invariants 2 and 3."""
    STATUS = "status"
    """An order's status record differs from the state, is missing, or has an order that the state does not know."""
    ACCOUNTING = "accounting"
    """Outcomes and gaps do not add up to the offsets consumed (invariant 7), or the group's offsets differ."""
    TOPICS = "topics"
    """State and topics do not belong together, because a topic was made anew or lost records."""
    DEAD_LETTERS = "dead_letters"
    """There are more or fewer dead letters than records that ended as one."""
    PLACEMENT = "placement"
    """A record lies in a partition that is not its account's, or under a key that is not its own."""
    UNKNOWN_SOURCE = "unknown_source"
    """An output names a source that the state has not consumed, or none at all."""
    DELETED = "deleted"
    """Records that are kept for ever were deleted from the beginning of a topic."""
    FORMAT = "format"
    """A record cannot be read, or was written for another partition count or by a newer version."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference or defect that a check found.

    `subject`: the stock key, order or topic it is about. `place`: topic/partition/offset, where there is one.
    """

    check: Check
    partition: int
    subject: str
    message: str
    place: str | None = None


class FindingLog:
    """The findings of one partition."""

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.counts: Counter[Check] = Counter()
        self.examples: list[Finding] = []

    def add(self, check: Check, subject: str, message: str, place: str | None = None) -> None:
        """Count a finding, and keep it if it is among the first of its kind."""
        self.counts[check] += 1
        if self.counts[check] <= EXAMPLES_MAX:
            self.examples.append(Finding(check, self.partition, subject, message, place))

    def extend(self, other: FindingLog) -> None:
        """Take over what another check of the same partition found."""
        self.counts += other.counts
        self.examples += other.examples

    def __bool__(self) -> bool:
        return bool(self.counts)


def text_of(key: bytes | None) -> str:
    """Return a record's key as readable text."""
    return "null" if key is None else key.decode(errors="backslashreplace")


def merged(parts: Iterable[FindingLog]) -> tuple[dict[str, int], list[Finding]]:
    """Merge findings: the counts by kind, and all kept findings in the order of the kinds."""
    kept = list(parts)
    total: Counter[Check] = Counter()
    for part in kept:
        total += part.counts
    return {check.value: total[check] for check in Check if total[check]}, list(_in_order(kept))


def _in_order(parts: list[FindingLog]) -> Iterator[Finding]:
    for check in Check:
        for part in parts:
            yield from (finding for finding in part.examples if finding.check is check)
