"""Snapshots of a warehouse: which parts of one came, what they found, and which snapshot makes another forgotten.

A snapshot is one count of a whole warehouse, sent in parts. Contract section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.state import PartState


@dataclass(slots=True)
class Snapshot:
    """A remembered snapshot of a warehouse. Sets hold SKUs; `received` has the hash of each part's content."""

    snapshot_id: str
    as_of: int
    parts: int
    absent_zero: bool
    received: dict[int, bytes] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    checked: set[str] = field(default_factory=set)
    drifted: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)

    @property
    def complete(self) -> bool:
        """Whether all its parts are in."""
        return len(self.received) == self.parts

    @property
    def order(self) -> tuple[int, str]:
        """What snapshots of one origin and warehouse are compared by: a complete one makes the lesser forgotten."""
        return self.as_of, self.snapshot_id

    def add(self, part: int, state: PartState) -> None:
        """Add what a part found, when it is taken and when it is restored."""
        self.received[part] = state.content
        self.seen.update(state.skus)
        self.checked.update(state.skus[i] for i in state.checked)
        self.drifted.update(state.skus[i] for i in state.drifted)
        self.unknown.update(state.skus[i] for i in state.unknown)


def is_forgotten(remembered: Mapping[str, Snapshot], order: tuple[int, str]) -> bool:
    """Whether a snapshot is forgotten: among those `remembered` of its origin and warehouse, a greater is complete."""
    return any(other.complete and other.order > order for other in remembered.values())


def superseded_by(remembered: Mapping[str, Snapshot], snapshot: Snapshot) -> list[Snapshot]:
    """The snapshots, of those `remembered` of its origin and warehouse, that a complete one makes forgotten."""
    return [other for other in remembered.values() if other.order < snapshot.order]
