"""The simulated cluster: nodes, topics, leaders and coordinators. What is written is in one place, and never lost.

Replication is not simulated: an answered write is durable, as with `acks=all`, a minimum of two in-sync replicas and no
unclean elections, which is how the topics are to be created; so the loss of acknowledged records is no fault here. What
a node that dies or sleeps takes with it is its connections, its waiting requests, and for a while its leaderships. The
one exception are the group's offsets, since nothing may rest on them (`group_offsets.py`).
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Iterator

from tests.simulator.kafka.groups import Group
from tests.simulator.kafka.network import Reply, Request
from tests.simulator.kafka.partition_log import PartitionLog
from tests.simulator.kafka.transactions import OFFSETS_TOPIC, Partition, TransactionCoordinator
from tests.simulator.loop import EPOCH_MS, SimulatedLoop

PORT = 9092
HOST = "simulated"
FAILOVER_SECONDS = 1.5
"""How long the controller takes to give a dead node's leaderships away; a sleeping one's too."""
LOADING_SECONDS = 0.15
"""How long a new coordinator reads its log before it answers."""
RETRY_SECONDS = 0.05

TRANSACTION_VERSION = 2
"""Of a new cluster of Apache Kafka 4."""

GROUP = 0
TRANSACTION = 1
"""The kinds of coordinators, as the protocol numbers them."""


class Node:
    """One broker process."""

    def __init__(self, node_id: int, serve: Callable[[Node, Request, Reply], None]) -> None:
        self.node_id = node_id
        self.up = True
        self.online = True
        """Whether the controller counts on it."""
        self._serve = serve
        self._frozen = 0
        self._held: list[Callable[[], None]] = []

    @property
    def is_awake(self) -> bool:
        """Whether it is up, and not held up."""
        return self.up and not self._frozen

    def receive(self, request: Request, reply: Reply) -> None:
        """Handle a request, now or when it is awake again."""
        self.awake(lambda: self._serve(self, request, reply))

    def awake(self, action: Callable[[], None]) -> None:
        """Do something now, or when it is awake again; never, when it dies before."""
        if self._frozen:
            self._held.append(action)
        elif self.up:
            action()

    def freeze(self) -> None:
        """Stop it, as SIGSTOP does."""
        self._frozen += 1

    def thaw(self) -> None:
        """Let it go on."""
        self._frozen -= 1
        if not self._frozen:
            held, self._held = self._held, []
            for action in held:
                self.awake(action)

    def die(self) -> None:
        """kill -9."""
        self.up = False
        self._held.clear()


class Cluster:
    """All nodes, and what they keep together."""

    def __init__(
        self, loop: SimulatedLoop, seed: int, nodes: int, serve: Callable[[Node, Request, Reply], None]
    ) -> None:
        self.loop = loop
        self.chance = random.Random(f"cluster/{seed}")
        self.nodes = [Node(number, serve) for number in range(nodes)]
        self.logs: dict[str, list[PartitionLog]] = {}
        self.ids: dict[str, bytes] = {}
        """By topic; one that is made anew has another."""
        self.policies: dict[str, dict[str, str]] = {}
        """By topic: its configuration, as far as anybody asks for it."""
        self.transaction_version = TRANSACTION_VERSION
        """The feature `transaction.version` that the nodes agree on."""
        self.changes = 0
        """How often topics or leaders changed."""
        self.groups: dict[str, Group] = {}
        self.transactions = TransactionCoordinator(loop, seed, self)
        self.transactions.awake = lambda key, action: self.at_coordinator(TRANSACTION, key, action)
        self.cut: Callable[[int], None] = lambda _node_id: None
        """Breaks all connections of a node."""
        self.on_event: Callable[[str], None] | None = None
        """Hears what happens, for the trace."""
        self._moved: dict[tuple[int, str], int] = {}
        self._loading_until: dict[tuple[int, str], float] = {}
        self._led: dict[tuple[int, str], int] = {}
        self._leaders: dict[Partition, int] = {}
        """Of the nodes that are online now."""

    # -- where things are

    @property
    def bootstrap_servers(self) -> str:
        """For the clients' options."""
        return ",".join(f"{HOST}:{PORT + node.node_id}" for node in self.nodes)

    @property
    def now_ms(self) -> int:
        """The nodes' wall clocks."""
        return EPOCH_MS + int(self.loop.time() * 1000)

    def node_at(self, port: int) -> Node | None:
        """The node that listens, or should, at a port."""
        return self.nodes[port - PORT] if 0 <= port - PORT < len(self.nodes) else None

    def controller(self) -> int:
        """The node that creates topics."""
        return self._first_online(0)

    def leader(self, topic: str, partition: int) -> int:
        """The node that leads a partition; -1: none."""
        leader = self._leaders.get((topic, partition))
        if leader is None:
            leader = self._leaders[topic, partition] = self._first_online(zlib.crc32(topic.encode()) + partition)
        return leader

    def coordinator(self, kind: int, key: str) -> int:
        """The node that coordinates a group or a transactional id; -1: none."""
        moved = self._moved.get((kind, key), 0)
        node_id = self._first_online(zlib.crc32(key.encode()) + kind + moved)
        led = self._led.setdefault((kind, key), node_id)
        if led != node_id:
            self._led[kind, key] = node_id
            self._load(kind, key)
        return node_id

    def loading(self, kind: int, key: str) -> bool:
        """Whether a coordinator is still reading its log."""
        return self._loading_until.get((kind, key), 0.0) > self.loop.time()

    def _first_online(self, number: int) -> int:
        count = len(self.nodes)
        for step in range(count):
            node = self.nodes[(number + step) % count]
            if node.online:
                return node.node_id
        return -1

    def _load(self, kind: int, key: str) -> None:
        self._loading_until[kind, key] = self.loop.time() + LOADING_SECONDS
        if kind == GROUP and key in self.groups:
            self.groups[key].forget_requests()

    def at_coordinator(self, kind: int, key: str, action: Callable[[], None]) -> None:
        """Do something once the coordinator of a key is up, awake and has read its log."""
        node_id = self.coordinator(kind, key)
        if node_id < 0 or not self.nodes[node_id].is_awake or self.loading(kind, key):
            self.loop.later(RETRY_SECONDS, lambda: self.at_coordinator(kind, key, action))
        else:
            action()

    # -- topics

    def create_topic(self, name: str, partitions: int, *, compact: bool) -> None:
        """Make a topic."""
        self.logs[name] = [PartitionLog(compact=compact) for _ in range(partitions)]
        self.changes += 1
        self.ids[name] = self.changes.to_bytes(16, "big")
        self.policies[name] = {"cleanup.policy": "compact" if compact else "delete", "retention.ms": "-1"}

    def delete_topic(self, name: str) -> bool:
        """Delete a topic, and what groups have committed of it; whether there was one."""
        if self.logs.pop(name, None) is None:
            return False
        self.changes += 1
        for group in self.groups.values():
            group.offsets.forget(name)
        return True

    def log(self, topic: str, partition: int) -> PartitionLog | None:
        """The log of a partition, if there is one."""
        logs = self.logs.get(topic)
        return logs[partition] if logs is not None and 0 <= partition < len(logs) else None

    def group(self, group_id: str) -> Group:
        """A group, made when it is first spoken of."""
        group = self.groups.get(group_id)
        if group is None:
            group = self.groups[group_id] = Group(self.loop, group_id)
            group.awake = lambda action: self.at_coordinator(GROUP, group_id, action)
            group.on_event = self._event
        return group

    def write_marker(self, partition: Partition, producer_id: int, epoch: int, *, commit: bool) -> bool:
        """End a transaction in a partition, or in the offsets of a group."""
        topic, number = partition
        if topic.startswith(OFFSETS_TOPIC):
            group_id = topic.removeprefix(OFFSETS_TOPIC)
            node_id = self.coordinator(GROUP, group_id)
            if node_id < 0 or not self.nodes[node_id].is_awake:
                return False
            self.group(group_id).offsets.end_transaction(producer_id, epoch, commit=commit)
            return True
        node_id = self.leader(topic, number)
        if node_id < 0 or not self.nodes[node_id].is_awake:
            return False
        log = self.log(topic, number)
        if log is not None:
            log.end_transaction(producer_id, epoch, commit=commit, timestamp_ms=self.now_ms)
        return True

    def all_logs(self) -> Iterator[PartitionLog]:
        """Every partition's log."""
        for logs in self.logs.values():
            yield from logs

    # -- what happens to nodes

    def kill(self, node_id: int, restart_after: float) -> None:
        """Let a node die, and come back."""
        node = self.nodes[node_id]
        if not node.up:
            return
        self._event(f"node {node_id} dies")
        node.die()
        self.cut(node_id)
        self.loop.later(FAILOVER_SECONDS, lambda: self._fail_over(node))
        self.loop.later(restart_after, lambda: self._restart(node))

    def freeze(self, node_id: int, seconds: float) -> None:
        """Hold a node up."""
        node = self.nodes[node_id]
        self._event(f"node {node_id} is held up for {seconds:.1f} s")
        node.freeze()
        self.loop.later(FAILOVER_SECONDS, lambda: self._fail_over(node))
        self.loop.later(seconds, lambda: self._thaw(node))

    def move_coordinators(self, kind: int) -> None:
        """Let other nodes coordinate the groups or the transactional ids; a single node reads its log again."""
        for kind_led, key in sorted(self._led):
            if kind_led == kind:
                self._event(f"the coordinator of {key} moves")
                self._moved[kind, key] = self._moved.get((kind, key), 0) + 1
                self._load(kind, key)

    def answer_old_offsets(self, commits_back: int, for_seconds: float) -> None:
        """Let the coordinators of the groups answer offsets as they were so many commits ago, for a while."""
        self._event(f"the coordinators of the groups answer offsets of {commits_back} commits ago")
        for group in self.groups.values():
            group.offsets.answer_old(commits_back, self.loop.time() + for_seconds)

    def agree_on_transactions(self, version: int) -> None:
        """Change the feature `transaction.version`, as an operator does after an upgrade."""
        self._event(f"the nodes agree on transactions of version {version}")
        self.transaction_version = version

    def clean_logs(self) -> None:
        """Let the log cleaner run over all compacted topics."""
        for log in self.all_logs():
            if log.compact:
                log.clean()

    def _fail_over(self, node: Node) -> None:
        if not node.is_awake and len(self.nodes) > 1:
            self._put(node, online=False)
            self._event(f"node {node.node_id} leads nothing any more")

    def _thaw(self, node: Node) -> None:
        node.thaw()
        if node.is_awake:
            self._put(node, online=True)

    def _restart(self, node: Node) -> None:
        self._event(f"node {node.node_id} is back")
        node.up = True
        self._put(node, online=True)
        for kind, key in self._led:
            if self._led[kind, key] == node.node_id:
                self._load(kind, key)

    def _put(self, node: Node, *, online: bool) -> None:
        node.online = online
        self._leaders.clear()
        self.changes += 1

    def _event(self, what: str) -> None:
        if self.on_event is not None:
            self.on_event(what)
