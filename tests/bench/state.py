"""What an open order costs in memory, and how fast a state of many of them is restored."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from itertools import islice
from typing import Final

from schemas.topics import Topic
from tests.bench.figures import Figure, at_least, at_most
from tests.bench.load import counted, open_orders, preload
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.system import Bench, BenchFailed, new_system
from tests.e2e.worker_process import WorkerProcess

ORDERS: Final = 100_000
RESTORE_SECONDS_MAX: Final = 120.0
SETTLE_SECONDS: Final = 3.0
"""For what is under way, such as prefetched records, to be let go."""


async def measure(bench: Bench) -> list[Figure]:
    """Memory of a worker without and with open orders of two lines, and then the restore of their state by another."""
    async with new_system(bench) as system:
        start_ms = time.time_ns() // 1_000_000 - ORDERS
        await (await counted(system, start_ms)).terminate()
        # A worker that has just counted all stock has room left over, into which the orders would go unseen.
        worker = system.start_worker()
        await worker.ready(RESTORE_SECONDS_MAX)
        empty = resident_bytes(worker.pid)
        orders = open_orders(2 * ORDERS, start_ms)
        held = []
        for taken in (ORDERS, 2 * ORDERS):
            bench.note(f"state: {taken:,} open orders")
            await preload(system, islice(orders, ORDERS), start_ms)
            await system.processed(worker, taken, Topic.ORDERS)
            await asyncio.sleep(SETTLE_SECONDS)
            held.append(resident_bytes(worker.pid))
        await worker.terminate()
        bench.note("state: restoring")
        restored = system.start_worker()
        await restored.ready(RESTORE_SECONDS_MAX)
        records, seconds = _restored(restored)
        used = cpu_seconds(restored.pid)
        again = resident_bytes(restored.pid)
        await restored.terminate()
    mib = 2**20
    return [
        Figure(
            "memory per open order of 2 lines",
            (again - empty) / ORDERS / 2,
            "B",
            at_most(700),
            f"of a worker that restored {2 * ORDERS:,} of them: {empty / mib:.0f} MiB without, {again / mib:.0f} with. "
            f"The one that took them live had {held[0] / mib:.0f} MiB after the first half and {held[1] / mib:.0f} "
            "after the second, with the room to work in that a backlog fills",
        ),
        Figure(
            "restore",
            records / seconds,
            "records/s",
            at_least(100_000),
            f"{records:,} state records in {seconds:.2f} s by one worker; {used:.1f} s of CPU from its start on",
        ),
    ]


def _restored(worker: WorkerProcess) -> tuple[int, float]:
    """How many records the worker restored, and the seconds from the begin of its first restore to the end of its last.

    Each line of its log is the same measurement as `stockfreeze_restore_seconds`, with the moment of its end.
    """
    done = [line for line in worker.log_records if line["event"] == "partition restored"]
    if not done:
        raise BenchFailed(f"the worker reports no restore:\n{worker.log_end()}")
    ends = [datetime.fromisoformat(line["time"]).timestamp() for line in done]
    began = min(end - line["seconds"] for end, line in zip(ends, done, strict=True))
    return sum(line["records"] for line in done), max(ends) - began
