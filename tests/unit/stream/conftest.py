"""Brokers that answer as they are told to, for whoever writes transactions: of the old way, and of that of Kafka 4."""

from __future__ import annotations

import pytest

from tests.unit.stream.brokers import KAFKA_4, OLD, Brokers


@pytest.fixture(params=[OLD, KAFKA_4])
async def brokers(request: pytest.FixtureRequest) -> Brokers:
    return Brokers(request.param)
