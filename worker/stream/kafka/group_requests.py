"""The deletion of consumer groups with their offsets: a request that aiokafka does not have.

Fields and their order are those of Kafka's message definitions; this version is known to brokers from 2.0 on.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiokafka.protocol.api import RequestStruct, Response
from aiokafka.protocol.types import Array, Int16, Int32, Schema, String

from worker.stream.kafka.transaction_requests import OfOneVersion


class DeleteGroupsResponse_v1(Response):  # noqa: N801 - as aiokafka names them
    """Which groups were not deleted, and why."""

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
    """Ask a coordinator to delete these groups."""
    return DeleteGroupsRequest_v1(list(groups))
