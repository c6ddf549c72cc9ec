"""Administering a Kafka cluster: its topics with their configurations, and its consumer groups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.protocol import ConsumerProtocol
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    NotCoordinatorForGroupError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    for_code,
)

from worker.clock import Clock
from worker.inspection import connecting
from worker.inspection.connecting import RightMissing
from worker.stream.kafka.group_requests import delete_groups_request
from worker.stream.kafka.metadata_requests import describe_topics
from worker.stream.rights import hidden_sentence, hidden_topics, missing_right

REQUEST_TIMEOUT_MS = 10_000
CREATED_SECONDS_MAX = 15.0
COORDINATOR_SECONDS_MAX = 10.0
RETRY_SECONDS = 0.2
REBALANCE_SECONDS_MAX = 2.0
REBALANCING = ("PreparingRebalance", "CompletingRebalance")
GROUPS_ASKED_MAX = 100
BROKER_DEFAULT = -1
"""The replication factor that stands for the brokers' own default."""
OF_TOPIC = 1
"""The protocol's number for a configuration that is set for the topic itself."""
GROUP_UNKNOWN = 69
GROUP_NOT_EMPTY = 68
"""Error numbers that aiokafka has no class for."""
COORDINATOR_MOVES = (GroupCoordinatorNotAvailableError, GroupLoadInProgressError, NotCoordinatorForGroupError)


class ClusterError(Exception):
    """The cluster rejected a request; the message is one sentence."""


Answer = TypeVar("Answer")


class GroupMember(NamedTuple):
    """A member of a consumer group: the host that the broker sees, the data that it joined with, and what it has.

    Data and partitions are empty while the group rebalances.
    """

    client_id: str
    host: str
    data: bytes
    partitions: Mapping[str, Sequence[int]]


class TopicSpec(NamedTuple):
    """A topic to create. `replication_factor` may be `BROKER_DEFAULT`."""

    name: str
    partition_count: int
    replication_factor: int
    configs: Mapping[str, str]


