"""The whole data set as events, repeated and in disorder, through two workers that are killed again and again."""

from __future__ import annotations

import asyncio
import time
from itertools import cycle
from pathlib import Path

import pytest

from tests.e2e.end_state import assert_as_if_calm
from tests.e2e.system import System
from tests.e2e.worker_process import StartWorker
from worker.demo.disturbance import disturb, injected
from worker.demo.retail import read_invoices
from worker.demo.scenario import scenario_of

DATA = Path(__file__).parents[3] / "shared" / "data" / "online-retail.csv"
PER_SECOND = 500
KILLS = 4

pytestmark = [
    pytest.mark.apache,
    pytest.mark.skipif(not DATA.exists(), reason=f"the whole data set is not at {DATA} (the demo ships a slice of it)"),
]


async def test_a_year_of_sales_ends_as_in_a_calm_run_whichever_worker_is_killed(
    system: System, start_worker: StartWorker
) -> None:
    now_ms = int(time.time() * 1000)
    scenario = scenario_of(read_invoices(DATA), now_ms=now_ms)
    deliveries = disturb(scenario.events, now_ms=now_ms, repeats=0.15, late=0.15)
    done = injected(deliveries)
    assert min(done.repeats, done.late) > 1000
    assert done.early
    workers = [start_worker(), start_worker()]
    for worker in workers:
        await worker.ready()

    feeding = asyncio.create_task(system.feed(deliveries, PER_SECOND))
    try:
        for number, victim in zip(range(1, KILLS + 1), cycle(workers)):
            await system.until_processed(len(deliveries) * number // (KILLS + 2))
            victim.kill()
            victim.start()
        await feeding
        await system.settled()
    finally:
        feeding.cancel()

    for worker in workers:
        await worker.ready()
    await assert_as_if_calm(system)
