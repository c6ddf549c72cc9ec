"""The deletion of a group, as Kafka's message definitions have it."""

from __future__ import annotations

from io import BytesIO

from worker.stream.kafka.group_requests import DeleteGroupsResponse_v1, delete_groups_request


def test_a_group_is_asked_for_by_its_name() -> None:
    assert delete_groups_request(["stock"]).encode() == b"\x00\x00\x00\x01\x00\x05stock"


def test_the_answer_has_an_error_a_group() -> None:
    answer = DeleteGroupsResponse_v1.decode(BytesIO(b"\x00\x00\x00\x00\x00\x00\x00\x01\x00\x05stock\x00\x44"))
    assert answer.results == [("stock", 68)]
