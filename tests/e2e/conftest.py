"""What every end-to-end test starts from: workers on a broker, under names of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.brokers import Broker, Names
from tests.e2e.worker_process import WorkerProcess, workers


@pytest.fixture
def start_worker(broker: Broker, names: Names, tmp_path: Path) -> Iterator[Callable[..., WorkerProcess]]:
    """Start a worker of this test's application, such as `start_worker(BUFFER="2")`. Create its topics first."""
    common = {
        "BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "APP_ID": names.app_id,
        "TOPIC_PREFIX": names.prefix,
    }
    with workers(tmp_path, common) as start:
        yield start
