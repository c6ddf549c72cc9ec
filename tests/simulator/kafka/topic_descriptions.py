"""A node's answers about topics beyond what aiokafka requests: their ids, and their configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aiokafka.protocol.admin import DescribeConfigsRequest_v2, DescribeConfigsResponse_v2

from tests.simulator.kafka.cluster import HOST, PORT, Node
from tests.simulator.kafka.codes import Code
from tests.simulator.kafka.network import Reply, Request
from worker.stream.kafka.metadata_requests import NO_ID, MetadataRequest_v12, MetadataResponse_v12
from worker.stream.kafka.transaction_requests import NO_TAGS

if TYPE_CHECKING:
    from tests.simulator.kafka.api import Api

TOPIC_RESOURCE = 2
OF_TOPIC = 1
"""The source of a configuration."""


class Describing:
    """Serves all nodes of a cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self.handlers: dict[Any, Callable[[Node, Any, Reply], None]] = {
            MetadataRequest_v12: self._metadata,
            DescribeConfigsRequest_v2: self._configs,
        }

    def _metadata(self, _node: Node, request: Request, reply: Reply) -> None:
        cluster = self._api.cluster
        ids = [node.node_id for node in cluster.nodes]
        brokers = [(n.node_id, HOST, PORT + n.node_id, "", NO_TAGS) for n in cluster.nodes if n.online]
        topics: list[tuple[object, ...]] = []
        for _, name, *_ in request.topics:
            logs = cluster.logs.get(name)
            if logs is None:
                topics.append((int(Code.UNKNOWN_TOPIC_OR_PARTITION), name, NO_ID, False, [], 0, NO_TAGS))
                continue
            partitions: list[tuple[object, ...]] = [
                (0, number, cluster.leader(name, number), 0, ids, ids, [], NO_TAGS) for number in range(len(logs))
            ]
            topics.append((int(Code.NONE), name, cluster.ids[name], False, partitions, 0, NO_TAGS))
        reply(MetadataResponse_v12(0, brokers, "simulated", cluster.controller(), topics, NO_TAGS))

    def _configs(self, _node: Node, request: Request, reply: Reply) -> None:
        answers = []
        for kind, name, _ in request.resources:
            policies = self._api.cluster.policies.get(name)
            code = Code.UNKNOWN_TOPIC_OR_PARTITION if policies is None else Code.NONE
            entries: list[tuple[object, ...]] = [
                (key, value, False, OF_TOPIC, False, []) for key, value in (policies or {}).items()
            ]
            answers.append((int(code), None, kind, name, entries))
        reply(DescribeConfigsResponse_v2(0, answers))
