"""What is particular to tests that end clients of a broker in the middle of their work."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

# A connection that aiokafka is still greeting when its client ends is left to the garbage collector, which complains.
LEFT_BY_THE_CLIENT = (
    r"ignore:Exception ignored in. <(socket|function StreamWriter|function _SelectorTransport)"
    ":pytest.PytestUnraisableExceptionWarning"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(LEFT_BY_THE_CLIENT))


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    """The complaints come in the test they belong to."""
    yield
    gc.collect()
