"""Growth where the broker is asked about: partitions and workers. One Apache Kafka, real workers, the standard load."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from deploy.kafka.local import KafkaCluster
from tests.bench.backlog import shared, work_off
from tests.bench.growth.series import NOTHING_MORE, Point, Series
from tests.bench.load import SKUS, accounts, preload
from tests.bench.processes import cpu_seconds
from tests.bench.steady_load import steady_load
from tests.bench.system import Bench, BenchFailed, new_system

EVENTS: Final = 1_000_000
"""With 200,000 of them a worker was through in three seconds, and 64 partitions had no backlog worth the name."""
EVENTS_QUICK: Final = 200_000
PARTITIONS: Final = (1, 4, 16, 64)
WORKERS: Final = (1, 2, 4)
OF_WORKERS: Final = 16
"""Partitions where workers are asked about."""
WARM_UP_SHARE: Final = 0.2


async def measure(kafka: KafkaCluster, note: Callable[[str], None], *, quick: bool) -> list[Series]:
    """Throughput and CPU by the number of partitions, and by that of workers."""
    bench = Bench(kafka, EVENTS_QUICK if quick else EVENTS, note)
    note("to warm up the broker, whose virtual machine compiles while it is measured otherwise:")
    await _point(bench, 1, OF_WORKERS, 1)
    partitions = [await _point(bench, number, number, 1) for number in PARTITIONS]
    workers = [await _point(bench, number, OF_WORKERS, number) for number in WORKERS]
    return [
        Series("partitions", "partitions of one worker", NOTHING_MORE, partitions, f"{bench.events:,} events"),
        Series(
            "workers",
            f"workers of {OF_WORKERS} partitions",
            NOTHING_MORE,
            workers,
            f"{bench.events:,} events; workers and broker share the machine's cores; CPU is that of all workers",
        ),
    ]


async def _point(bench: Bench, size: int, partitions: int, n_workers: int) -> Point:
    async with new_system(bench, partitions) as system:
        start_ms = time.time_ns() // 1_000_000 - bench.events
        load = steady_load(bench.events, accounts=accounts(PARTITIONS[-1]), skus=SKUS, start_ms=start_ms)
        workers = [system.start_worker() for _ in range(n_workers)]

        def check(_committed: int) -> None:
            for worker in workers:
                if worker.exit_code is not None:
                    raise BenchFailed(f"a worker ended; the end of its log:\n{worker.log_end()}")

        await shared(system, n_workers, check)
        # Stopped while the backlog comes, so that all begin with all of it.
        for worker in workers:
            worker.pause()
        await preload(system, load, start_ms)
        for worker in workers:
            worker.resume()
        worked = await work_off(
            system, bench.events, WARM_UP_SHARE, lambda: tuple(cpu_seconds(worker.pid) for worker in workers), check
        )
    point = Point(size, worked.us_per_event(), worked.events_per_s)
    bench.note(
        f"{partitions} partitions, {n_workers} workers: {point.events_per_s:,.0f} events/s, {point.us_per_event:.1f} µs"
    )
    return point
