"""What the engine reports of itself: its state, that of each partition, and whether it is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class PartitionState(StrEnum):
    """Where a partition's task is."""

    STARTING = "starting"
    """Fences its predecessor."""
    RESTORING = "restoring"
    """Reads its state."""
    RUNNING = "running"
    STALLED = "stalled"
    """Running, but stands still although there is something to process."""
    BACKING_OFF = "backing_off"
    """The broker failed it; it starts again soon."""
    HALTED = "halted"
    """Stopped, and stays so until the process is restarted: somebody has to look."""
    STOPPED = "stopped"
    """Taken away, or the engine stops."""


@dataclass(frozen=True)
class RestoreProgress:
    """How far a restore has come: records read, the offset reached, and the offset behind which it is complete."""

    records: int
    offset: int
    target_offset: int


@dataclass(frozen=True)
class PartitionStatus:
    """One partition of this worker."""

    state: PartitionState
    reason: str | None = None
    """A sentence, for every state that needs one."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """Records not yet processed, by input topic. Of a halted partition: offsets, so markers and aborted ones too."""
    restore: RestoreProgress | None = None
    """The last restore, or the one going on."""


class EngineState(StrEnum):
    """Where an engine is, from its making to its end.

        NEW ──► CHECKING ──► IN_SESSION ──► LEAVING
         │        │    ▲                       │
         │        ▼    │                       │
         │      BACKING_OFF ◄──────────────────┘
         │
         │      from each of these four: ──► STOPPING
         │                                      │
         └────────────────► ENDED ◄─────────────┘

    A defect of the engine itself ends it from CHECKING, LEAVING and BACKING_OFF, too.
    """

    NEW = "new"
    """Made, and not yet run."""
    CHECKING = "checking"
    """Connects, and looks at the topics before it joins the group."""
    IN_SESSION = "in_session"
    """Joins the group, or is in it: `EngineStatus.joined` is the difference."""
    LEAVING = "leaving"
    """The session failed: its partitions stop, and the group is left."""
    BACKING_OFF = "backing_off"
    """Waits before the next attempt; `EngineStatus.problem` is why."""
    STOPPING = "stopping"
    """It was asked to stop: batches in hand end or are aborted, and the group is left."""
    ENDED = "ended"
    """It runs no more, and never again."""


ENGINE_TRANSITIONS: Final[Mapping[EngineState, frozenset[EngineState]]] = {
    EngineState.NEW: frozenset({EngineState.CHECKING, EngineState.ENDED}),
    EngineState.CHECKING: frozenset(
        {EngineState.IN_SESSION, EngineState.BACKING_OFF, EngineState.STOPPING, EngineState.ENDED}
    ),
    EngineState.IN_SESSION: frozenset({EngineState.LEAVING, EngineState.STOPPING}),
    EngineState.LEAVING: frozenset({EngineState.BACKING_OFF, EngineState.STOPPING, EngineState.ENDED}),
    EngineState.BACKING_OFF: frozenset({EngineState.CHECKING, EngineState.STOPPING, EngineState.ENDED}),
    EngineState.STOPPING: frozenset({EngineState.ENDED}),
    EngineState.ENDED: frozenset(),
}
"""The drawing above, as a table: the engine enters no state that is not in it."""


@dataclass(frozen=True)
class EngineStatus:
    """The engine as a whole."""

    joined: bool
    """Whether the group has given this engine its partitions (which may be none)."""
    problem: str | None
    """A sentence on what keeps the whole engine from its work."""
    partitions: Mapping[int, PartitionStatus]
    state: EngineState = EngineState.IN_SESSION

    @property
    def ready(self) -> bool:
        """Whether every partition of this worker is being processed, and none stands still with lag."""
        running = all(partition.state is PartitionState.RUNNING for partition in self.partitions.values())
        return self.joined and self.problem is None and running
