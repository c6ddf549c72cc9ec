"""The request that deletes consumer groups with their offsets, which aiokafka lacks.

Fields and their order are those of Kafka's message definitions. Brokers know this version since Kafka 2.0.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from worker.stream.kafka.transaction_requests import OfOneVersion


class DeleteGroupsResponse_v1(Response):  # noqa: N801 - as aiokafka names them
    """The groups with an error number each, 0 for those that were deleted."""

    API_KEY = 42
    API_VERSION = 1
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("results", Array(("group", String("utf-8")), ("error_code", Int16))),
    )


class DeleteGroupsRequest_v1(OfOneVersion, RequestStruct):  # noqa: N801
    """Deletes groups that have no members, and their offsets."""

    API_KEY = 42
    API_VERSION = 1
    RESPONSE_TYPE = DeleteGroupsResponse_v1
    SCHEMA = Schema(("groups", Array(String("utf-8"))))


def delete_groups_request(groups: Iterable[str]) -> DeleteGroupsRequest_v1:
    """Make the request to a coordinator that deletes `groups`."""
    return DeleteGroupsRequest_v1(list(groups))
