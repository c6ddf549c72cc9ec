"""The brokers of a test run, Apache Kafka and the embedded one: started when first asked for, shared by all tests."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from enum import StrEnum
from functools import cache
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import for_code

from deploy.kafka.jars import KafkaUnavailable, jars, missing
from deploy.kafka.local import TRANSACTION_VERSION, KafkaCluster, free_port
from deploy.kafka.settings import MESSAGE_BYTES_MAX
from schemas.topics import Topic
from worker.demo.broker import embedded_broker, embedded_broker_installed
from worker.inspection.admin import spec_of


class BrokerKind(StrEnum):
    """What answers: Apache Kafka itself, or the embedded broker that speaks its protocol."""

    APACHE = "apache"
    EMBEDDED = "embedded"


class Names(NamedTuple):
    """Names that no other test of this run uses, so that one broker serves all. `prefix` goes before each topic."""

    prefix: str
    app_id: str


class Broker:
    """A running broker. What a test makes on it carries the test's own `Names` and is left to die with the broker."""

    def __init__(self, kind: BrokerKind, bootstrap_servers: str, cluster: KafkaCluster | None = None) -> None:
        self.kind = kind
        self.bootstrap_servers = bootstrap_servers
        self._cluster = cluster

    @property
    def sasl_bootstrap_servers(self) -> str:
        """Where Apache Kafka asks for a user and a password (`deploy.kafka.settings.SASL_USER`, `SASL_PASSWORD`)."""
        if self._cluster is None:
            raise LookupError("the embedded broker knows no authentication: mark the test as `apache`")
        return self._cluster.sasl_bootstrap_servers

    async def create_topics(
        self, names: Iterable[str], *, partitions: int, config: Mapping[str, str] | None = None
    ) -> None:
        """Create topics, with records of 8 MiB allowed, and a copy on every node up to 3.

        Raises the broker's error for a topic that it refuses.
        """
        copies = 1 if self._cluster is None else min(3, len(self._cluster.nodes))
        settings = {"max.message.bytes": str(MESSAGE_BYTES_MAX), **(config or {})}
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            wanted = [NewTopic(name, partitions, copies, topic_configs=settings) for name in names]
            answer = await admin.create_topics(wanted, timeout_ms=10_000)
        finally:
            await admin.close()
        for topic, code, *said in answer.topic_errors:
            if code != 0:
                raise for_code(code)(f"{topic}: {said}")

    async def create_system(self, prefix: str, topics: Iterable[Topic], *, partitions: int) -> None:
        """Create topics of a system, with the configuration that `topics create` gives them."""
        for topic in topics:
            spec = spec_of(topic, prefix + topic.value, partitions, 1)
            await self.create_topics([spec.name], partitions=partitions, config=spec.configs)


class Brokers:
    """The brokers of one test run, by kind. `close` ends those that were started."""

    def __init__(self) -> None:
        self._started: dict[BrokerKind, Broker] = {}
        self._running = ExitStack()

    def get(self, kind: BrokerKind) -> Broker:
        """The broker of this kind, started if it is the first time. Raises what the start raises."""
        if kind not in self._started:
            self._started[kind] = self._start(kind)
        return self._started[kind]

    def close(self) -> None:
        """End every broker that was started."""
        self._running.close()

    def _start(self, kind: BrokerKind) -> Broker:
        match kind:
            case BrokerKind.APACHE:
                cluster = self._running.enter_context(KafkaCluster())
                return Broker(kind, cluster.bootstrap_servers, cluster)
            case BrokerKind.EMBEDDED:
                return Broker(kind, self._running.enter_context(embedded_broker(free_port())))


def apache_kafka(
    nodes: int = 1, transaction_version: int = TRANSACTION_VERSION, *, authorizes: bool = False
) -> KafkaCluster:
    """A cluster of the test's own, for a `with` block: its nodes may be killed, paused and restarted.

    The test needs the marker `apache`.
    """
    return KafkaCluster(
        nodes, heap="512m", short_lived=True, transaction_version=transaction_version, authorizes=authorizes
    )


def embedded() -> AbstractContextManager[str]:
    """An embedded broker of the test's own, for a `with` block that gets its bootstrap servers."""
    return embedded_broker(free_port())


def unique_names() -> Names:
    """New names. Not from `random`: that is seeded anew for every test."""
    mark = uuid.uuid4().hex[:10]
    return Names(prefix=f"t{mark}.", app_id=f"app-{mark}")


@cache
def why_not(kind: BrokerKind) -> str | None:
    """What keeps this broker from running here, or None.

    Fetches Apache Kafka, so that a machine without network is told apart.
    """
    match kind:
        case BrokerKind.APACHE:
            return missing() or _fetch()
        case BrokerKind.EMBEDDED:
            return None if embedded_broker_installed() else "noida-db is not installed"


def _fetch() -> str | None:
    try:
        jars()
    except KafkaUnavailable as error:
        return str(error)
    return None
