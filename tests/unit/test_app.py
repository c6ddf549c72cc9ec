"""The host: what the pages are told of the engine, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import weakref
from collections.abc import AsyncIterator
from functools import partial

import pytest

from tests.observer import SilentObserver
from worker import app as app_module
from worker.app import EngineService, Partitions
from worker.domain.ledger import Ledger
from worker.domain.policies import Rules
from worker.stream import Engine, EngineConfig, NotAssigned

CONFIG = EngineConfig(app_id="test", client={}, inputs=(), outputs=(), journal_topic="", state_topic="state")

HOST = """
import asyncio, os, signal, sys
from worker import app
from worker.settings import Settings

async def hang(_self):
    await asyncio.Event().wait()

app.STOP_SECONDS_MAX = 0.5
app.{service}.on_stop = hang
settings = Settings(bootstrap_servers="127.0.0.1:1", web_port=0)

def announce(self):
    os.kill(os.getpid(), signal.SIGTERM)

app.Host._announce = announce
sys.exit(app.run_worker(settings))
"""

DEFECT = """
import sys
from worker import app
from worker.settings import Settings

async def fail(_self):
    raise TypeError("a defect")

app.Engine.run = fail
sys.exit(app.run_worker(Settings(bootstrap_servers="127.0.0.1:1", web_port=0)))
"""


class FakeEngine(Engine):
    """Runs until it is stopped."""

    def __init__(self) -> None:
        super().__init__(CONFIG, Partitions(prefix="", rules=Rules()).make, SilentObserver())
        self.running = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        self.running.set()
        await self.ended.wait()

    async def stop(self) -> None:
        self.ended.set()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
async def service(engine: FakeEngine) -> AsyncIterator[EngineService]:
    service = EngineService(lambda: engine, Partitions(prefix="", rules=Rules()))
    yield service
    await service.stop()


async def test_stopping_the_service_stops_its_engine(service: EngineService, engine: FakeEngine) -> None:
    await service.start()
    await asyncio.wait_for(engine.running.wait(), 10)
    closed_before = service.closed
    await service.stop()
    assert engine.ended.is_set()
    assert (closed_before, service.closed) == (False, True)


async def test_without_an_engine_nothing_can_be_asked(service: EngineService) -> None:
    assert service.status() is None
    assert service.partition_count is None
    assert service.processors() == {}
    with pytest.raises(NotAssigned):
        await service.read(0, Ledger.gauges)


def test_an_engine_that_ends_with_a_defect_ends_the_process_and_is_told() -> None:
    ended = subprocess.run([sys.executable, "-c", DEFECT], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert "the worker ends" in ended.stderr
    assert "a defect" in ended.stderr


def test_a_processor_is_made_anew_each_time_and_not_kept() -> None:
    partitions = Partitions(prefix="", rules=Rules())
    first, second = partitions.make(3, 8), partitions.make(3, 8)
    assert first is not second
    assert partitions.count == 8
    assert gc.get_referrers(first) == [], "one that the engine throws away may be gigabytes"


@pytest.mark.parametrize(
    ("service", "code"),
    [("EngineService", 1), ("Pages", 0)],
    ids=["before the engine closed", "after the engine closed"],
)
def test_a_stop_that_hangs_is_cut_off_with_a_code_that_says_whether_the_engine_closed(service: str, code: int) -> None:
    program = HOST.format(service=service)
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code, ended.stderr
    assert "stopping" in ended.stderr
    assert '"stopped"' not in ended.stderr


async def test_what_ended_with_a_rebalance_is_found_though_it_was_set_apart() -> None:
    metrics = app_module.WorkerMetrics(version="1", inputs=[], processors=dict, status=lambda: None)
    session = asyncio.Future[None]()
    session.add_done_callback(partial(print, session))  # a knot that only the collector unties
    alive = weakref.ref(session)
    try:
        metrics.partitions_assigned(frozenset({0}))
        del session
        assert alive() is not None
        metrics.partitions_assigned(frozenset({0, 1}))
        assert alive() is None
    finally:
        gc.unfreeze()
