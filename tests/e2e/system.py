"""A whole system on a broker, from outside: its topics, what is sent to them, what comes out, and the command."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import LEDGER, RECORD_BYTES_MAX, Topic
from tests.brokers import Broker, Names
from worker.demo.delivering import feed
from worker.demo.disturbance import Delivery
from worker.settings import ENVIRONMENT_PREFIX
from worker.stream.kafka.fetched import read_as_input_records
from worker.stream.partitioning import partition_of
from worker.stream.records import InputRecord

Record = InputRecord

COMMAND = str(Path(sys.executable).with_name("stockfreeze"))
WAIT_SECONDS_MAX = 90.0
"""Anything that is waited for comes within this time, on a busy machine too."""
_POLL_SECONDS = 0.1
_IN_FLIGHT_MAX = 500


class Message(NamedTuple):
    """A record to send. `partition`: None for its account's, which is that of the key."""

    topic: str
    """Without the prefix."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    partition: int | None = None
    timestamp_ms: int | None = None


class Place(NamedTuple):
    """Where a record lies; `id` is that of its dead letter."""

    topic: str
    partition: int
    offset: int

    @property
    def id(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


@dataclass(frozen=True)
class CommandResult:
    """The output of a command, and its exit code."""

    code: int
    out: str
    err: str

    def json(self) -> Any:  # noqa: ANN401 - whatever the command prints
        return json.loads(self.out)


@dataclass(frozen=True)
class System:
    """One application's topics, under names of the test's own."""

    broker: Broker
    names: Names
    partitions: int
    wait_seconds_max: float = WAIT_SECONDS_MAX

    def topic(self, topic: str) -> str:
        return f"{self.names.prefix}{topic}"

    def partition_of(self, account_id: str) -> int:
        return partition_of(account_id, self.partitions)

    async def stockfreeze(self, *arguments: str, **settings: str) -> CommandResult:
        """Run the command as a user does, with this system's settings and `settings` over them."""
        return await run_stockfreeze(
            *arguments,
            wait_seconds_max=self.wait_seconds_max,
            **{
                "BOOTSTRAP_SERVERS": self.broker.bootstrap_servers,
                "APP_ID": self.names.app_id,
                "TOPIC_PREFIX": self.names.prefix,
                "PARTITIONS": str(self.partitions),
            }
            | settings,
        )

    async def create_topics(self) -> None:
        result = await self.stockfreeze("topics", "create")
        assert result.code == 0, result

    async def delete(self, *topics: Topic) -> None:
        """Delete topics, and wait until they are gone."""
        names = {self.topic(topic) for topic in topics}
        async with self._admin() as admin:
            await admin.delete_topics(sorted(names))

            async def gone() -> bool:
                return not names & {topic["topic"] for topic in await admin.describe_topics()}

            await until(gone, self.wait_seconds_max)

    async def send(self, messages: Iterable[Message]) -> list[Place]:
        """Send records in their order; gives where they lie."""
        pending: list[asyncio.Future[Any]] = []
        places: list[Place] = []

        async def acknowledged() -> None:
            places.extend(Place(sent.topic, sent.partition, sent.offset) for sent in await asyncio.gather(*pending))
            pending.clear()

        async with self._producer() as producer:
            for message in messages:
                partition = message.partition
                if partition is None:
                    assert message.key is not None, "a record without a key needs a partition"
                    partition = self.partition_of(message.key.decode())
                pending.append(
                    await producer.send(
                        self.topic(message.topic),
                        message.value,
                        key=message.key,
                        partition=partition,
                        headers=list(message.headers),
                        timestamp_ms=message.timestamp_ms,
                    )
                )
                if len(pending) >= _IN_FLIGHT_MAX:
                    await acknowledged()
            await acknowledged()
        return places

    async def feed(self, deliveries: Sequence[Delivery], per_second: float | None = None) -> None:
        """Send deliveries of the demo's kind, at most so many a second."""
        async with self._producer() as producer:
            await feed(
                producer, deliveries, topic_name=self.topic, partition_count=self.partitions, per_second=per_second
            )

    async def read(self, topic: str) -> list[Record]:
        """All committed records of a topic, those of a partition in their order."""
        places = [TopicPartition(self.topic(topic), partition) for partition in range(self.partitions)]
        read_as_input_records()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=20,
            max_partition_fetch_bytes=RECORD_BYTES_MAX,
        )
        records: list[Record] = []
        async with consumer, asyncio.timeout(self.wait_seconds_max):
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            while unread := [place for place in places if await consumer.position(place) < ends[place]]:
                for fetched in (await consumer.getmany(*unread, timeout_ms=100)).values():
                    records.extend(fetched)
        return records

    async def values(self, topic: Topic) -> list[dict[str, Any]]:
        """The values of all committed records of an output topic."""
        return [json.loads(record.value) for record in await self.read(topic) if record.value is not None]

    async def committed(self) -> dict[TopicPartition, int]:
        """The next offset of every input partition, as the group has committed it; 0 where it has not."""
        async with self._admin() as admin:
            return await self._committed(admin)

    async def ends(self) -> dict[TopicPartition, int]:
        """The end of every input partition."""
        async with AIOKafkaConsumer(bootstrap_servers=self.broker.bootstrap_servers) as consumer:
            ends: dict[TopicPartition, int] = await consumer.end_offsets(self._inputs())
            return ends

    async def until_processed(self, records: int) -> None:
        """Wait until so many input records, in all partitions together, have been committed."""
        async with self._admin() as admin:

            async def enough() -> bool:
                return sum((await self._committed(admin)).values()) >= records

            await until(enough, self.wait_seconds_max)

    async def settled(self) -> None:
        """Wait until everything that was sent has been processed, as a lag tool sees it."""
        ends = await self.ends()
        async with self._admin() as admin:

            async def all_read() -> bool:
                return await self._committed(admin) == ends

            await until(all_read, self.wait_seconds_max)

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Overwrite what the group has committed, as an operator's tool would; it must have no members."""
        async with AIOKafkaConsumer(
            bootstrap_servers=self.broker.bootstrap_servers, group_id=self.names.app_id, enable_auto_commit=False
        ) as consumer:
            consumer.assign(list(offsets))
            await consumer.commit(dict(offsets))

    async def assert_sound(self) -> None:
        """`stockfreeze verify` finds nothing."""
        result = await self.stockfreeze("verify", "--json")
        assert result.code == 0, result
        assert (result.json()["ok"], result.json()["findings"]) == (True, [])

    def _inputs(self) -> list[TopicPartition]:
        return [
            TopicPartition(self.topic(topic), partition)
            for topic in LEDGER.inputs
            for partition in range(self.partitions)
        ]

    async def _committed(self, admin: AIOKafkaAdminClient) -> dict[TopicPartition, int]:
        offsets = await admin.list_consumer_group_offsets(self.names.app_id)
        return {place: max(0, offsets[place].offset) if place in offsets else 0 for place in self._inputs()}

    def _producer(self) -> AIOKafkaProducer:
        return AIOKafkaProducer(
            bootstrap_servers=self.broker.bootstrap_servers,
            enable_idempotence=True,
            max_request_size=RECORD_BYTES_MAX,
            linger_ms=2,
        )

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.broker.bootstrap_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()


async def until(condition: Callable[[], Awaitable[bool]], wait_seconds_max: float = WAIT_SECONDS_MAX) -> None:
    """Wait for a condition of another process."""
    async with asyncio.timeout(wait_seconds_max):
        while not await condition():  # noqa: ASYNC110 - another process sets no event of ours
            await asyncio.sleep(_POLL_SECONDS)


async def run_stockfreeze(
    *arguments: str, wait_seconds_max: float = WAIT_SECONDS_MAX, **settings: str
) -> CommandResult:
    """Run the command in a process of its own, with these settings and no others."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(ENVIRONMENT_PREFIX)}
    own = {f"{ENVIRONMENT_PREFIX}{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *arguments,
        env=inherited | own | {"COLUMNS": "200"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(wait_seconds_max):
            out, err = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return CommandResult(process.returncode, out.decode(), err.decode())
