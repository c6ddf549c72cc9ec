"""What reads back, on a broker, what the edges wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.brokers import Broker
from worker.inspection.topic_reader import TopicReader


@pytest.fixture
async def reader(broker: Broker) -> AsyncIterator[TopicReader]:
    async with TopicReader({"bootstrap_servers": broker.bootstrap_servers}) as reader:
        yield reader
