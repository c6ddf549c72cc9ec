"""Health: whether the process lives, and whether it does its work, with a sentence for whatever keeps it from that.

Alive is a process whose event loop answers. Ready is a worker that has joined its group and processes every partition
that the group gave it (none is ready too): not while one is starting or restoring, nor when one has stopped or stands
still with lag.
"""

from __future__ import annotations

from typing import Any

from worker.stream.status import EngineStatus, PartitionState, PartitionStatus


def is_ready(status: EngineStatus | None) -> bool:
    """Say whether the worker does its work; None is an engine that is not running yet."""
    return status is not None and status.ready


def readiness(status: EngineStatus | None) -> dict[str, Any]:
    """Tell whether the worker is ready, what keeps all of it from that, and how each of its partitions is, as JSON."""
    if status is None:
        return {"ready": False, "problem": "the engine is being started", "partitions": []}
    problem = status.problem
    if problem is None and not status.joined:
        problem = "the worker is joining its consumer group"
    partitions = [_partition(number, status.partitions[number]) for number in sorted(status.partitions)]
    return {"ready": is_ready(status), "problem": problem, "partitions": partitions}


def _partition(number: int, status: PartitionStatus) -> dict[str, Any]:
    told: dict[str, Any] = {
        "partition": number,
        "state": status.state.value,
        "reason": status.reason,
        "lag": dict(status.lag),
    }
    if status.state is PartitionState.RESTORING and status.restore is not None:
        restore = status.restore
        told["restore"] = {
            "records": restore.records,
            "offset": restore.offset,
            "target_offset": restore.target_offset,
        }
    return told
