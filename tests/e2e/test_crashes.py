"""Workers that are killed, stopped, frozen or started anew while they work: none of it shows in what comes out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition

from tests.e2e.conftest import PARTITIONS
from tests.e2e.end_state import assert_as_if_calm
from tests.e2e.system import System, until
from tests.e2e.worker_process import StartWorker, WorkerProcess
from worker.demo.disturbance import Delivery, disturb
from worker.demo.retail import read_invoices
from worker.demo.scenario import scenario_of

pytestmark = pytest.mark.apache

INVOICES = 150
PER_SECOND = 250
"""Slow enough that everything happens while there is work."""
LONG_SESSION_MS = 300_000


@pytest.fixture(scope="module")
def deliveries() -> list[Delivery]:
    """Some days of sellers: orders, counts, repeats, delays, and broken records of every code."""
    now_ms = int(time.time() * 1000)
    scenario = scenario_of(read_invoices()[:INVOICES], now_ms=now_ms)
    return disturb(scenario.events, now_ms=now_ms)


@asynccontextmanager
async def fed(system: System, deliveries: Sequence[Delivery]) -> AsyncIterator[None]:
    """The deliveries are sent while the block runs, and all of them are processed at its end."""
    feeding = asyncio.create_task(system.feed(deliveries, PER_SECOND))
    try:
        yield
        await feeding
        await system.settled()
    finally:
        feeding.cancel()


async def partitions_of(worker: WorkerProcess) -> set[int]:
    """The partitions that a worker is processing."""
    answer = await worker.get("/health/ready")
    if answer is None or answer.status != 200:
        return set()
    return {partition["partition"] for partition in answer.json()["partitions"]}


async def shared(*workers: WorkerProcess) -> None:
    """Wait until the workers have all partitions between them, and each has some."""

    async def all_have_some() -> bool:
        parts = [await partitions_of(worker) for worker in workers]
        return all(parts) and sorted(set().union(*parts)) == list(range(PARTITIONS))

    await until(all_have_some)


async def test_workers_that_are_killed_under_load_lose_and_double_nothing(
    system: System, start_worker: StartWorker, deliveries: list[Delivery]
) -> None:
    first, second = start_worker(), start_worker()
    await shared(first, second)

    async with fed(system, deliveries):
        await system.until_processed(len(deliveries) // 6)
        first.kill()
        await system.until_processed(len(deliveries) // 3)
        first.start()
        await shared(first, second)
        second.kill()
        await shared(first)

    assert first.exit_code is None
    await assert_as_if_calm(system)


async def test_a_stopped_worker_gives_its_partitions_back_at_once_and_cleanly(
    system: System, start_worker: StartWorker, deliveries: list[Delivery]
) -> None:
    # With such a session only of a worker that left the group are the partitions taken over while anybody here waits.
    settings = {"SESSION_TIMEOUT_MS": str(LONG_SESSION_MS)}
    first, second = start_worker(**settings), start_worker(**settings)
    await shared(first, second)

    async with fed(system, deliveries):
        await system.until_processed(len(deliveries) // 4)
        assert await first.terminate() == 0, "the watchdog ends with 1"
        await shared(second)
        first.start()
        await shared(first, second)

    assert await first.terminate() == 0
    assert await second.terminate() == 0
    await assert_as_if_calm(system)


async def test_a_worker_that_slept_past_its_session_does_no_harm_when_it_wakes(
    system: System, start_worker: StartWorker, deliveries: list[Delivery]
) -> None:
    first, second = start_worker(), start_worker()
    await shared(first, second)

    async with fed(system, deliveries):
        for sleeper, other in ((first, second), (second, first)):
            await system.until_processed(len(deliveries) // 5)
            sleeper.pause()
            await shared(other)
            sleeper.resume()
            await shared(first, second)

    assert (first.exit_code, second.exit_code) == (None, None)
    await assert_as_if_calm(system)


async def test_a_worker_starts_at_the_positions_of_its_state_not_of_the_group(
    system: System, start_worker: StartWorker, deliveries: list[Delivery]
) -> None:
    half = len(deliveries) // 2
    worker = start_worker()
    await worker.ready()
    await system.feed(deliveries[:half])
    await system.settled()
    assert await worker.terminate() == 0
    processed = await system.committed()

    # Some offsets are set back, others ahead of what was processed: to begin there would double or lose.
    await system.feed(deliveries[half:])
    ahead = {place: max(0, end - 1) for place, end in (await system.ends()).items()}
    await system.commit({place: 0 if place.partition % 2 else ahead[place] for place in ahead})
    fresh = start_worker()
    await fresh.ready()
    await system.settled()

    begun = {
        TopicPartition(topic, record["partition"]): offset
        for record in fresh.log_records
        if record["event"] == "partition running"
        for topic, offset in record["offsets"].items()
    }
    assert begun == processed
    await assert_as_if_calm(system)
