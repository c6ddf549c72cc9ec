"""What every end-to-end test starts from: a system's topics, and workers on it, under names of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker, Names
from tests.e2e.system import System
from tests.e2e.worker_process import StartWorker, workers

PARTITIONS = 4


@pytest.fixture
def start_worker(broker: Broker, names: Names, tmp_path: Path) -> Iterator[StartWorker]:
    """Start a worker of this test's application, such as `start_worker(BUFFER="2")`. Create its topics first."""
    common = {
        "BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "APP_ID": names.app_id,
        "TOPIC_PREFIX": names.prefix,
    }
    with workers(tmp_path, common) as start:
        yield start


@pytest.fixture
def bare_system(broker: Broker, names: Names) -> System:
    """A system whose topics are not there yet."""
    return System(broker, names, PARTITIONS)


@pytest.fixture
async def system(bare_system: System) -> System:
    """A system with its topics, as `stockfreeze topics create` makes them."""
    await bare_system.create_topics()
    return bare_system
