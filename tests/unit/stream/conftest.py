"""Scripted brokers for tests of transactions, with the old protocol and with the one of Kafka 4."""

from __future__ import annotations

import pytest

from tests.unit.stream.brokers import KAFKA_4, OLD, Brokers


@pytest.fixture(params=[OLD, KAFKA_4])
async def brokers(request: pytest.FixtureRequest) -> Brokers:
    return Brokers(request.param)
