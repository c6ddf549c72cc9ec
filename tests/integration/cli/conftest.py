"""The real command, on a system of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from click.testing import CliRunner

from schemas.topics import Topic
from tests.brokers import Broker, Names
from tests.offline import (
    NOW_MS,
    Corrupt,
    Input,
    OfflinePartition,
    Transaction,
    account_in,
    send_inputs,
    story,
    write_transactions,
)
from worker.cli.main import main
from worker.inspection.admin import spec_of
from worker.inspection.cluster import open_cluster
from worker.settings import ENVIRONMENT_PREFIX
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.records import InputRecord

PARTITIONS = 2


@dataclass(frozen=True)
class CommandResult:
    """The output and exit code of a command."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401
        return json.loads(self.out)


Command = Callable[..., Awaitable[CommandResult]]


@pytest.fixture
def stockfreeze(broker: Broker, names: Names) -> Command:
    """Run `stockfreeze` on this test's system: `await stockfreeze("verify", "--json", PARTITIONS="3")`."""
    settings = {
        "BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "APP_ID": names.app_id,
        "TOPIC_PREFIX": names.prefix,
        "PARTITIONS": str(PARTITIONS),
        "REPLICATION_FACTOR": "1",
    }

    async def run(*arguments: str, **changes: str) -> CommandResult:
        inherited: dict[str, str | None] = {name: None for name in os.environ if name.startswith(ENVIRONMENT_PREFIX)}
        own: dict[str, str | None] = {
            f"{ENVIRONMENT_PREFIX}{name}": value for name, value in (settings | changes).items()
        }
        # In a thread, as a command runs an event loop of its own.
        runner = CliRunner(env=inherited | own)
        result = await asyncio.to_thread(runner.invoke, main, arguments)
        if not isinstance(result.exception, SystemExit | None):
            raise result.exception
        return CommandResult(result.exit_code, result.stdout, result.stderr)

    return run


@dataclass
class System:
    """A system whose topics were made as `topics create` makes them, and what works on its partitions."""

    broker: Broker
    names: Names
    workers: dict[int, OfflinePartition]

    async def process(
        self,
        partition: int,
        inputs: list[Input],
        corrupt: Corrupt = lambda _, records: records,
        timestamp_ms: int = NOW_MS,
    ) -> None:
        """Write inputs and process them, in three transactions or as many as there are inputs."""
        records = await send_inputs(self.broker.bootstrap_servers, inputs, partition, self.names.prefix, timestamp_ms)
        size = max(1, -(-len(records) // 3))
        batches = [records[start : start + size] for start in range(0, len(records), size)]
        worker = self.workers[partition]
        await write_transactions(self.broker.bootstrap_servers, self.names.app_id, worker, batches, corrupt)

    async def process_story(self, corrupt: Callable[[Transaction], Transaction] = lambda records: records) -> None:
        """Every partition has an account with the same story; what partition 0 writes may be corrupted."""
        for partition in self.workers:
            await self.process(
                partition,
                story(account_in(partition, PARTITIONS)),
                (lambda _, records: corrupt(records)) if partition == 0 else (lambda _, records: records),
            )

    async def process_what_came(self, topic: Topic, partition: int) -> list[InputRecord]:
        """Process what lies in an input topic and was not processed; gives it."""
        servers, worker = self.broker.bootstrap_servers, self.workers[partition]
        place = TopicPartition(self.topic(topic), partition)
        read_as_input_records()
        async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
            start, end = worker.committed()[place.topic], (await consumer.end_offsets([place]))[place]
            consumer.assign([place])
            consumer.seek(place, start)
            records = [await consumer.getone(place) for _ in range(start, end)]
        if not records:
            return []
        await write_transactions(servers, self.names.app_id, worker, [records])
        return records

    def topic(self, topic: Topic) -> str:
        return f"{self.names.prefix}{topic}"


@pytest.fixture
async def system(broker: Broker, names: Names) -> System:
    """A system without a record."""
    async with open_cluster({"bootstrap_servers": broker.bootstrap_servers}) as cluster:
        await cluster.create([spec_of(topic, f"{names.prefix}{topic}", PARTITIONS, 1) for topic in Topic])
    return System(broker, names, {p: OfflinePartition(p, PARTITIONS, names.prefix) for p in range(PARTITIONS)})
