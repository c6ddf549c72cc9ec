from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Iterator

import pytest
from aiokafka.errors import KafkaError

from worker.stream.kafka.client_log import ASYNCIO, CLIENT_LOGGERS, ClientLog, RateLimit, current_engine


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
    log = logging.getLogger("worker.stream.kafka.producer")
    for _ in range(100):
        log.warning("Cannot send to %s", 1)
    clock.now = 6.0
    log.warning("Cannot send to %s", 1)
    assert caplog.messages == ["Cannot send to 1", "Cannot send to 1 (and 99 times before)"]
    assert client_log.last_error(10) is None


def test_an_outage_is_one_line_an_interval_whatever_the_client_says_of_it(
    client_log: ClientLog, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    def outage() -> None:
        for _ in range(50):
            logging.getLogger("aiokafka").error("Unable connect to node with id %s: %s", 1, OSError("refused"))
            logging.getLogger("aiokafka").error("Unable to update metadata from %s", [1])
            logging.getLogger("aiokafka.consumer.fetcher").error("Failed fetch messages from %s: %s", 1, OSError())
            logging.getLogger("aiokafka.consumer.group_coordinator").error("Heartbeat send request failed: %s", 1)

    outage()
    clock.now = 5.0
    outage()
    assert caplog.messages == [
        "Unable connect to node with id 1: refused",
        "Unable connect to node with id 1: refused (and 199 more lines of the client before)",
    ]
    assert isinstance(client_log.last_error(1), OSError)


def test_the_client_is_silent_while_the_engine_says_what_is_wrong(
    client_log: ClientLog, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = logging.getLogger("aiokafka.consumer.fetcher")
    client_log.explained()
    log.error("Failed fetch messages from %s: %s", 1, OSError("refused"))
    clock.now = 9.9
    log.error("Failed fetch messages from %s: %s", 1, OSError("refused"))
    assert caplog.messages == []
    assert str(client_log.last_error(1)) == "refused"
    clock.now = 10.1
    log.error("Failed fetch messages from %s: %s", 1, OSError("refused"))
    assert caplog.messages == ["Failed fetch messages from 1: refused"]


def test_what_is_raised_too_is_not_logged_by_the_client(
    client_log: ClientLog, caplog: pytest.LogCaptureFixture
) -> None:
    error = OSError("refused")
    logging.getLogger("aiokafka").error('Unable connect to "%s:%s": %s', "kafka", 9092, error)
    assert caplog.messages == []
    assert client_log.last_error(1) is error


def test_a_password_in_the_clear_is_told_once(
    client_log: ClientLog, clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        logging.getLogger("aiokafka.conn").warning("Sending username and password in the clear")
        clock.now += 60
    assert len(caplog.messages) == 1
    assert client_log.last_error(100) is None


@pytest.mark.parametrize(("error", "has_trace"), [(OSError("reset"), False), (ValueError("a defect"), True)])
def test_only_a_defect_has_a_trace(
    client_log: ClientLog, caplog: pytest.LogCaptureFixture, error: Exception, *, has_trace: bool
) -> None:
    try:
        raise error
    except type(error):
        logging.getLogger("aiokafka.consumer.fetcher").exception("Unexpected error in fetcher routine")
    assert (caplog.records[0].exc_info is not None) is has_trace
    assert client_log.last_error(1) is None


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


async def test_only_the_futures_that_the_client_forgot_are_not_reported(
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


def test_what_the_loop_reports_without_an_exception_is_written(
    client_log: ClientLog, caplog: pytest.LogCaptureFixture
) -> None:
    del client_log
    logging.getLogger("asyncio").error("something was not closed", exc_info=False)  # as uvloop's handler does
    assert caplog.messages == ["something was not closed"]


async def test_each_engine_is_explained_by_its_own_lines_alone(clock: _Clock, caplog: pytest.LogCaptureFixture) -> None:
    logs = [ClientLog(5000, clock, engine=name) for name in ("ledger", "tally")]

    async def engine(log: ClientLog, error: Exception) -> str | None:
        log.install()
        try:
            await asyncio.create_task(complain(error))
            await asyncio.sleep(0)
            return str(log.last_error(1))
        finally:
            log.remove()

    async def complain(error: Exception) -> None:
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(logging.getLogger("aiokafka").error, "%s: %s", current_engine(), error)
        await asyncio.sleep(0)

    errors = (OSError("ledger's broker"), OSError("tally's broker"))
    told = await asyncio.gather(*map(engine, logs, errors))
    assert told == ["ledger's broker", "tally's broker"]
    assert sorted(caplog.messages) == ["ledger: ledger's broker", "tally: tally's broker"]


async def test_a_sentence_of_one_engine_silences_its_own_client_alone(
    clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async def engine(name: str, *, is_explained: bool) -> None:
        log = ClientLog(5000, clock, engine=name)
        log.install()
        try:
            if is_explained:
                log.explained()
            await asyncio.sleep(0)
            logging.getLogger("aiokafka").error("no answer to %s", name)
            await asyncio.sleep(0)
        finally:
            log.remove()

    await asyncio.gather(engine("ledger", is_explained=True), engine("tally", is_explained=False))
    assert caplog.messages == ["no answer to tally"]


async def test_a_line_outside_of_all_engines_is_thinned_out_and_explains_none(
    clock: _Clock, caplog: pytest.LogCaptureFixture
) -> None:
    log = ClientLog(5000, clock)
    may_end = asyncio.Event()

    async def engine() -> None:
        log.install()
        await may_end.wait()
        log.remove()

    running = asyncio.create_task(engine())
    await asyncio.sleep(0)
    for _ in range(3):
        logging.getLogger("aiokafka").error("Unable connect to %s: %s", "host", OSError("refused"))
    assert len(caplog.messages) == 1
    assert log.last_error(1) is None
    may_end.set()
    await running


def test_with_the_last_engine_the_loggers_are_as_they_were(clock: _Clock) -> None:
    before = {name: list(logging.getLogger(name).filters) for name in (*CLIENT_LOGGERS, ASYNCIO)}
    first, second = ClientLog(5000, clock), ClientLog(5000, clock)
    first.install()
    second.install()
    assert {len(logging.getLogger(name).filters) - len(before[name]) for name in before} == {1}
    first.remove()
    assert {len(logging.getLogger(name).filters) - len(before[name]) for name in before} == {1}
    second.remove()
    assert {name: list(logging.getLogger(name).filters) for name in before} == before
