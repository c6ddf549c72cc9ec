"""The request for topics by name that returns their ids, which is newer than any of aiokafka's.

A topic that was deleted and recreated has another id (KIP-516). Fields, versions and their order are those of Kafka's
message definitions. Brokers know this version since Kafka 2.8.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Final, NamedTuple

from aiokafka.errors import IncompatibleBrokerVersion, TopicAuthorizationFailedError, UnknownTopicOrPartitionError
from aiokafka.protocol.abstract import AbstractType
from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, Int16, Int32, Schema

from worker.stream.clients import Admin, Answer, Client
from worker.stream.kafka.transaction_requests import NO_TAGS, TAGS, TEXT, OfOneVersion
from worker.stream.rights import hidden_topics

UUID_BYTES: Final = 16
NO_ID: Final = bytes(UUID_BYTES)
"""The id of a topic that has none, in an answer, and of each topic in a request by name."""


class Uuid(AbstractType[bytes]):
    """A field of sixteen bytes."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        """Return the bytes unchanged."""
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        """Read the bytes."""
        return data.read(UUID_BYTES)


class MetadataResponse_v12(Response):  # noqa: N801 - as aiokafka names them
    """The brokers, and the requested topics."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", TEXT), ("port", Int32), ("rack", TEXT), TAGS)),
        ("cluster_id", TEXT),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("topic", TEXT),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        TAGS,
                    ),
                ),
                ("authorized_operations", Int32),
                TAGS,
            ),
        ),
        TAGS,
    )


class MetadataRequest_v12(OfOneVersion, RequestStruct):  # noqa: N801
    """Asks for topics by name. It creates none."""

    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponse_v12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("topic", TEXT), TAGS)),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        TAGS,
    )


class DescribedTopic(NamedTuple):
    """What a broker reports of one topic. `topic_id` is None if it has none, or if the broker is too old."""

    error_code: int
    partition_count: int
    topic_id: bytes | None


def metadata_request(topics: Iterable[str]) -> MetadataRequest_v12:
    """Make the request for these topics."""
    named = [(NO_ID, topic, NO_TAGS) for topic in topics]
    return MetadataRequest_v12(named, False, False, NO_TAGS)  # noqa: FBT003 - fields in the order of the protocol


def described(answer: Answer) -> dict[str, DescribedTopic]:
    """Read an answer, by topic."""
    return {
        topic: DescribedTopic(code, len(partitions), None if topic_id == NO_ID else topic_id)
        for code, topic, topic_id, _, partitions, *_ in answer.topics
    }


async def describe_topics(admin: Admin, topics: Sequence[str]) -> dict[str, DescribedTopic]:
    """Ask a cluster about these topics, with an admin client that is started. It creates none."""
    client: Client = admin._client  # noqa: SLF001 - the admin client does not ask for ids
    try:
        return described(await client.send(client.get_random_node(), metadata_request(topics)))
    except IncompatibleBrokerVersion:
        # The broker is older. Its own request by name may create missing topics, so all topics are listed.
        listed = {topic["topic"]: topic for topic in await admin.describe_topics()}
    hidden = set(await hidden_topics(admin, [name for name in topics if name not in listed]))
    found = {}
    for name in topics:
        topic = listed.get(name)
        if topic is not None:
            found[name] = DescribedTopic(topic["error_code"], len(topic["partitions"]), None)
        else:
            refusal = TopicAuthorizationFailedError if name in hidden else UnknownTopicOrPartitionError
            found[name] = DescribedTopic(refusal.errno, 0, None)
    return found
