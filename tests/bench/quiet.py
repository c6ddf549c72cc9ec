"""A worker that has nothing to do: how soon it is ready, and what it costs."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from tests.bench.figures import Figure, at_most
from tests.bench.processes import cpu_seconds, resident_bytes
from tests.bench.system import PARTITIONS, POLL_SECONDS, Bench, BenchFailed, new_system
from tests.e2e.worker_process import WorkerProcess

SETTLE_SECONDS: Final = 3.0
IDLE_SECONDS: Final = 15.0
READY_SECONDS_MAX: Final = 60.0


async def measure(bench: Bench) -> list[Figure]:
    """Time from the start of the process until `/health/ready` answers 200, on an empty state; then CPU at rest."""
    async with new_system(bench) as system:
        bench.note("quiet: starting")
        began = time.monotonic()
        worker = system.start_worker()
        await _ready(worker)
        ready = time.monotonic() - began
        bench.note(f"quiet: idle for {IDLE_SECONDS:.0f} s")
        await asyncio.sleep(SETTLE_SECONDS)
        cpu, began = cpu_seconds(worker.pid), time.monotonic()
        await asyncio.sleep(IDLE_SECONDS)
        used = (cpu_seconds(worker.pid) - cpu) / (time.monotonic() - began)
        held = resident_bytes(worker.pid)
        await worker.terminate()
    return [
        Figure("start to ready", ready, "s", at_most(3), "an empty state; from the start of the process on"),
        Figure("CPU when idle", used * 100, "% of a core", at_most(2), f"{PARTITIONS} partitions assigned"),
        Figure("memory when idle", held / 2**20, "MiB"),
    ]


async def _ready(worker: WorkerProcess) -> None:
    """Wait as `WorkerProcess.ready` does, but look more often: the wait is what is measured."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while (answer := await worker.get("/health/ready")) is None or answer.status != 200:
        if worker.exit_code is not None or time.monotonic() > deadline:
            raise BenchFailed(f"the worker is not ready; the end of its log:\n{worker.log_end()}")
        await asyncio.sleep(POLL_SECONDS)
