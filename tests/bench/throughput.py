"""Events per second and worker CPU per event when all events are there already; and whether the outcome is right."""

from __future__ import annotations

import asyncio
import time
from typing import Final, NamedTuple

from schemas.topics import Topic
from tests.bench.figures import Figure, at_least, at_most
from tests.bench.load import counts, events, preload
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.system import POLL_SECONDS, Bench, BenchFailed, System, new_system
from tests.e2e.worker_process import WorkerProcess

EVENT_TOPICS: Final = (Topic.ORDERS, Topic.SUB_ORDERS)
TOLD_EVERY_SECONDS: Final = 2.0


class Sample(NamedTuple):
    """Where a run was at a moment."""

    at: float
    events: int
    worker_cpu: float
    broker_cpu: float


async def measure(bench: Bench) -> list[Figure]:
    """Throughput from the first to the last committed event: the start of the worker is not in it."""
    async with new_system(bench) as system:
        start_ms = time.time_ns() // 1_000_000 - bench.events
        await _count(bench, system, start_ms)
        bench.tell(f"throughput: preloading {bench.events:,} events")
        await preload(system, events(bench.events, start_ms), start_ms)
        worker = system.start_worker()
        first, last = await _watch(bench, system, worker)
        held = resident_bytes(worker.pid)
        await worker.terminate()
        done, seconds = last.events - first.events, last.at - first.at
        explained = f"{done:,} events in {seconds:.1f} s, full rules, exactly once, one worker"
        return [
            Figure("throughput", done / seconds, "events/s", at_least(35_000), explained),
            Figure(
                "worker CPU per event",
                (last.worker_cpu - first.worker_cpu) / done * 1e6,
                "µs",
                at_most(18),
                f"user and system; {(last.worker_cpu - first.worker_cpu) / seconds:.2f} of a core",
            ),
            Figure(
                "broker CPU per event",
                (last.broker_cpu - first.broker_cpu) / done * 1e6,
                "µs",
                note=f"{(last.broker_cpu - first.broker_cpu) / seconds:.2f} of a core",
            ),
            Figure("worker memory at the end", held / 2**20, "MiB"),
            await _verified(bench, system),
        ]


async def _count(bench: Bench, system: System, start_ms: int) -> None:
    bench.tell("throughput: counting the stock")
    await preload(system, opening := counts(start_ms), start_ms)
    worker = system.start_worker()
    await system.processed(worker, len(opening), Topic.STOCK)
    await worker.terminate()


async def _watch(bench: Bench, system: System, worker: WorkerProcess) -> tuple[Sample, Sample]:
    """The first and the last moment of the run."""
    broker = bench.kafka.nodes[0].pid
    if broker is None:
        raise BenchFailed("Apache Kafka has ended")
    first: Sample | None = None
    told = time.monotonic()
    while True:
        committed = await system.committed(*EVENT_TOPICS)
        sample = Sample(time.monotonic(), committed, cpu_seconds(worker.pid), cpu_seconds(broker))
        if first is None and committed > 0:
            first = sample
        if first is not None and committed >= bench.events:
            return first, sample
        if worker.exit_code is not None:
            raise BenchFailed(f"the worker ended; the end of its log:\n{worker.log_end()}")
        if sample.at - told > TOLD_EVERY_SECONDS:
            told = sample.at
            bench.tell(f"throughput: {committed:,} of {bench.events:,} events")
        await asyncio.sleep(POLL_SECONDS)


async def _verified(bench: Bench, system: System) -> Figure:
    bench.tell("throughput: verifying")
    began = time.monotonic()
    told = await system.verify()
    seconds = time.monotonic() - began
    if told["records"]["applied"] < bench.events:
        raise BenchFailed(f"{bench.events} events were sent, the state has applied {told['records']['applied']}")
    explained = (
        f"{told['movements']:,} movements in {seconds:.1f} s, start of the command included; nothing lost or doubled"
    )
    return Figure("verify", told["movements"] / seconds, "movements/s", note=explained)
