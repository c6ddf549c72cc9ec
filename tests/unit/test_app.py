"""The host: an engine that fails is replaced, what the pages are told of it, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from collections.abc import AsyncIterator, Callable

import pytest

from worker import app as app_module
from worker.app import EngineService, Partitions
from worker.domain.ledger import Ledger
from worker.domain.rules import Rules
from worker.stream import Engine, EngineConfig, NotAssigned
from worker.stream.observer import SilentObserver

CONFIG = EngineConfig(app_id="test", client={}, inputs=(), outputs=(), state_topic="state")

HOST = """
import asyncio, os, signal, sys
from worker import app
from worker.settings import Settings

async def hang(_self):
    await asyncio.Event().wait()

app.STOP_S_MAX = 0.5
app.{service}.on_stop = hang
settings = Settings(bootstrap_servers="127.0.0.1:1", web_port=0)

def announce(self):
    os.kill(os.getpid(), signal.SIGTERM)

app.Host._announce = announce
sys.exit(app.run_worker(settings))
"""


class FakeEngine(Engine):
    """Runs until it is stopped, or fails at once."""

    def __init__(self, *, fails: bool) -> None:
        super().__init__(CONFIG, Partitions(prefix="", rules=Rules()).make, SilentObserver())
        self._fails = fails
        self.running = asyncio.Event()
        self.ended = asyncio.Event()

    async def run(self) -> None:
        self.running.set()
        if self._fails:
            raise RuntimeError("a defect")
        await self.ended.wait()

    async def stop(self) -> None:
        self.ended.set()


class Scene:
    """An engine service whose first engines fail."""

    def __init__(self, failing: int) -> None:
        self.failing = failing
        self.engines: list[FakeEngine] = []
        self.restarts = 0
        self.partitions = Partitions(prefix="", rules=Rules())
        self.service = EngineService(self._make, self.partitions, self._restarted)

    def _make(self) -> FakeEngine:
        self.engines.append(FakeEngine(fails=len(self.engines) < self.failing))
        return self.engines[-1]

    def _restarted(self) -> None:
        self.restarts += 1


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[[int], Scene]]:
    monkeypatch.setattr(app_module, "RESTART_S_MIN", 0.001)
    scenes: list[Scene] = []

    def make(failing: int) -> Scene:
        scenes.append(Scene(failing))
        return scenes[-1]

    yield make
    for made in scenes:
        await made.service.stop()


async def engine_of(scene: Scene, number: int) -> FakeEngine:
    async with asyncio.timeout(10):
        while len(scene.engines) <= number:  # noqa: ASYNC110 - what is waited for is made elsewhere
            await asyncio.sleep(0.001)
        await scene.engines[number].running.wait()
    return scene.engines[number]


async def test_an_engine_that_fails_is_replaced_by_a_new_one(scene: Callable[[int], Scene]) -> None:
    restarting = scene(2)
    await restarting.service.start()
    third = await engine_of(restarting, 2)
    assert restarting.restarts == 2
    assert not third.ended.is_set()
    assert not restarting.service.crashed


async def test_stopping_the_service_stops_its_engine(scene: Callable[[int], Scene]) -> None:
    calm = scene(0)
    await calm.service.start()
    engine = await engine_of(calm, 0)
    closed_before = calm.service.closed
    await calm.service.stop()
    assert engine.ended.is_set()
    assert (closed_before, calm.service.closed) == (False, True)
    assert len(calm.engines) == 1


async def test_without_an_engine_nothing_can_be_asked(scene: Callable[[int], Scene]) -> None:
    service = scene(0).service
    assert service.status() is None
    assert service.partition_count is None
    assert service.processors() == {}
    with pytest.raises(NotAssigned):
        await service.read(0, Ledger.gauges)


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


async def test_a_restored_state_is_set_apart_from_the_garbage_collector() -> None:
    partitions = Partitions(prefix="", rules=Rules())
    metrics = app_module.WorkerMetrics(version="1", inputs=[], processors=dict, status=lambda: None)
    processor = partitions.make(0, 1)
    try:
        metrics.restore_finished(0, records=1, seconds=0.1)
        assert not any(thing is processor.ledger for thing in gc.get_objects())
    finally:
        gc.unfreeze()
