"""The address that a worker joins with, and how others find it."""

from __future__ import annotations

import pytest

from worker.inspection.cluster import GroupMember
from worker.inspection.members import Worker, contact_data, worker_of

INPUTS = ["orders", "counts"]
ALL = {"orders": [0, 1], "counts": [1, 0]}


def joined(data: bytes, host: str = "10.0.0.7", partitions: dict[str, list[int]] | None = None) -> Worker:
    return worker_of(GroupMember("app-inputs", host, data, ALL if partitions is None else partitions), INPUTS)


@pytest.mark.parametrize(
    ("web_url", "web_host", "url"),
    [
        (None, "127.0.0.1", "http://127.0.0.1:6066"),
        (None, "worker-1.example", "http://worker-1.example:6066"),
        (None, "::1", "http://[::1]:6066"),
        (None, "0.0.0.0", "http://10.0.0.7:6066"),  # noqa: S104 - nothing listens here
        (None, "::", "http://10.0.0.7:6066"),
        ("https://ops.example/w1", "0.0.0.0", "https://ops.example/w1"),  # noqa: S104 - likewise
        ("https://ops.example/w1", "127.0.0.1", "https://ops.example/w1"),
    ],
)
def test_pages_are_found_where_the_worker_says_or_the_broker_sees_it(
    web_url: str | None, web_host: str, url: str
) -> None:
    assert joined(contact_data("w", web_url, web_host, 6066)).url == url


def test_a_host_that_the_broker_sees_by_ipv6_is_written_in_brackets() -> None:
    assert joined(contact_data("w", None, "::", 6066), host="fe80::1").url == "http://[fe80::1]:6066"


@pytest.mark.parametrize("data", [b"", b"\x00\x01", b"{}", b"[]"])
def test_a_member_that_joined_with_something_else_has_no_pages(data: bytes) -> None:
    worker = joined(data)
    assert (worker.name, worker.url, worker.partitions) == (None, None, (0, 1))


def test_a_worker_has_only_partitions_of_which_it_has_every_input() -> None:
    data = contact_data("w", None, "127.0.0.1", 1)
    assert joined(data, partitions={"orders": [0, 1], "counts": [1, 2]}).partitions == (1,)
    assert joined(data, partitions={"orders": [0]}).partitions == ()
    assert joined(data, partitions={}).partitions == ()
