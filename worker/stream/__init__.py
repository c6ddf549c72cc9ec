"""Exactly-once processing of Kafka partitions: a task per partition, a transaction per batch, the state in a topic.

The engine knows no domain. It hosts a `Processor`, and keeps one promise: every input record takes effect once, with
its outputs, its state and its offset in one transaction, whatever crashes.
"""

from typing import TYPE_CHECKING

from worker.stream.config import EngineConfig
from worker.stream.errors import NotAssigned
from worker.stream.observer import BatchReport, Observer
from worker.stream.processor import Outcome, Processor, StateVersionError
from worker.stream.records import Headers, InputRecord, OutputRecord
from worker.stream.status import EngineState, EngineStatus, PartitionState, PartitionStatus, RestoreProgress

if TYPE_CHECKING:
    from worker.stream.engine import Engine

__all__ = [
    "BatchReport",
    "Engine",
    "EngineConfig",
    "EngineState",
    "EngineStatus",
    "Headers",
    "InputRecord",
    "NotAssigned",
    "Observer",
    "Outcome",
    "OutputRecord",
    "PartitionState",
    "PartitionStatus",
    "Processor",
    "RestoreProgress",
    "StateVersionError",
]


def __getattr__(name: str) -> object:
    """Import the engine when it is first asked for: commands need settings and errors, and start sooner without it."""
    if name == "Engine":
        from worker.stream.engine import Engine  # noqa: PLC0415 - see above

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
