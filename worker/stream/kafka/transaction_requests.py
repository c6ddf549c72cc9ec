"""The requests of transactions in Kafka 4 (KIP-890), which aiokafka lacks.

In this protocol the first records and offsets of a transaction add their partitions to it, and its end gives the
producer its next epoch. A broker that knows these requests may still reject them: an upgraded cluster uses the old
protocol until its feature `transaction.version` is finalized at 2. The broker's answer to ApiVersions has that feature,
and the versions it accepts. Fields, versions and their order are those of Kafka's message definitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, ClassVar, Final, Self

import aiokafka
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.admin import ApiVersionRequest_v0
from aiokafka.protocol.api import RequestStruct, Response, ResponseHeader_v0
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactBytes,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from worker.stream.clients import Answer

AGREED_VERSION_MIN: Final = 2
"""The least `transaction.version` with which these requests may be sent."""

FEATURES_EPOCH: Final = 1
FINALIZED_FEATURES: Final = 2
"""The tags of an ApiVersions answer for the features that the cluster has finalized, and for their epoch. The epoch
is -1 if the broker does not know them."""

ALL_REPLICAS: Final = -1
NONE: Final = -1
"""No generation of the group, or no epoch of a leader."""
NO_MEMBER: Final = ""
NO_TAGS: Final[dict[int, bytes]] = {}
UNKNOWN_EPOCH: Final = Int64.encode(-1)

TEXT: Final = CompactString("utf-8")
TAGS: Final = ("tags", TaggedFields)
FEATURES: Final = CompactArray(("name", TEXT), ("version_max", Int16), ("version_min", Int16), TAGS)

Versions = Mapping[int, tuple[int, int]]
"""By API key: the oldest and the newest version that a broker accepts."""


def _by_topic(name: str, *fields: tuple[str, Any]) -> tuple[str, CompactArray]:
    """Make a field that has, for each topic, `fields` of some of its partitions."""
    partitions = CompactArray(("partition", Int32), *fields, TAGS)
    return name, CompactArray(("topic", TEXT), ("partitions", partitions), TAGS)


class OfOneVersion:
    """A request with one version. It is its own builder, because aiokafka expects one that chooses a version."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]

    @classmethod
    def is_taken(cls, versions: Versions) -> bool:
        """Whether a broker with these versions accepts the request."""
        oldest, newest = versions.get(cls.API_KEY, (0, -1))
        return oldest <= cls.API_VERSION <= newest

    def prepare(self, versions: Versions) -> Self:
        """Return this request. Raises IncompatibleBrokerVersion if the broker does not accept it."""
        if not self.is_taken(versions):
            raise IncompatibleBrokerVersion(f"the broker does not accept {type(self).__name__}")
        return self


class ProduceResponse_v12(Response):  # noqa: N801 - as aiokafka names them
    """The first offset of the batch of each partition, or why it was rejected."""

    API_KEY = 0
    API_VERSION = 12
    SCHEMA = Schema(
        _by_topic(
            "topics",
            ("error_code", Int16),
            ("offset", Int64),
            ("timestamp", Int64),
            ("log_start_offset", Int64),
            ("record_errors", CompactArray(("batch_index", Int32), ("error_message", TEXT), TAGS)),
            ("error_message", TEXT),
        ),
        ("throttle_time_ms", Int32),
        TAGS,
    )


class ProduceRequest_v12(OfOneVersion, RequestStruct):  # noqa: N801
    """Writes batches by topic and partition, and adds the partitions to the transaction."""

    API_KEY = 0
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ProduceResponse_v12
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("required_acks", Int16),
        ("timeout", Int32),
        _by_topic("topics", ("messages", CompactBytes)),
        TAGS,
    )


class TxnOffsetCommitResponse_v5(Response):  # noqa: N801
    """An error number for the offset of each partition, 0 if it was accepted."""

    API_KEY = 28
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _by_topic("errors", ("error_code", Int16)),
        TAGS,
    )


class TxnOffsetCommitRequest_v5(OfOneVersion, RequestStruct):  # noqa: N801
    """Commits a group's offsets by topic and partition, and adds the group to the transaction."""

    API_KEY = 28
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = TxnOffsetCommitResponse_v5
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("group_id", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("generation_id", Int32),
        ("member_id", TEXT),
        ("group_instance_id", TEXT),
        _by_topic("topics", ("offset", Int64), ("leader_epoch", Int32), ("metadata", TEXT)),
        TAGS,
    )


