"""How soon another worker goes on where one ended: killed, or asked to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Topic
from tests.bench.figures import Figure, at_most
from tests.bench.load import events, trickle
from tests.bench.system import PARTITIONS, POLL_SECONDS, Bench, BenchFailed, System, new_system
from tests.e2e.worker_process import WorkerProcess
from worker.stream.state.positions import FENCE_KEY, POSITIONS_KEY

PER_SECOND: Final = 200
ENDLESS: Final = 1_000_000
SHARED_SECONDS_MAX: Final = 60.0
TAKE_OVER_SECONDS_MAX: Final = 60.0


async def measure(bench: Bench) -> list[Figure]:
    """From the signal until the survivor has committed records in every partition that the other one had.

    Events keep coming into all partitions. The state topic shows who commits: a new owner begins with a fence record.
    """
    async with new_system(bench) as system, _trickling(system):
        bench.note("take-over: two workers")
        survivor, other = system.start_worker(), system.start_worker()
        lost = await _shared(survivor, other)
        bench.note("take-over: kill -9")
        after_kill = await _take_over(system, other, lost, signal.SIGKILL)
        other = system.start_worker()
        lost = await _shared(survivor, other)
        bench.note("take-over: SIGTERM")
        after_stop = await _take_over(system, other, lost, signal.SIGTERM)
        await other.exited()
    meaning = "from the signal to a commit of the survivor in each of the other's partitions"
    return [
        Figure("take-over after kill -9", after_kill, "s", at_most(9), f"{meaning}; sessions end after 6 s"),
        Figure("take-over after SIGTERM", after_stop, "s", at_most(2), meaning),
    ]


@asynccontextmanager
async def _trickling(system: System) -> AsyncIterator[None]:
    records = events(ENDLESS, time.time_ns() // 1_000_000, step_ms=1000 // PER_SECOND)
    sending = asyncio.ensure_future(trickle(system, records, PER_SECOND, lambda *_: None))
    try:
        yield
    finally:
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending


async def _shared(survivor: WorkerProcess, other: WorkerProcess) -> set[int]:
    """Wait until the two process all partitions between them; those of the other. Raises BenchFailed."""
    deadline = time.monotonic() + SHARED_SECONDS_MAX
    while time.monotonic() < deadline:
        own, others = await _processed_by(survivor), await _processed_by(other)
        if own and others and len(own) + len(others) == PARTITIONS:
            return others
        await asyncio.sleep(POLL_SECONDS)
    raise BenchFailed(f"two workers do not share the partitions; the end of the log of one:\n{other.log_end()}")


async def _processed_by(worker: WorkerProcess) -> set[int]:
    """The partitions of a worker that is ready; none of another."""
    answer = await worker.get("/health/ready")
    if answer is None or answer.status != 200:
        return set()
    return {meaning["partition"] for meaning in answer.json()["partitions"]}


async def _take_over(system: System, other: WorkerProcess, lost: set[int], number: signal.Signals) -> float:
    """Seconds from the signal to the last of the first commits after a fence record. Raises BenchFailed."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=system.bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        fetch_max_wait_ms=int(POLL_SECONDS * 1000),
    )
    await consumer.start()
    try:
        sources = [TopicPartition(system.topic(Topic.STATE), partition) for partition in sorted(lost)]
        consumer.assign(sources)
        await consumer.seek_to_end(*sources)
        fenced: set[int] = set()
        waiting = set(lost)
        began = time.monotonic()
        os.kill(other.pid, number)
        while waiting:
            if time.monotonic() - began > TAKE_OVER_SECONDS_MAX:
                raise BenchFailed(f"nobody took over partitions {sorted(waiting)} in {TAKE_OVER_SECONDS_MAX:.0f} s")
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    if record.key == FENCE_KEY:
                        fenced.add(record.partition)
                    elif record.key == POSITIONS_KEY and record.partition in fenced:
                        waiting.discard(record.partition)
        return time.monotonic() - began
    finally:
        await consumer.stop()
