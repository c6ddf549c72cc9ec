"""One Stockfreeze on the benchmark's broker: topics of its own, and real `stockfreeze` processes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

import uvloop

from deploy.kafka.jars import KafkaUnavailable, kafka_version
from deploy.kafka.local import KafkaCluster, KafkaStartError
from schemas.topics import Topic
from tests.brokers import Names, unique_names
from tests.e2e.worker_process import COMMAND, WorkerProcess
from worker.demo.children import child_process
from worker.inspection.cluster import Cluster, open_cluster
from worker.settings import ENVIRONMENT_PREFIX

T = TypeVar("T")

PARTITIONS: Final = 4
PARTITION_COUNTS: Final = (1, PARTITIONS)
"""What throughput and latency are measured through: what one partition can keep is soonest done by one, as each makes
transactions of its own, and each of these takes the broker some 2 ms of CPU. More are for what one cannot.
"""
POLL_SECONDS: Final = 0.02
WORK_SECONDS_MAX: Final = 600.0
"""Nothing that a benchmark waits for takes longer, however slow the machine."""


class BenchFailed(Exception):
    """The benchmark cannot be trusted or not go on: the message is the reason."""


@dataclass(frozen=True)
class Bench:
    """What every measurement is given."""

    kafka: KafkaCluster
    events: int
    """How many events the throughput is measured over."""
    note: Callable[[str], None]
    """Says on stderr what is going on."""
    movements: int = 2_000_000
    """How long the journal is that `verify` is measured on."""
    imports_from: str | None = None
    """A folder with another build, which the workers are of."""


class System:
    """Topics and the group of one measurement. Made by `new_system`."""

    def __init__(self, bench: Bench, folder: Path, cluster: Cluster, running: ExitStack, partitions: int) -> None:
        self.bootstrap_servers = bench.kafka.bootstrap_servers
        self.folder = folder
        self.partitions = partitions
        self._names: Names = unique_names()
        self._cluster = cluster
        self._running = running
        self._workers = 0
        self._imports_from = bench.imports_from
        self._settings = {
            "BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "APP_ID": self._names.app_id,
            "TOPIC_PREFIX": self._names.prefix,
            "PARTITIONS": str(partitions),
            "LOG_FORMAT": "json",
        }

    @property
    def topic_prefix(self) -> str:
        """What goes before the name of each topic."""
        return self._names.prefix

    @property
    def app_id(self) -> str:
        """The group that processes."""
        return self._names.app_id

    def topic(self, topic: Topic) -> str:
        """The full name of a topic."""
        return f"{self.topic_prefix}{topic}"

    def start_worker(self) -> WorkerProcess:
        """Start a worker; it is not ready yet."""
        self._workers += 1
        worker = WorkerProcess(
            self._settings, self.folder / f"worker-{self._workers}.log", self._running, imports_from=self._imports_from
        )
        worker.start()
        return worker

    async def create_topics(self) -> None:
        """Create the topics as a user would. Raises BenchFailed."""
        code, output = await self._command("topics", "create")
        if code != 0:
            raise BenchFailed(f"`stockfreeze topics create` ended with {code}:\n{output}")

    async def verify(self, watch: Callable[[int], object] = int) -> dict[str, Any]:
        """Run `stockfreeze verify`; gives its report. Raises BenchFailed unless it finds nothing wrong.

        `watch` is called with its process id now and then.
        """
        code, output = await self._command("verify", "--json", watch=watch)
        if code != 0:
            raise BenchFailed(f"`stockfreeze verify` ended with {code}:\n{output}")
        verified: dict[str, Any] = json.loads(output)
        return verified

    async def committed(self, *topics: Topic) -> int:
        """The sum of the offsets that the group has committed of these topics."""
        names = {self.topic(topic) for topic in topics}
        offsets = await self._cluster.committed(self._names.app_id)
        return sum(offset for (name, _), offset in offsets.items() if name in names)

    async def processed(self, worker: WorkerProcess, offsets: int, *topics: Topic) -> None:
        """Wait until the group has committed so many offsets of these topics in all. Raises BenchFailed."""
        deadline = time.monotonic() + WORK_SECONDS_MAX
        while await self.committed(*topics) < offsets:
            if worker.exit_code is not None or time.monotonic() > deadline:
                raise BenchFailed(f"the worker did not process its records; the end of its log:\n{worker.log_end()}")
            await asyncio.sleep(POLL_SECONDS)

    async def _command(self, *arguments: str, watch: Callable[[int], object] = int) -> tuple[int, str]:
        log = self.folder / f"{'-'.join(arguments)}.log"
        own = {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in self._settings.items()}
        with child_process([COMMAND[0], *arguments], log=log, env={**os.environ, **own}) as process:
            async with asyncio.timeout(WORK_SECONDS_MAX):
                while (code := process.poll()) is None:
                    watch(process.pid)
                    await asyncio.sleep(POLL_SECONDS)
        return code, log.read_text(errors="replace").strip()


def on_kafka(note: Callable[[str], None], measure: Callable[[KafkaCluster], Coroutine[Any, Any, T]]) -> T:
    """What is measured on an Apache Kafka that is started for it.

    Ends the process where nothing could be measured: with a sentence and exit code 1, or with 130 when it is stopped.
    """
    try:
        note(f"starting Apache Kafka {kafka_version()}")
        with KafkaCluster() as kafka, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(measure(kafka))
    except (KafkaUnavailable, KafkaStartError, BenchFailed) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


def through(partitions: int) -> str:
    """How a figure names them: "1 partition", "4 partitions"."""
    return f"{partitions} partition{'s' * (partitions > 1)}"


@asynccontextmanager
async def new_system(bench: Bench, partitions: int = PARTITIONS) -> AsyncIterator[System]:
    """A system with its topics for the length of the block; none of its processes outlives that."""
    with TemporaryDirectory(prefix="stockfreeze-bench-") as folder, ExitStack() as running:
        async with open_cluster({"bootstrap_servers": bench.kafka.bootstrap_servers}) as cluster:
            system = System(bench, Path(folder), cluster, running, partitions)
            await system.create_topics()
            yield system
