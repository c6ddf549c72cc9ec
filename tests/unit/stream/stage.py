"""A partition's task without a broker. The test sets its state, its records, and the outcome of its commits.

The task, its merge and its batches are the real ones; doubles are the producer, the reader of the state, and the feed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import pytest

from tests.unit.stream.fakes import CONFIG, Obedient, Time, surroundings_at
from worker.clock import Chance
from worker.stream import Processor, task
from worker.stream.feed import Feed, Inlet
from worker.stream.merge import Reading
from worker.stream.observer import SilentObserver
from worker.stream.start import partition_start
from worker.stream.start.guards import Bounds
from worker.stream.start.restore import Restored
from worker.stream.state.positions import NO_STREAM_TIME, Checkpoint, JournalEnd, LastRecord, begun_at
from worker.stream.task import PartitionTask

PARTITIONS = 8
PLAY_SECONDS_MAX = 5
"""Nothing here waits for anything: a task that has not come so far by then goes round in circles."""

T = TypeVar("T")


@dataclass(frozen=True)
class _Impatience(Chance):
    """Spreads no retry, waits for none, and keeps how long each would have been."""

    waits_ms: list[int] = field(default_factory=list)

    def spread(self, wait_ms: int) -> float:
        self.waits_ms.append(wait_ms)
        return 0.0


class _Eye(SilentObserver):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.causes: list[str] = []
        self.reasons: list[str | None] = []
        """What the status said when the task began to start again, each time."""
        self.halted: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def task_restarted(self, partition: int, cause: str) -> None:
        assert partition == 3
        self.causes.append(cause)
        self.reasons.append(self._stage.task.status().reason)

    def partition_halted(self, partition: int, reason: str) -> None:
        assert partition == 3
        self.halted.set_result(reason)


class _Feed(Feed):
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._inlet: Inlet | None = None

    def open(self, partition: int, inlet: Inlet, offsets: Mapping[str, int]) -> None:
        assert partition == 3
        self._inlet = inlet
        self._stage.opened.append(dict(offsets))
        self._stage.scene(inlet, offsets)

    def close(self, partition: int) -> None:
        assert partition == 3
        self._inlet = None

    async def observe(self, partition: int) -> None:
        assert partition == 3
        assert self._inlet is not None
        self._stage.look()
        for topic in CONFIG.inputs:
            self._inlet.merge.observe(topic, Reading(answered_at_ms=1, position=0, stable_offset=None))


class _Writer:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._appended = 0
        self._journal = JournalEnd()

    async def start(self) -> None:
        """Nobody is fenced."""
        self._stage.writers += 1
        if self._stage.starts:
            raise self._stage.starts.popleft()

    async def fence(self) -> int:
        return 7

    def append(self, records: Sequence[object]) -> None:
        self._appended += len(records)

    async def commit(self, _offsets: Mapping[str, int]) -> int:
        assert self._appended
        self._appended = 0
        error = self._stage.commits.popleft()
        if error is not None:
            raise error
        self._stage.committed.set()
        return 8

    def note_journal_end(self, end: JournalEnd) -> None:
        self._journal = end

    def journal_end(self) -> JournalEnd:
        return self._journal

    async def discard(self) -> None:
        """Nothing was open."""
        self._stage.discarded += 1


class _Topics:
    """The topics as they are when a partition starts."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def start(self) -> None:
        """Nothing to connect to."""

    async def bounds(self, topics: Iterable[str]) -> dict[str, Bounds]:
        return {topic: Bounds(0, self._stage.ends.get(topic, 1000)) for topic in topics}

    async def lying_at(
        self, proofs: Mapping[str, Sequence[LastRecord]], _bounds: Mapping[str, Bounds]
    ) -> dict[str, dict[int, LastRecord | None]]:
        return {topic: {proof.offset: proof for proof in given} for topic, given in proofs.items()}

    def close(self) -> None:
        """Nothing to close."""


class _Reader:
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    async def restore(self, *_arguments: object) -> Restored:
        await self._stage.may_restore.wait()
        restored = Restored()
        restored.partition_count = PARTITIONS
        positions = {topic: begun_at(offset) for topic, offset in self._stage.state.items()}
        restored.checkpoint = Checkpoint(positions, NO_STREAM_TIME, JournalEnd(next_offset=1000), state_records=0)
        return restored


class Stage:
    """Partition 3 of eight, with inputs `a` and `b`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = {"a": 10, "b": 10}
        """The next offsets by the state topic."""
        self.ends: dict[str, int] = {}
        """Where topics end; those that are not in it at 1000."""
        self.opened: list[dict[str, int]] = []
        """The offsets that reading began at, each time."""
        self.scene: Callable[[Inlet, Mapping[str, int]], None] = lambda _inlet, _offsets: None
        """What happens when reading begins."""
        self.look: Callable[[], None] = lambda: None
        """What happens when the task looks for more."""
        self.starts: deque[Exception] = deque()
        """Why the next producers do not start."""
        self.commits: deque[Exception | None] = deque()
        """What becomes of the next transactions: committed, or an error."""
        self.committed = asyncio.Event()
        self.may_restore = asyncio.Event()
        self.may_restore.set()
        self.writers = 0
        self.discarded = 0
        self.make: Callable[[], Processor] = Obedient
        """Makes the processor."""
        self.time = Time()
        self.eye = _Eye(self)
        self._chance = _Impatience()
        doubles: tuple[tuple[Any, str, Any], ...] = (
            (task, "TransactionWriter", _Writer),
            (partition_start, "PartitionReader", _Topics),
            (partition_start, "StateReader", _Reader),
        )
        for module, name, double in doubles:
            monkeypatch.setattr(module, name, lambda *_arguments, double=double: double(self))
        surroundings = replace(
            surroundings_at(self.time), processors=self._made, observer=self.eye, chance=self._chance
        )
        self.task = PartitionTask(surroundings, _Feed(self), 3, PARTITIONS)

    @property
    def waits_ms(self) -> list[int]:
        """How long the task backed off, each time."""
        return self._chance.waits_ms

    def _made(self, partition: int, count: int) -> Processor:
        assert (partition, count) == (3, PARTITIONS)
        return self.make()

    async def until_halted(self) -> str:
        """Let the task run; the reason, once it halted."""
        self.task.start()
        return await self._played(self.eye.halted)

    async def until(self, event: asyncio.Event) -> None:
        """Let the task run until something happened, and end it."""
        self.task.start()
        await self._played(asyncio.ensure_future(event.wait()))

    async def _played(self, ended: asyncio.Future[T]) -> T:
        try:
            async with asyncio.timeout(PLAY_SECONDS_MAX):
                return await ended
        finally:
            await self.task.stop()
