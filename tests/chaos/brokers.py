"""The brokers of a run, each behind a proxy for the workers, and what must hold before the next of them is hit."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.kafka.local import KafkaCluster, KafkaNode, KafkaStartError, is_active_controller
from tests.chaos.proxy import Proxy
from tests.e2e.system import until

HEAP: Final = "320m"
_FULL_AT_BYTES: Final = 4096
DISK_FULL_SECONDS_MAX: Final = 20.0
STARTS_MAX: Final = 2
LOOK_SECONDS_MAX: Final = 15.0
"""A look at the replicas that takes longer is begun anew: a client can hang with the broker that it asked."""


class Brokers:
    """The nodes and their proxies, in the same order. Made by `new_brokers`."""

    def __init__(self, cluster: KafkaCluster, proxies: list[Proxy]) -> None:
        self.cluster = cluster
        self.nodes = cluster.nodes
        self.proxies = proxies
        self.out = asyncio.Lock()
        """Held while a node is out, until all replicas are in sync again."""

    async def whole(self) -> None:
        """Wait until every replica of every partition is in sync. A node that ended while it started is started again.

        Raises TimeoutError, and KafkaStartError when nodes end again and again.
        """
        starts_left = STARTS_MAX

        async def is_whole() -> bool:
            nonlocal starts_left
            for node in self.nodes:
                if not node.running:
                    if not starts_left:
                        raise KafkaStartError(node.failure("ended again and again while it started"))
                    starts_left -= 1
                    node.launch()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS_MAX):
                    return await self._in_sync()
            return False

        await until(is_whole)

    def summary(self) -> str:
        """How each node is, with the end of the log of those that have ended."""
        return "; ".join(
            f"broker {node.node_id} runs" if node.running else node.failure("has ended") for node in self.nodes
        )

    async def active_controller(self, besides: KafkaNode | None = None) -> KafkaNode:
        """Wait until a node is the active controller, which is not `besides`. Raises TimeoutError."""
        found: list[KafkaNode] = []

        async def one_is() -> bool:
            for node in self.nodes:
                asked = node.running and node is not besides
                if asked and await asyncio.to_thread(is_active_controller, node.ports.controller):
                    found.append(node)
            return bool(found)

        await until(one_is)
        return found[0]

    async def _in_sync(self) -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.cluster.bootstrap_servers, request_timeout_ms=3000)
        try:
            await admin.start()
            described: list[dict[str, Any]] = await admin.describe_topics()
        except (KafkaError, OSError, TimeoutError, AssertionError):
            return False  # a broker that is not back yet
        finally:
            await admin.close()
        partitions = [partition for topic in described for partition in topic["partitions"]]
        return all(
            partition["leader"] > 0 and set(partition["isr"]) == set(partition["replicas"]) for partition in partitions
        )


def fill_disk(node: KafkaNode) -> None:
    """Make every write of the node's process fail that would make a file longer, as they do on a full disk.

    The kernel refuses them (RLIMIT_FSIZE), so the disk itself, which others need, is left alone.
    """
    if node.pid is not None:
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (_FULL_AT_BYTES, _FULL_AT_BYTES))


@asynccontextmanager
async def new_brokers(count: int) -> AsyncIterator[Brokers]:
    """A cluster of so many nodes and its proxies, for the length of the block."""
    async with AsyncExitStack() as running:
        # Not in a thread: a child ends with the thread that started it.
        cluster = running.enter_context(KafkaCluster(count, heap=HEAP, proxied=True, short_lived=True))
        proxies = []
        for node in cluster.nodes:
            ports = node.ports
            assert ports.proxy is not None
            assert ports.behind_proxy is not None
            proxy = Proxy(ports.proxy, ports.behind_proxy)
            await proxy.start()
            running.push_async_callback(proxy.stop)
            proxies.append(proxy)
        yield Brokers(cluster, proxies)
