"""How a worker is found: each joins its consumer group with the address of its pages, and the group tells who has which
partition.

An address may be wrong for whoever reads it: that of a machine's own loopback, or one that another worker has by now.
So each worker joins with a name of its own as well, and puts it into every answer.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

import msgspec
from aiokafka.errors import KafkaError

from worker.clock import Clock
from worker.inspection.cluster import Cluster, ClusterError, GroupMember, open_cluster
from worker.inspection.connecting import BrokerUnreachable, RightMissing

WORKER_HEADER = "Stockfreeze-Worker"
"""Of every answer: the name of the worker that gave it."""

KNOWN_SECONDS = 2.0
"""How long a worker goes by what the group said last."""
DESCRIBE_SECONDS_MAX = 3.0


class Contact(msgspec.Struct, omit_defaults=True):
    """What a worker joins its group with: its name, and where its pages are.

    `url` None: the pages listen on all addresses of their machine, so they are at the one that the broker sees.
    """

    worker: str
    port: int
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """A member of the group. `partitions`: those of which it has every input; `url` None: its pages are not known."""

    name: str | None
    host: str
    url: str | None
    partitions: tuple[int, ...]


def contact_data(worker: str, url: str | None, host: str, port: int) -> bytes:
    """What a worker joins with whose pages listen on `host` and `port`; `url` goes before them."""
    if url is None and not _is_any(host):
        url = url_of(host, port)
    return msgspec.json.encode(Contact(worker, port, None if url is None else url.rstrip("/")))


def url_of(host: str, port: int) -> str:
    """The address of pages."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def worker_of(member: GroupMember, inputs: Sequence[str]) -> Worker:
    """A member as a worker. One that joined without an address, or as something else, has none."""
    try:
        contact = msgspec.json.decode(member.data, type=Contact) if member.data else None
    except msgspec.DecodeError:
        contact = None
    partitions = set.intersection(*(set(member.partitions.get(topic, ())) for topic in inputs))
    url = None if contact is None else contact.url or url_of(member.host, contact.port)
    return Worker(None if contact is None else contact.worker, member.host, url, tuple(sorted(partitions)))


async def workers_of(cluster: Cluster, group: str, inputs: Sequence[str]) -> list[Worker]:
    """The workers of a group. Raises ClusterError or an error of Kafka where it cannot be described."""
    return [worker_of(member, inputs) for member in await cluster.members(group)]


class GroupDirectory:
    """Where the partitions of the other workers are, for a worker that is asked for one of them."""

    def __init__(
        self, client_options: Mapping[str, object], group: str, inputs: Sequence[str], clock: Clock = Clock()
    ) -> None:
        self._options = client_options
        self._clock = clock
        self._group = group
        self._inputs = inputs
        self._connection = AsyncExitStack()
        self._cluster: Cluster | None = None
        self._workers: Sequence[Worker] = ()
        self._known_at: float | None = None
        self._lock = asyncio.Lock()

    async def url_of(self, partition: int) -> str | None:
        """The pages of the worker that has a partition, None where they are not known. Takes some seconds at most."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._known_at is None or now - self._known_at > KNOWN_SECONDS:
                await self._learn()
                self._known_at = self._clock.monotonic()
        return next((worker.url for worker in self._workers if partition in worker.partitions), None)

    async def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection, self._cluster = self._connection, AsyncExitStack(), None
        await connection.aclose()

    async def _learn(self) -> None:
        self._workers = ()
        try:
            async with asyncio.timeout(DESCRIBE_SECONDS_MAX):
                if self._cluster is None:
                    self._cluster = await self._connection.enter_async_context(open_cluster(self._options))
                self._workers = await workers_of(self._cluster, self._group, self._inputs)
        except (BrokerUnreachable, ClusterError, RightMissing, KafkaError, OSError, TimeoutError):
            await self.close()  # whoever asked is told without an address


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
