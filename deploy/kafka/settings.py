"""The broker's settings for one machine: loopback only, nothing expires, records of 8 MiB pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

RECORD_BYTES_MAX = 8 * 1024 * 1024
# A batch around the largest record: its header, the key and the headers of a dead letter.
MESSAGE_BYTES_MAX = RECORD_BYTES_MAX + 1024 * 1024
SASL_USER = "stockfreeze"
SASL_PASSWORD = "only-for-tests"  # noqa: S105 - of a broker on the loopback interface, thrown away after the tests
_FOR_EVER = "-1"
_ANY_TIME_MS = str(2**63 - 1)


class Ports(NamedTuple):
    """The ports of one node on 127.0.0.1. `sasl` asks for a user and a password (SASL/PLAIN).

    Clients behind a proxy are accepted at `behind_proxy`, and directed to `proxy`, where the proxy must listen.
    """

    clients: int
    controller: int
    sasl: int
    behind_proxy: int | None = None
    proxy: int | None = None

    @property
    def own(self) -> list[int]:
        """Return the ports on which the node itself listens."""
        ports = (self.clients, self.controller, self.sasl, self.behind_proxy)
        return [port for port in ports if port is not None]


AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    # Clients without a login: the brokers themselves, and tests that grant and revoke.
    "super.users": "User:ANONYMOUS",
}
"""Settings with which `SASL_USER` may do only what is granted."""


def node_settings(node_id: int, ports: Sequence[Ports], data_dir: Path) -> dict[str, str]:
    """Make `server.properties` of node `node_id` (from 1), in a cluster of one node per entry of `ports`."""
    own = ports[node_id - 1]
    nodes = len(ports)
    voters = [f"{number}@127.0.0.1:{each.controller}" for number, each in enumerate(ports, start=1)]
    copies = str(min(3, nodes))
    copies_min = str(min(2, nodes))
    listeners = {"PLAIN": own.clients, "SASL": own.sasl}
    advertised = dict(listeners)
    if own.behind_proxy is not None and own.proxy is not None:
        listeners["PROXIED"], advertised["PROXIED"] = own.behind_proxy, own.proxy
    return {
        "process.roles": "broker,controller",
        "node.id": str(node_id),
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAIN",
        "listeners": _addresses(listeners | {"CONTROLLER": own.controller}),
        "advertised.listeners": _addresses(advertised),
        "listener.security.protocol.map": (
            "PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"
        ),
        "sasl.enabled.mechanisms": "PLAIN",
        "listener.name.sasl.plain.sasl.jaas.config": (
            f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{SASL_USER}="{SASL_PASSWORD}";'
        ),
        "log.dirs": str(data_dir),
        "num.partitions": "1",
        "default.replication.factor": copies,
        "min.insync.replicas": copies_min,
        # A misspelt topic is an error, as on any broker that is looked after.
        "auto.create.topics.enable": "false",
        # Two internal topics of 4 partitions are plenty, and start sooner than the 50 of the defaults.
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": copies_min,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": copies_min,
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(MESSAGE_BYTES_MAX),
        "replica.fetch.max.bytes": str(MESSAGE_BYTES_MAX),
        # A node that comes back leads its partitions again soon, and is a coordinator again.
        "leader.imbalance.check.interval.seconds": "10",
        # Test data is years old and jumps months ahead: no record may be deleted or refused for its timestamp.
        "log.retention.ms": _FOR_EVER,
        "log.retention.bytes": _FOR_EVER,
        "log.message.timestamp.before.max.ms": _ANY_TIME_MS,
        "log.message.timestamp.after.max.ms": _ANY_TIME_MS,
        # Hundreds of small topics pass through one broker in a test run: small indexes, small clean-up buffers.
        "log.index.size.max.bytes": str(1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
    }


def _addresses(listeners: dict[str, int]) -> str:
    return ",".join(f"{name}://127.0.0.1:{port}" for name, port in listeners.items())


def properties_text(settings: dict[str, str]) -> str:
    """The settings as a Java properties file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())
