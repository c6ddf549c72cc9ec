"""Exactly-once processing of Kafka partitions: a task per partition, a transaction per batch, the state in a topic.

The engine knows no domain. It hosts a `Processor`. Every input record takes effect exactly once, because its outputs,
its state and its offset are committed in one transaction.
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
    """Import the engine at its first use. Commands need only settings and errors, and start sooner without it."""
    if name == "Engine":
        from worker.stream.engine import Engine  # noqa: PLC0415 - see above

        return Engine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