class Cluster:
    """Sends requests to one cluster. Made by `open_cluster`."""

    def __init__(self, admin: AIOKafkaAdminClient, clock: Clock = Clock()) -> None:
        self._admin = admin
        self._clock = clock

    async def partition_counts(self) -> dict[str, int]:
        """Count the partitions of all topics. It asks for all, because a request for one by name may create it."""
        return {topic["topic"]: len(topic["partitions"]) for topic in await self._admin.describe_topics()}

    async def hidden(self, names: Iterable[str]) -> list[str]:
        """Find those of `names` that the user may not describe; all are missing from `partition_counts`."""
        return await hidden_topics(self._admin, list(names))

    async def require_visible(self, names: Iterable[str]) -> None:
        """Raise RightMissing where one of these topics, which are not among `partition_counts`, is hidden."""
        if hidden := await self.hidden(names):
            raise RightMissing(hidden_sentence(None, hidden))

    async def configs(self, topics: Iterable[str], names: Sequence[str]) -> dict[str, dict[str, str]]:
        """Read the configurations `names` of existing topics; those that a broker leaves out are left out."""
        wanted = dict.fromkeys(names, "")
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic, wanted) for topic in topics]
        values: dict[str, dict[str, str]] = {}
        for response in await self._admin.describe_configs(resources) if resources else []:
            for code, message, _, topic, entries in response.resources:
                _raise_for_config(topic, code, message)
                values[topic] = {entry[0]: entry[1] for entry in entries if entry[0] in wanted and entry[1] is not None}
        return values

    async def ids(self, topics: Sequence[str]) -> dict[str, bytes]:
        """Read the ids of topics, without those that have none or do not exist."""
        found = await describe_topics(self._admin, topics)
        return {name: topic.topic_id for name, topic in found.items() if topic.topic_id is not None}

    async def as_created(self, topics: Sequence[str]) -> dict[str, TopicSpec]:
        """Read how to create existing topics again: with the configurations that are set for the topic itself."""
        described = {topic["topic"]: topic for topic in await self._admin.describe_topics() if topic["topic"] in topics}
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in described]
        configs: dict[str, dict[str, str]] = {}
        for response in await self._admin.describe_configs(resources) if resources else []:
            has_source = response.API_VERSION > 0  # the first version leaves out where a value comes from
            for code, message, _, topic, entries in response.resources:
                _raise_for_config(topic, code, message)
                configs[topic] = {
                    name: value
                    for name, value, _, source, *_ in entries
                    if has_source and source == OF_TOPIC and value is not None
                }
        return {
            name: TopicSpec(
                name,
                len(topic["partitions"]),
                max((len(partition["replicas"]) for partition in topic["partitions"]), default=BROKER_DEFAULT),
                configs.get(name, {}),
            )
            for name, topic in described.items()
        }

    async def delete(self, topics: Sequence[str]) -> None:
        """Delete topics with one request, and wait until they are gone; topics that do not exist are ignored.

        Raises ClusterError.
        """
        if not topics:
            return
        response: Any = await self._admin.delete_topics(list(topics), REQUEST_TIMEOUT_MS)
        for topic, code in response.topic_error_codes:
            if code == TopicAuthorizationFailedError.errno:
                raise RightMissing(missing_right(TopicAuthorizationFailedError(topic), None, lambda _: "Delete"))
            if code not in (0, UnknownTopicOrPartitionError.errno):
                raise ClusterError(f"{topic} cannot be deleted: {for_code(code).__name__}")
        waiting_ends = self._clock.monotonic() + CREATED_SECONDS_MAX
        while left := set(topics) & (await self.partition_counts()).keys():
            if self._clock.monotonic() > waiting_ends:
                raise ClusterError(f"not gone {CREATED_SECONDS_MAX:.0f} s after they were deleted: {sorted(left)}")
            await asyncio.sleep(RETRY_SECONDS)

    async def create(self, specs: Sequence[TopicSpec]) -> tuple[set[str], dict[str, int]]:
        """Create topics and wait until they can be written.

        Returns the topics that were created elsewhere meanwhile, and the partition counts of all `specs`. The counts
        come from an answer that has all topics, because the next broker may not know them yet. Raises ClusterError.
        """
        if not specs:
            return set(), {}
        response: Any = await self._admin.create_topics([_new_topic(spec) for spec in specs], REQUEST_TIMEOUT_MS)
        existed = set()
        for topic, code, message in response.topic_errors:
            if code == TopicAlreadyExistsError.errno:
                existed.add(topic)
            elif code == TopicAuthorizationFailedError.errno:
                raise RightMissing(missing_right(TopicAuthorizationFailedError(topic), None, _create))
            elif code:
                raise ClusterError(f"{topic} cannot be created: {message or for_code(code).__name__}")
        return existed, await self._counts_once_led({spec.name for spec in specs})

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        """Read the offsets that a consumer group has committed, by topic and partition."""
        offsets = await self._of_group(group, "Describe", lambda: self._admin.list_consumer_group_offsets(group))
        return {(place.topic, place.partition): kept.offset for place, kept in offsets.items() if kept.offset >= 0}

    async def groups_of(self, topics: Collection[str]) -> list[str]:
        """Find the groups that have committed offsets of these topics, among the first `GROUPS_ASKED_MAX` groups."""
        listed = sorted({group for group, *_ in await self._admin.list_consumer_groups()})
        return [
            group
            for group in listed[:GROUPS_ASKED_MAX]
            if any(topic in topics for topic, _ in await self.committed(group))
        ]

    async def members(self, group: str) -> list[GroupMember]:
        """Read the members of a consumer group; none: the broker does not know the group.

        Waits a little while the group rebalances, because no member has a partition then.
        """
        waiting_ends = self._clock.monotonic() + REBALANCE_SECONDS_MAX
        while True:
            state, members = await self._of_group(group, "Describe", lambda: self._describe(group))
            if state not in REBALANCING or self._clock.monotonic() > waiting_ends:
                return [_member_of(*fields) for fields in members]
            await asyncio.sleep(RETRY_SECONDS)

    async def _describe(self, group: str) -> tuple[str, list[tuple[str, str, str, bytes, bytes]]]:
        [response] = await self._admin.describe_consumer_groups([group])
        [(code, _, state, _, _, members)] = [described[:6] for described in response.groups]
        if code not in (0, GROUP_UNKNOWN):
            raise for_code(code)
        return state, list(members)

    async def delete_group(self, group: str) -> None:
        """Delete a group with its offsets, if it exists. Raises ClusterError where it has members."""

        async def ask() -> int:
            node = await self._admin.find_coordinator(group)
            answer: Any = await self._admin._send_request_to_node(node, delete_groups_request([group]))  # noqa: SLF001 # it has no public way
            ((_, error_code),) = answer.results
            if error_code not in (0, GROUP_UNKNOWN, GROUP_NOT_EMPTY):
                raise for_code(error_code)(group)
            return int(error_code)

        if await self._of_group(group, "Delete", ask) == GROUP_NOT_EMPTY:
            raise ClusterError(f"group {group} has members again: stop all workers, and run this once more")

    async def _of_group(self, group: str, right: str, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """Ask a group's coordinator, again while it moves. Raises RightMissing without `right` on the group."""
        waiting_ends = self._clock.monotonic() + COORDINATOR_SECONDS_MAX
        while True:
            try:
                return await ask()
            except COORDINATOR_MOVES as error:
                # A new cluster answers so until its first group makes it create the topic of offsets.
                if self._clock.monotonic() > waiting_ends:
                    raise ClusterError(f"the coordinator of group {group} does not answer: {error}") from error
                await asyncio.sleep(RETRY_SECONDS)
            except GroupAuthorizationFailedError as error:
                refusal = GroupAuthorizationFailedError(group)  # the client leaves out which
                raise RightMissing(missing_right(refusal, of_group=right)) from error

    async def _counts_once_led(self, names: set[str]) -> dict[str, int]:
        waiting_ends = self._clock.monotonic() + CREATED_SECONDS_MAX
        while True:
            described = await self._admin.describe_topics()
            led = {
                topic["topic"]: len(topic["partitions"])
                for topic in described
                if topic["partitions"] and all(partition["leader"] >= 0 for partition in topic["partitions"])
            }
            if names <= led.keys():
                return {name: led[name] for name in names}
            if self._clock.monotonic() > waiting_ends:
                missing = ", ".join(sorted(names - led.keys()))
                raise ClusterError(f"created, but without a leader after {CREATED_SECONDS_MAX:.0f} s: {missing}")
            await asyncio.sleep(RETRY_SECONDS)


def _raise_for_config(topic: str, code: int, message: str | None) -> None:
    if code == TopicAuthorizationFailedError.errno:
        raise RightMissing(missing_right(TopicAuthorizationFailedError(topic), None, _describe_configs))
    if code:
        raise ClusterError(f"the configuration of {topic} cannot be read: {message or for_code(code).__name__}")


def _describe_configs(_topic: str) -> str:
    return "DescribeConfigs"


def _create(_topic: str) -> str:
    return "Create"


def _member_of(
    _member_id: str, client_id: str, client_host: str, member_metadata: bytes, member_assignment: bytes
) -> GroupMember:
    metadata = ConsumerProtocol.METADATA.decode(member_metadata) if member_metadata else None
    assignment = ConsumerProtocol.ASSIGNMENT.decode(member_assignment) if member_assignment else None
    return GroupMember(
        client_id=client_id,
        host=client_host.rpartition("/")[2],  # Java writes "/10.0.0.1"
        data=b"" if metadata is None else metadata.user_data or b"",
        partitions={} if assignment is None else dict(assignment.assignment),
    )


def _new_topic(spec: TopicSpec) -> NewTopic:
    # The brokers' default replication factor is asked for with -1, which aiokafka takes only beside assignments: none.
    assignments: dict[int, list[int]] | None = {} if spec.replication_factor == BROKER_DEFAULT else None
    return NewTopic(spec.name, spec.partition_count, spec.replication_factor, assignments, dict(spec.configs))


@asynccontextmanager
async def open_cluster(client_options: Mapping[str, object]) -> AsyncIterator[Cluster]:
    """Connect for the length of the block. Raises BrokerUnreachable."""
    admin = AIOKafkaAdminClient(**client_options, request_timeout_ms=REQUEST_TIMEOUT_MS)
    try:
        await connecting.start(admin, client_options)
        yield Cluster(admin)
    finally:
        await connecting.close(admin.close())
