"""Health: whether the process lives, and whether it does its work, with a sentence for whatever keeps it from that.

Alive is a process whose event loop answers. Ready is a worker of which every role is. A role is ready once it has
joined its group and processes every partition that the group gave it (none is ready, too). It is not while a partition
starts or restores, nor when one has stopped or stands still with lag.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from worker.stream.status import EngineState, EngineStatus, PartitionState, PartitionStatus


def is_ready(status: EngineStatus | None) -> bool:
    """Whether a role does its work; None is an engine that does not run yet."""
    return status is not None and status.ready


def all_ready(roles: Mapping[str, EngineStatus | None]) -> bool:
    """Whether every role does its work."""
    return all(map(is_ready, roles.values()))


def readiness(roles: Mapping[str, EngineStatus | None]) -> dict[str, Any]:
    """Whether the worker is ready, what keeps it from that, and how each role and partition is, as JSON.

    `roles` are the statuses of the roles by name. With several roles, each problem begins with its role.
    """
    problems = {role: problem for role, status in roles.items() if (problem := _problem(status)) is not None}
    sentences = list(problems.values()) if len(roles) == 1 else [": ".join(named) for named in problems.items()]
    return {
        "ready": all_ready(roles),
        "problem": "; ".join(sentences) or None,
        "roles": [
            {
                "role": role,
                "ready": is_ready(status),
                "state": (EngineState.NEW if status is None else status.state).value,
                "problem": problems.get(role),
            }
            for role, status in roles.items()
        ],
        "partitions": [
            _partition(role, number, status.partitions[number])
            for role, status in roles.items()
            if status is not None
            for number in sorted(status.partitions)
        ],
    }


def _problem(status: EngineStatus | None) -> str | None:
    if status is None:
        return "the engine is being started"
    if status.problem is None and not status.joined:
        return "the worker is joining its consumer group"
    return status.problem


def _partition(role: str, number: int, status: PartitionStatus) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "role": role,
        "partition": number,
        "state": status.state.value,
        "reason": status.reason,
        "lag": dict(status.lag),
    }
    if status.state is PartitionState.RESTORING and status.restore is not None:
        restore = status.restore
        shown["restore"] = {
            "records": restore.records,
            "offset": restore.offset,
            "target_offset": restore.target_offset,
        }
    return shown
