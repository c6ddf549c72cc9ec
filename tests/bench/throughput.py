"""Events per second and worker CPU per event when all events are there already; and whether the outcome is right."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.backlog import Stretch, work_off
from tests.bench.figures import Figure, at_least, at_most
from tests.bench.load import counted, events, preload
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.system import PARTITION_COUNTS, Bench, BenchFailed, System, new_system, through
from tests.e2e.worker_process import WorkerProcess

FIRST_SHARE: Final = 0.05
"""Of the events: what is committed where the measurement begins. The start of the worker is not in it."""
_WORKER, _BROKER = 0, 1
TOLD_EVERY_SECONDS: Final = 2.0


async def measure(bench: Bench) -> list[Figure]:
    """Throughput over a backlog through one partition and through several, and whether the outcome is right."""
    return [figure for partitions in PARTITION_COUNTS for figure in await _measure_through(bench, partitions)]


async def _measure_through(bench: Bench, partitions: int) -> list[Figure]:
    async with new_system(bench, partitions) as system:
        start_ms = time.time_ns() // 1_000_000 - bench.events
        bench.note(f"throughput, {through(partitions)}: counting the stock")
        await (await counted(system, start_ms)).terminate()
        bench.note(f"throughput: preloading {bench.events:,} events")
        await preload(system, events(bench.events, start_ms), start_ms)
        worker = system.start_worker()
        worked = await _worked_off(bench, system, worker)
        held = resident_bytes(worker.pid)
        await worker.terminate()
        explained = f"{worked.events:,} events in {worked.seconds:.1f} s, full rules, exactly once, one worker"
        of_worker, of_broker = worked.cpu_seconds
        return [
            Figure(f"throughput, {through(partitions)}", worked.events_per_s, "events/s", at_least(35_000), explained),
            Figure(
                "worker CPU per event",
                worked.us_per_event(_WORKER),
                "µs",
                at_most(18),
                f"user and system; {of_worker / worked.seconds:.2f} of a core",
            ),
            Figure(
                "broker CPU per event",
                worked.us_per_event(_BROKER),
                "µs",
                note=f"{of_broker / worked.seconds:.2f} of a core",
            ),
            Figure("worker memory at the end", held / 2**20, "MiB"),
            await _verified(bench, system),
        ]


async def _worked_off(bench: Bench, system: System, worker: WorkerProcess) -> Stretch:
    broker = bench.kafka.nodes[0].pid
    if broker is None:
        raise BenchFailed("Apache Kafka has ended")
    noted_at = time.monotonic()

    def check(committed: int) -> None:
        nonlocal noted_at
        if worker.exit_code is not None:
            raise BenchFailed(f"the worker ended; the end of its log:\n{worker.log_end()}")
        if time.monotonic() - noted_at > TOLD_EVERY_SECONDS:
            noted_at = time.monotonic()
            bench.note(f"throughput: {committed:,} of {bench.events:,} events")

    return await work_off(
        system, bench.events, FIRST_SHARE, lambda: (cpu_seconds(worker.pid), cpu_seconds(broker)), check
    )


async def _verified(bench: Bench, system: System) -> Figure:
    bench.note("throughput: verifying")
    began = time.monotonic()
    verified = await system.verify()
    seconds = time.monotonic() - began
    if verified["records"]["applied"] < bench.events:
        raise BenchFailed(f"{bench.events} events were sent, the state has applied {verified['records']['applied']}")
    explained = f"{verified['movements']:,} movements in {seconds:.1f} s, with its start; nothing lost or doubled"
    return Figure("verify", verified["movements"] / seconds, "movements/s", note=explained)
