"""The workers of a run: real processes on slots, each of which keeps its settings, its port and its log."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.worker_process import WorkerProcess

SLOTS: Final = 4
STATIC: Final = 3
"""The number of the worker that is a static member of the group, among others that are not."""
WHOLE_SECONDS_MAX: Final = 240.0
_POLL_SECONDS: Final = 0.2


class Worker:
    """A worker's place: its settings, port and log, through all its starts."""

    def __init__(self, number: int, process: WorkerProcess) -> None:
        self.number = number
        self.process = process
        self.busy = False
        """Whether a fault has it in hand: it is frozen, or on its way down or up."""
        self._started = False
        self._log_begins = 0

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._started and self.process.exit_code is None

    @property
    def listens(self) -> bool:
        """Whether the worker handles signals yet: before that, Python itself ends at a SIGTERM."""
        return '"event":"started"' in self.process.log[self._log_begins :]

    @property
    def ended_unasked(self) -> bool:
        """Whether it ended by itself since it was started: neither zero nor a signal from us."""
        return self._started and self.process.exit_code not in (None, 0, -signal.SIGKILL, -signal.SIGTERM)

    def start(self) -> None:
        """Start its process, unless it runs."""
        if not self.running:
            self._started = True
            self._log_begins = len(self.process.log)
            self.process.start()

    async def partitions(self) -> set[int] | None:
        """The partitions that this worker processes; None if it is not ready."""
        answer = await self.process.get("/health/ready")
        if answer is None or answer.status != 200:
            return None
        return {entry["partition"] for entry in answer.json()["partitions"]}


class Fleet:
    """All slots, started or not. Made by `new_fleet`."""

    def __init__(self, slots: list[Worker], partitions: int) -> None:
        self.slots = slots
        self._partitions = partitions

    @property
    def free(self) -> list[Worker]:
        """The workers that run and that no fault is acting on."""
        return [worker for worker in self.slots if worker.running and not worker.busy]

    async def whole(self) -> dict[int, set[int]]:
        """Wait until the running workers are ready and share all partitions; gives the partitions of each.

        Raises TimeoutError.
        """
        async with asyncio.timeout(WHOLE_SECONDS_MAX):
            while True:
                have = {worker.number: await worker.partitions() for worker in self.slots if worker.running}
                ready = {number: partitions for number, partitions in have.items() if partitions is not None}
                owned = sorted(partition for partitions in ready.values() for partition in partitions)
                if len(ready) == len(have) and owned == list(range(self._partitions)):
                    return ready
                await asyncio.sleep(_POLL_SECONDS)

    def complaints(self) -> list[str]:
        """Errors in the workers' logs that no fault explains, such as a partition that halted; without aiokafka's."""
        return [
            f"worker {worker.number}: {json.dumps(record)}"
            for worker in self.slots
            for record in self._log(worker)
            if record.get("level") in ("error", "critical") and str(record.get("logger")).startswith("worker.")
        ]

    @staticmethod
    def _log(worker: Worker) -> list[dict[str, object]]:
        records = []
        for line in worker.process.log.splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                continue  # a line that a kill cut off
        return [record for record in records if isinstance(record, dict) and "event" in record]


@contextmanager
def new_fleet(folder: Path, settings: Mapping[str, str], partitions: int) -> Iterator[Fleet]:
    """Workers with these settings, none of them started; none outlives the block."""
    with ExitStack() as running:
        slots = []
        for number in range(1, SLOTS + 1):
            of_it = dict(settings) | ({"GROUP_INSTANCE_ID": f"worker-{number}"} if number == STATIC else {})
            slots.append(Worker(number, WorkerProcess(of_it, folder / f"worker-{number}.log", running)))
        yield Fleet(slots, partitions)
