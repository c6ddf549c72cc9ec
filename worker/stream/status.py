"""The engine's status for health, metrics and logs: the state of each partition, and whether the worker is ready.

`PartitionState` is also the state machine of `worker.stream.task.PartitionTask`, which changes it through
`PARTITION_TRANSITIONS`. `EngineState` is that of `worker.stream.engine.Engine`, with `ENGINE_TRANSITIONS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final


class PartitionState(StrEnum):
    """What the task of a partition is doing.

    ::

        STARTING ──► RESTORING ──► RUNNING ┄┄ reported as STALLED
           ▲  │          │            │
           │  └──────────┴────────────┤ the broker failed, or the producer was fenced
           │                          ▼
           └───────────────────── BACKING_OFF

        STARTING, RESTORING, RUNNING, BACKING_OFF ──► HALTED   only a restart of the process helps
        STARTING, RESTORING, RUNNING, BACKING_OFF ──► STOPPED  revoked, or the engine stops

    When a transaction fails, the task enters BACKING_OFF immediately, also if it is HALTED or STOPPED soon after.
    From that moment on nobody may read the processor, because it holds what was not committed.
    """

    STARTING = "starting"
    """The task fences the partition's earlier producers."""
    RESTORING = "restoring"
    """The task reads the state topic."""
    RUNNING = "running"
    """The task processes records."""
    STALLED = "stalled"
    """The task runs, has records to process, and commits none. Only reported: the task itself stays RUNNING."""
    BACKING_OFF = "backing_off"
    """The task failed, and starts again after a pause."""
    HALTED = "halted"
    """The task ended, and does not start again in this process: an operator must remove the cause."""
    STOPPED = "stopped"
    """The task ended because the partition was revoked or the engine stops."""


_ENDS: Final = frozenset({PartitionState.HALTED, PartitionState.STOPPED})

PARTITION_TRANSITIONS: Final[Mapping[PartitionState, frozenset[PartitionState]]] = {
    PartitionState.STARTING: frozenset({PartitionState.RESTORING, PartitionState.BACKING_OFF}) | _ENDS,
    PartitionState.RESTORING: frozenset({PartitionState.RUNNING, PartitionState.BACKING_OFF}) | _ENDS,
    PartitionState.RUNNING: frozenset({PartitionState.BACKING_OFF}) | _ENDS,
    PartitionState.STALLED: frozenset(),
    PartitionState.BACKING_OFF: frozenset({PartitionState.STARTING}) | _ENDS,
    PartitionState.HALTED: frozenset(),
    PartitionState.STOPPED: frozenset(),
}
"""By state: the states that a task may change to. See the drawing at `PartitionState`."""


@dataclass(frozen=True)
class RestoreProgress:
    """How far a restore has come.

    It counts the records read so far. It is complete once `offset` is greater than `target_offset`.
    """

    records: int
    offset: int
    target_offset: int


@dataclass(frozen=True)
class PartitionStatus:
    """The status of one partition of this worker."""

    state: PartitionState
    reason: str | None = None
    """Why the partition is stalled, backing off or halted, as a sentence; None in other states."""
    lag: Mapping[str, int] = field(default_factory=dict)
    """Records not yet processed, by input topic. Unless the partition runs, offsets are counted instead, so transaction
    markers and aborted records are included."""
    restore: RestoreProgress | None = None
    """The latest restore, finished or not."""


class EngineState(StrEnum):
    """Where an engine is, from its making to its end.

        NEW ──► CHECKING ──► IN_SESSION ──► LEAVING
         │        │    ▲                       │
         │        ▼    │                       │
         │      BACKING_OFF ◄──────────────────┘
         │
         │      from these four, not NEW: ──► STOPPING
         │                                      │
         └────────────────► ENDED ◄─────────────┘

    A defect of the engine itself leads from CHECKING, LEAVING and BACKING_OFF straight to ENDED.
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
    """The status of the engine as a whole."""

    joined: bool
    """Whether the consumer group has assigned this worker its partitions, possibly none."""
    problem: str | None
    """What keeps the whole worker from processing, as a sentence; None if nothing does."""
    partitions: Mapping[int, PartitionStatus]
    state: EngineState = EngineState.IN_SESSION

    @property
    def ready(self) -> bool:
        """Whether every partition of this worker is being processed, and none is stalled."""
        running = all(partition.state is PartitionState.RUNNING for partition in self.partitions.values())
        return self.joined and self.problem is None and running