class EndTxnResponse_v5(Response):  # noqa: N801
    """The producer id and the epoch of the next transaction."""

    API_KEY = 26
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        TAGS,
    )


class EndTxnRequest_v5(OfOneVersion, RequestStruct):  # noqa: N801
    """Commits or aborts the open transaction."""

    API_KEY = 26
    API_VERSION = 5
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = EndTxnResponse_v5
    SCHEMA = Schema(
        ("transactional_id", TEXT),
        ("producer_id", Int64),
        ("producer_epoch", Int16),
        ("transaction_result", Boolean),
        TAGS,
    )


class ApiVersionsResponse_v3(Response):  # noqa: N801
    """The versions that a broker accepts, and in its tags the features that its cluster has finalized."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("api_key", Int16), ("min_version", Int16), ("max_version", Int16), TAGS)),
        ("throttle_time_ms", Int32),
        TAGS,
    )


class ApiVersionsRequest_v3(RequestStruct):  # noqa: N801
    """Asks a broker for its versions and features."""

    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ApiVersionsResponse_v3
    SCHEMA = Schema(("client_software_name", TEXT), ("client_software_version", TEXT), TAGS)

    def prepare(self, versions: Versions) -> RequestStruct:
        """Return this request, or version 0 for an old broker."""
        newest = versions.get(self.API_KEY, (0, 0))[1]
        return self if newest >= self.API_VERSION else ApiVersionRequest_v0()

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """Read the header without tags. Only this answer has none, because the client does not know the version yet."""
        return ResponseHeader_v0.decode(read_buffer)


def produce_request(
    transactional_id: str, timeout_ms: int, partition: int, batches: Iterable[tuple[str, bytes]]
) -> ProduceRequest_v12:
    """Make the request that writes one batch to a partition of each topic, acknowledged by all in-sync replicas."""
    topics = [(topic, [(partition, data, NO_TAGS)], NO_TAGS) for topic, data in batches]
    return ProduceRequest_v12(transactional_id, ALL_REPLICAS, timeout_ms, topics, NO_TAGS)


def offsets_request(
    transactional_id: str, group_id: str, producer_id: int, epoch: int, partition: int, offsets: Mapping[str, int]
) -> TxnOffsetCommitRequest_v5:
    """Make the request that commits offsets. It names no member of the group, because the epoch fences."""
    topics = [(topic, [(partition, offset, NONE, "", NO_TAGS)], NO_TAGS) for topic, offset in offsets.items()]
    return TxnOffsetCommitRequest_v5(
        transactional_id, group_id, producer_id, epoch, NONE, NO_MEMBER, None, topics, NO_TAGS
    )


def end_request(transactional_id: str, producer_id: int, epoch: int, *, commit: bool) -> EndTxnRequest_v5:
    """Make the request that commits or aborts the open transaction."""
    return EndTxnRequest_v5(transactional_id, producer_id, epoch, commit, NO_TAGS)


def versions_request() -> ApiVersionsRequest_v3:
    """Make the request for a broker's versions. The client's version may have letters, digits, `.` and `-` only."""
    return ApiVersionsRequest_v3("aiokafka", aiokafka.__version__.partition("+")[0], NO_TAGS)


def transaction_version(answer: Answer) -> int:
    """Read the finalized `transaction.version` from an ApiVersions answer, 0 if there is none."""
    tags = getattr(answer, "tags", NO_TAGS)
    if FINALIZED_FEATURES not in tags or Int64.decode(BytesIO(tags.get(FEATURES_EPOCH, UNKNOWN_EPOCH))) < 0:
        return 0
    features = FEATURES.decode(BytesIO(tags[FINALIZED_FEATURES])) or []
    return next((newest for name, newest, *_ in features if name == "transaction.version"), 0)


def is_agreed(answer: Answer) -> bool:
    """Read from an ApiVersions answer whether these requests may be sent. Broker and cluster must both agree."""
    versions = {key: (oldest, newest) for key, oldest, newest, *_ in answer.api_versions}
    requests = (ProduceRequest_v12, TxnOffsetCommitRequest_v5, EndTxnRequest_v5)
    return transaction_version(answer) >= AGREED_VERSION_MIN and all(each.is_taken(versions) for each in requests)
