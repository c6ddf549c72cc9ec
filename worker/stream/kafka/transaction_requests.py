"""The requests of transactions as Kafka 4 has them (KIP-890), which aiokafka does not know.

The first records and offsets of a transaction make their partitions part of it, and its end gives the producer its next
epoch. A broker that knows the requests need not want them: a cluster that was upgraded speaks the old way until its
feature `transaction.version` is finalized at 2. What a broker tells of itself says so, and which versions it takes.
Fields, versions and their order are those of Kafka's message definitions.
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
"""The feature `transaction.version` from which on these requests may be sent."""

FEATURES_EPOCH: Final = 1
FINALIZED_FEATURES: Final = 2
"""The tags under which a broker tells which features its cluster agrees on, and since when; -1: it does not know."""

ALL_REPLICAS: Final = -1
NONE: Final = -1
"""For a generation of the group, and for the epoch of a leader."""
NO_MEMBER: Final = ""
NO_TAGS: Final[dict[int, bytes]] = {}
UNKNOWN_EPOCH: Final = Int64.encode(-1)

TEXT: Final = CompactString("utf-8")
TAGS: Final = ("tags", TaggedFields)
FEATURES: Final = CompactArray(("name", TEXT), ("version_max", Int16), ("version_min", Int16), TAGS)

Versions = Mapping[int, tuple[int, int]]
"""By API key: the oldest and the newest version that a broker takes."""


def _by_topic(name: str, *fields: tuple[str, Any]) -> tuple[str, CompactArray]:
    """A field that has, for each topic, `fields` of some of its partitions."""
    partitions = CompactArray(("partition", Int32), *fields, TAGS)
    return name, CompactArray(("topic", TEXT), ("partitions", partitions), TAGS)


class OfOneVersion:
    """A request and what aiokafka's connections ask a request for, in one: there is nothing to choose from."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]

    @classmethod
    def is_taken(cls, versions: Versions) -> bool:
        """Whether a broker takes it."""
        oldest, newest = versions.get(cls.API_KEY, (0, -1))
        return oldest <= cls.API_VERSION <= newest

    def prepare(self, versions: Versions) -> Self:
        """Itself. Raises IncompatibleBrokerVersion where the broker does not take it."""
        if not self.is_taken(versions):
            raise IncompatibleBrokerVersion(f"the broker does not take {type(self).__name__}")
        return self


class ProduceResponse_v12(Response):  # noqa: N801 - as aiokafka names them
    """Where the batches of each partition begin, or why they were refused."""

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
    """Batches by topic and partition; what is not part of the transaction yet becomes so."""

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
    """Which partitions' offsets were refused."""

    API_KEY = 28
    API_VERSION = 5
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        _by_topic("errors", ("error_code", Int16)),
        TAGS,
    )


class TxnOffsetCommitRequest_v5(OfOneVersion, RequestStruct):  # noqa: N801
    """Offsets of a group by topic and partition; the group becomes part of the transaction."""

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
    """Commits or aborts."""

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
    """What a broker takes, and in its tags what its cluster agrees on."""

    API_KEY = 18
    API_VERSION = 3
    SCHEMA = Schema(
        ("error_code", Int16),
        ("api_versions", CompactArray(("api_key", Int16), ("min_version", Int16), ("max_version", Int16), TAGS)),
        ("throttle_time_ms", Int32),
        TAGS,
    )


class ApiVersionsRequest_v3(RequestStruct):  # noqa: N801
    """Asks a broker for what it is."""

    API_KEY = 18
    API_VERSION = 3
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ApiVersionsResponse_v3
    SCHEMA = Schema(("client_software_name", TEXT), ("client_software_version", TEXT), TAGS)

    def prepare(self, versions: Versions) -> RequestStruct:
        """An old broker is asked for no more than it can tell."""
        newest = versions.get(self.API_KEY, (0, 0))[1]
        return self if newest >= self.API_VERSION else ApiVersionRequest_v0()

    def parse_response_header(self, read_buffer: BytesIO | bytes) -> ResponseHeader_v0:
        """The one answer whose header never has tags: who asks cannot know yet how new the broker is."""
        return ResponseHeader_v0.decode(read_buffer)


def produce_request(
    transactional_id: str, timeout_ms: int, partition: int, batches: Iterable[tuple[str, bytes]]
) -> ProduceRequest_v12:
    """One batch for a partition of each topic, to be answered when all replicas have it."""
    topics = [(topic, [(partition, data, NO_TAGS)], NO_TAGS) for topic, data in batches]
    return ProduceRequest_v12(transactional_id, ALL_REPLICAS, timeout_ms, topics, NO_TAGS)


def offsets_request(
    transactional_id: str, group_id: str, producer_id: int, epoch: int, partition: int, offsets: Mapping[str, int]
) -> TxnOffsetCommitRequest_v5:
    """Offsets of a partition of each topic. No member of the group is named: the epoch is the fence."""
    topics = [(topic, [(partition, offset, NONE, "", NO_TAGS)], NO_TAGS) for topic, offset in offsets.items()]
    return TxnOffsetCommitRequest_v5(
        transactional_id, group_id, producer_id, epoch, NONE, NO_MEMBER, None, topics, NO_TAGS
    )


def end_request(transactional_id: str, producer_id: int, epoch: int, *, commit: bool) -> EndTxnRequest_v5:
    """The end of what is open."""
    return EndTxnRequest_v5(transactional_id, producer_id, epoch, commit, NO_TAGS)


def versions_request() -> ApiVersionsRequest_v3:
    """A question about the broker. It wants to know which client asks, in letters, digits, `.` and `-` alone."""
    return ApiVersionsRequest_v3("aiokafka", aiokafka.__version__.partition("+")[0], NO_TAGS)


def transaction_version(answer: Answer) -> int:
    """The feature `transaction.version` that the cluster agrees on, of a broker's answer about itself; 0: none."""
    tags = getattr(answer, "tags", NO_TAGS)
    if FINALIZED_FEATURES not in tags or Int64.decode(BytesIO(tags.get(FEATURES_EPOCH, UNKNOWN_EPOCH))) < 0:
        return 0
    features = FEATURES.decode(BytesIO(tags[FINALIZED_FEATURES])) or []
    return next((newest for name, newest, *_ in features if name == "transaction.version"), 0)


def is_agreed(answer: Answer) -> bool:
    """Whether these requests may be sent, of a broker's answer about itself: it takes them, and the cluster agrees."""
    versions = {key: (oldest, newest) for key, oldest, newest, *_ in answer.api_versions}
    requests = (ProduceRequest_v12, TxnOffsetCommitRequest_v5, EndTxnRequest_v5)
    return transaction_version(answer) >= AGREED_VERSION_MIN and all(each.is_taken(versions) for each in requests)
