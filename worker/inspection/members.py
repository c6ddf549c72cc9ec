"""Finding the worker that has a partition, and the address of its pages, through the consumer group.

Each worker joins its group with that address. It may lead elsewhere: it may be a loopback address, which is another
machine for the one that asks, or another worker may use it by now. So each worker also joins with a name of its own,
and puts the name into every answer. The one that asks compares the two names.
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
"""The header of every answer with the name of the worker that gave it."""

KNOWN_SECONDS = 2.0
"""How long a description of the group is reused."""
DESCRIBE_SECONDS_MAX = 3.0


class Contact(msgspec.Struct, omit_defaults=True):
    """The data that a worker joins its group with: its name, and the address of its pages.

    `url` None: the pages listen on all addresses of their machine. Then the address from which the broker sees the
    worker connect is used, with `port`.
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
    """Encode what a worker joins with. `url` overrides `host` and `port`, where its pages listen."""
    if url is None and not _is_any(host):
        url = page_address(host, port)
    return msgspec.json.encode(Contact(worker, port, None if url is None else url.rstrip("/")))


def page_address(host: str, port: int) -> str:
    """Format the address of pages."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def worker_of(member: GroupMember, inputs: Sequence[str]) -> Worker:
    """Read a member as a worker; one that joined with other data has no address."""
    try:
        contact = msgspec.json.decode(member.data, type=Contact) if member.data else None
    except msgspec.DecodeError:
        contact = None
    partitions = set.intersection(*(set(member.partitions.get(topic, ())) for topic in inputs))
    url = None if contact is None else contact.url or page_address(member.host, contact.port)
    return Worker(None if contact is None else contact.worker, member.host, url, tuple(sorted(partitions)))


async def workers_of(cluster: Cluster, group: str, inputs: Sequence[str]) -> list[Worker]:
    """Find the workers of a group. Raises ClusterError or an error of Kafka where it cannot be described."""
    return [worker_of(member, inputs) for member in await cluster.members(group)]


class GroupDirectory:
    """Finds the pages of other workers, for a worker that is asked for a partition of theirs."""

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
        """Find the pages of the worker that has a partition; None: not known. Takes some seconds at most."""
        async with self._lock:
            now = self._clock.monotonic()
            if self._known_at is None or now - self._known_at > KNOWN_SECONDS:
                await self._learn()
                self._known_at = self._clock.monotonic()
        return next((worker.url for worker in self._workers if partition in worker.partitions), None)

    async def close(self) -> None:
        """Close the connection."""
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
            await self.close()  # the caller goes on without an address


def _is_any(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False
