"""Collecting what `stockfreeze status` shows: from the group, the workers, and the ends of the topics."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from schemas.topics import Topic
from worker.cli.answering import QuestionRouter, inputs_of
from worker.cli.asking import OpenSystem, open_system
from worker.cli.letter_codes import codes_of
from worker.cli.output_events import OutputEvent, last_events
from worker.clock import Clock
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.members import Worker
    from worker.inspection.topic_reader import Record
    from worker.web.answers import PartitionAnswer

SUMMARIES_SHOWN = 5
SUMMARIES_LOOK_BACK = 5_000
LETTERS_READ = 1_000
UNREAD_LOOKED_AT = 100
"""Offsets after the committed one that are searched for the oldest unread record, because some are markers."""


@dataclass(slots=True)
class WorkerLine:
    """A member of the group, and its own report of its health; `ready` None: it does not answer."""

    host: str
    url: str | None
    partitions: list[int]
    ready: bool | None
    problem: str | None


@dataclass(slots=True)
class PartitionLine:
    """A partition. `state` comes from the worker that has it; `no answer`: there is none, or it does not answer."""

    partition: int
    state: str
    reason: str | None
    lag: int
    oldest_unread_seconds: float | None
    orders_open: int
    stock_keys: int
    oversold: int
    dead_letters_pending: int

    @property
    def is_processed(self) -> bool:
        """Whether a worker processes the partition."""
        return self.state == "running"

    @property
    def is_well(self) -> bool:
        """Whether the partition needs no attention."""
        return self.is_processed and not (self.lag or self.oversold or self.dead_letters_pending)


@dataclass(slots=True)
class Survey:
    """The system as it is now, with counts of dead letters by code and of alerts by name."""

    ok: bool
    workers: list[WorkerLine]
    partitions: list[PartitionLine]
    dead_letters: dict[str, int] = field(default_factory=dict)
    alerts: dict[str, int] = field(default_factory=dict)
    summaries: list[OutputEvent] = field(default_factory=list)


async def survey(settings: Settings, clock: Clock = Clock()) -> Survey:
    """Survey the system: ask the workers, and read the topics where none answers."""
    async with open_system(settings) as system:
        answers = QuestionRouter(system)
        workers = await answers.workers()
        health = {worker: await asyncio.to_thread(_health_of, worker) for worker in workers}
        committed = await system.cluster.committed(settings.app_id)
        found = Survey(ok=True, workers=[_worker_line(worker, own) for worker, own in health.items()], partitions=[])
        for partition in range(system.partition_count):
            answer = await _answer(answers, partition)
            lag, oldest = await _lag(system, partition, committed, clock.now_ms())
            own = next((own for worker, own in health.items() if partition in worker.partitions), None)
            found.partitions.append(_partition_line(answer, _state_in(own, partition), lag, oldest))
            _add(found.alerts, answer.counts)
            if answer.dead_letters:
                codes = await codes_of(system, partition, answer.dead_letters)
                _add(found.dead_letters, _counted(answer, codes))
        found.ok = all(line.is_processed for line in found.partitions)
        found.summaries = await last_events(
            system,
            Topic.DRIFT,
            range(system.partition_count),
            lambda event: event.get("type") == "drift.summary",
            count=SUMMARIES_SHOWN,
            look_back=SUMMARIES_LOOK_BACK,
        )
        return found


async def _answer(answers: QuestionRouter, partition: int) -> PartitionAnswer:
    from worker.web.queries import PartitionQuestion

    answer = await answers.of_partition(PartitionQuestion(partition, LETTERS_READ), partition)
    if answer is None:
        raise AssertionError(f"partition {partition} has no answer")  # there always is one
    return answer


def _health_of(worker: Worker) -> dict[str, Any] | None:
    """Get a worker's `/health/ready`; None: it does not answer."""
    from worker.web.remote import NoAnswer, get_page

    try:
        health: dict[str, Any] = json.loads(get_page(worker, "/health/ready")[1])
    except (NoAnswer, ValueError):
        return None
    return health


def _worker_line(worker: Worker, health: dict[str, Any] | None) -> WorkerLine:
    ready = None if health is None else bool(health["ready"])
    problem = "its pages do not answer" if health is None else health["problem"]
    return WorkerLine(worker.host, worker.url, list(worker.partitions), ready, problem)


def _state_in(health: dict[str, Any] | None, partition: int) -> tuple[str, str | None]:
    """Find the state of a partition in a worker's health, and the reason for it."""
    for own in (health or {}).get("partitions", []):
        if own["partition"] == partition:
            return own["state"], own["reason"]
    return "no answer", None


def _partition_line(
    answer: PartitionAnswer, state: tuple[str, str | None], lag: int, oldest: float | None
) -> PartitionLine:
    return PartitionLine(
        partition=answer.partition,
        state=state[0],
        reason=state[1],
        lag=lag,
        oldest_unread_seconds=oldest,
        orders_open=answer.orders_open,
        stock_keys=answer.stock_keys,
        oversold=answer.counts.get("oversold", 0),
        dead_letters_pending=answer.dead_letters_pending,
    )


async def _lag(
    system: OpenSystem, partition: int, committed: dict[tuple[str, int], int], now_ms: int
) -> tuple[int, float | None]:
    """Count the uncommitted offsets of the inputs, and give the age of the oldest record there, in seconds."""
    lag, oldest = 0, None
    for topic in inputs_of(system.settings):
        bounds = await system.reader.bounds(topic, partition)
        start = max(committed.get((topic, partition), 0), bounds.start)
        lag += max(0, bounds.end - start)
        timestamps: list[int] = []

        def take(records: Sequence[Record], timestamps: list[int] = timestamps) -> None:
            timestamps += [record.timestamp for record in records]

        await system.reader.read(
            topic, partition, start=start, end=min(bounds.stable_end, start + UNREAD_LOOKED_AT), take=take
        )
        if timestamps:
            age = max(0, now_ms - timestamps[0]) / 1000
            oldest = age if oldest is None else max(age, oldest)
    return lag, oldest


def _counted(answer: PartitionAnswer, codes: dict[str, str]) -> dict[str, int]:
    """Count the pending dead letters of a partition by code; those that are not listed count as `others`."""
    counts: dict[str, int] = {}
    for id_ in answer.dead_letters:
        _add(counts, {codes.get(id_, "deleted"): 1})
    rest = answer.dead_letters_pending - len(answer.dead_letters)
    return counts | ({"others": rest} if rest else {})


def _add(counts: dict[str, int], more: dict[str, int]) -> None:
    for name, count in more.items():
        counts[name] = counts.get(name, 0) + count
