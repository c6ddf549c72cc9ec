"""One system does the job once: a backlog as fast as it can, then events at a fixed rate; its levels are checked."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Final

import msgspec

from tests.bench.backlog import EVENT_TOPICS, shared, work_off
from tests.bench.load import counted, preload, trickle
from tests.bench.peers.levels import difference, expected_levels, read_levels
from tests.bench.peers.roster import Contender, Place
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.reader import READY_SUFFIX
from tests.bench.steady_load import LoadRecord
from tests.bench.system import POLL_SECONDS, WORK_SECONDS_MAX, Bench, BenchFailed, System, new_system
from tests.e2e.worker_process import WorkerProcess
from worker.demo.children import child_process

PER_SECOND: Final = 1000
WARM_UP_SECONDS: Final = 5
MEASURED_SECONDS: Final = 15
TRICKLED: Final = PER_SECOND * (WARM_UP_SECONDS + MEASURED_SECONDS)
WARM_UP_SHARE: Final = 0.25
"""Of the backlog, for every system alike: virtual machines compile what is hot, caches fill."""
WITHOUT_MOVEMENT_MAX: Final = 0.01
"""A share of the events: an order whose sub-order came first, a millisecond apart in another topic, moves nothing more.
That nothing is lost is seen by the levels.
"""
STOP_SECONDS: Final = 10.0
_LOG_CHARACTERS: Final = 3000


class Sample(msgspec.Struct, frozen=True):
    """What one run of one system showed."""

    contender: str
    events: int
    """Of the backlog."""
    events_per_s: float
    cpu_us_per_event: float
    p50_ms: float
    p99_ms: float
    memory_mib: float
    wrong: str | None
    """How its final levels differ from the expected ones."""


@dataclass(frozen=True)
class _Process:
    pid: int
    exit_code: Callable[[], int | None]
    log: Path


@dataclass(frozen=True)
class _Running:
    processes: Sequence[_Process]

    @property
    def cpu_seconds(self) -> float:
        return sum(cpu_seconds(process.pid) for process in self.processes)

    @property
    def resident_bytes(self) -> int:
        return sum(resident_bytes(process.pid) for process in self.processes)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nothing of it runs for the length of the block."""
        for process in self.processes:
            os.kill(process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self.processes:
                os.kill(process.pid, signal.SIGCONT)

    def check(self, _committed: int = 0) -> None:
        """Raise BenchFailed if one of it has ended."""
        for process in self.processes:
            if (code := process.exit_code()) is not None:
                output = process.log.read_text(errors="replace")[-_LOG_CHARACTERS:]
                raise BenchFailed(f"it ended with {code}; the end of its log:\n{output}")


async def run(bench: Bench, contender: Contender, load: Sequence[LoadRecord], start_ms: int) -> Sample:
    """Measure a system over its share of `load`, whose last `TRICKLED` records come at the fixed rate."""
    backlog = load[: int((len(load) - TRICKLED) * contender.share)]
    rest = load[len(backlog) : len(backlog) + TRICKLED]
    async with new_system(bench) as system:
        if contender.command is None:
            # Beforehand, so that full rules have all their work to do.
            await (await counted(system, start_ms)).terminate()
        with ExitStack() as stack:
            if contender.processes > 1:  # they share the partitions first: that is not what is measured
                running = stack.enter_context(_started(contender, system))
                await shared(system, contender.processes, running.check)
                with running.paused():
                    await preload(system, backlog, start_ms)
            else:
                await preload(system, backlog, start_ms)
                running = stack.enter_context(_started(contender, system))
            worked = await work_off(system, len(backlog), WARM_UP_SHARE, lambda: (running.cpu_seconds,), running.check)
            memory = running.resident_bytes / 2**20
            p50, p99 = await _latency(system, running, rest, len(backlog))
        wrong = difference(expected_levels([*backlog, *rest]), await read_levels(system))
    return Sample(contender.name, len(backlog), worked.events_per_s, worked.us_per_event(), p50, p99, memory, wrong)


@contextmanager
def _started(contender: Contender, system: System) -> Iterator[_Running]:
    with ExitStack() as stack:
        processes = []
        for number in range(contender.processes):
            if contender.command is None:
                worker = system.start_worker()
                processes.append(_Process(worker.pid, partial(_exit_code_of, worker), worker.log_path))
                continue
            state, log = system.folder / f"state-{number}", system.folder / f"peer-{number}.log"
            state.mkdir()
            place = Place(system.bootstrap_servers, system.topic_prefix, system.app_id, state)
            started = child_process(contender.command(place), log=log, stop_seconds=STOP_SECONDS)
            process = stack.enter_context(started)
            processes.append(_Process(process.pid, process.poll, log))
        yield _Running(processes)


def _exit_code_of(worker: WorkerProcess) -> int | None:
    return worker.exit_code


async def _latency(
    system: System, running: _Running, records: Sequence[LoadRecord], committed: int
) -> tuple[float, float]:
    """p50 and p99 in ms, from record timestamp to a movement being visible to a read_committed reader."""
    stamped_ms: dict[str, int] = {}

    def sent(record: LoadRecord, timestamp_ms: int) -> None:
        event = _EVENT(record.value)
        if event.type != "sub_order.created":  # moves nothing
            stamped_ms[event.event_id] = timestamp_ms

    seen_path = system.folder / "seen.json"
    reader = [sys.executable, "-m", "tests.bench.reader", system.bootstrap_servers, system.topic_prefix, str(seen_path)]
    log = system.folder / "reader.log"
    with child_process([*reader, "--from-now", "--only-movements"], log=log, stop_seconds=STOP_SECONDS):
        async with asyncio.timeout(WORK_SECONDS_MAX):
            while not seen_path.with_suffix(READY_SUFFIX).exists():  # noqa: ASYNC110 - another process sets no event
                await asyncio.sleep(POLL_SECONDS)
        start_ms = time.time_ns() // 1_000_000
        await trickle(system, records, PER_SECOND, sent)
        async with asyncio.timeout(WORK_SECONDS_MAX):
            while await system.committed(*EVENT_TOPICS) < committed + len(records):
                running.check()
                await asyncio.sleep(POLL_SECONDS)
    if not seen_path.exists():
        raise BenchFailed(f"the reader failed:\n{log.read_text(errors='replace')}")
    seen_ms = msgspec.json.decode(seen_path.read_bytes(), type=dict[str, int])
    measured = {event_id: ms for event_id, ms in stamped_ms.items() if ms >= start_ms + WARM_UP_SECONDS * 1000}
    taken_ms = [seen_ms[event_id] - ms for event_id, ms in measured.items() if event_id in seen_ms]
    missing = len(measured) - len(taken_ms)
    if missing > len(measured) * WITHOUT_MOVEMENT_MAX:
        raise BenchFailed(f"{missing:,} of {len(measured):,} events wrote no movement that a reader saw")
    percentiles = quantiles(taken_ms, n=100)
    return percentiles[49], percentiles[98]


class _Event(msgspec.Struct):
    type: str
    event_id: str


_EVENT = msgspec.json.Decoder(_Event).decode
