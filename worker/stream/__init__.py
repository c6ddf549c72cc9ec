"""Exactly-once processing of Kafka partitions: a task per partition, a transaction per batch, the state in a topic.

The engine knows no domain. It hosts a `Processor`, and keeps one promise: every input record takes effect once, with
its outputs, its state and its offset in one transaction, whatever crashes.
"""

from worker.stream.config import Chance, Clock, EngineConfig
from worker.stream.engine import Engine
from worker.stream.errors import NotAssigned
from worker.stream.observer import BatchReport, Observer
from worker.stream.processor import Outcome, Processor, StateVersionError
from worker.stream.records import Headers, InputRecord, OutputRecord
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus, RestoreProgress

__all__ = [
    "BatchReport",
    "Chance",
    "Clock",
    "Engine",
    "EngineConfig",
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
