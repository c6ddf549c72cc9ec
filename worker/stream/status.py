"""What the engine says of itself: the state of each partition, and whether the worker is ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


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


@dataclass(frozen=True)
class EngineStatus:
    """The engine as a whole."""

    joined: bool
    """Whether the group has given this worker its partitions (which may be none)."""
    problem: str | None
    """A sentence on what keeps the whole worker from its work."""
    partitions: Mapping[int, PartitionStatus]

    @property
    def ready(self) -> bool:
        """Whether every partition of this worker is being processed, and none stands still with lag."""
        running = all(partition.state is PartitionState.RUNNING for partition in self.partitions.values())
        return self.joined and self.problem is None and running
