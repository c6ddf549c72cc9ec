"""Simulated processes that crash close nothing, so whole runs are made in a process of their own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest


@pytest.fixture(scope="session")
def elsewhere() -> Iterator[ProcessPoolExecutor]:
    """A process to run plans in: what they leave behind is not complained of in the tests that come after."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield pool
