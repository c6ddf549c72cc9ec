from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaError

from worker.stream.client_log import ClientLog, RateLimit


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def client_log(clock: _Clock) -> Iterator[ClientLog]:
    client_log = ClientLog(5000, clock)
    client_log.install()
    yield client_log
    client_log.remove()


def test_a_key_passes_once_per_interval_and_tells_what_was_held_back(clock: _Clock) -> None:
    limit = RateLimit(5000, clock)
    assert limit.passes("a") == 0
    assert limit.passes("b") == 0
    assert limit.passes("a") is None
    assert limit.passes("a") is None
    clock.now = 5.0
    assert limit.passes("a") == 2


def test_a_flood_of_the_client_is_thinned_out(
    client_log: ClientLog, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("worker.stream.producer")
    for _ in range(100):
        log.warning("Cannot send to %s", 1)
    clock.now = 6.0
    log.warning("Cannot send to %s", 1)
    assert caplog.messages == ["Cannot send to 1", "Cannot send to 1 (and 99 times before)"]
    assert client_log.last_error(10) is None


def test_lines_that_are_no_complaint_pass(client_log: ClientLog, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aiokafka.consumer.group_coordinator")
    for _ in range(3):
        logging.getLogger("aiokafka.consumer.group_coordinator").info("Joined")
    assert len(caplog.messages) == 3
    assert client_log.last_error(10) is None


def test_the_last_error_is_remembered_for_a_while(client_log: ClientLog, clock: _Clock) -> None:
    error = OSError("refused")
    logging.getLogger("aiokafka").error("Unable connect to %s: %s", "host", error)
    clock.now = 9.0
    assert client_log.last_error(10) is error
    clock.now = 11.0
    assert client_log.last_error(10) is None


async def test_a_future_that_the_client_forgot_is_not_complained_of_but_others_are(
    client_log: ClientLog, caplog: pytest.LogCaptureFixture
) -> None:
    assert client_log.last_error(10) is None
    loop = asyncio.get_running_loop()
    for error in (KafkaError("Unexpected error during batch delivery"), ValueError("a defect")):
        loop.create_future().set_exception(error)
        gc.collect()
    # Other tests may have left behind what is collected here too.
    (told,) = [message for message in caplog.messages if "during batch delivery" in message or "a defect" in message]
    assert "never retrieved" in told
    assert "a defect" in told
