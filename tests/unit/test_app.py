"""The host: the engines of all roles as one service, and an end that nothing can hold up."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from worker.app import Engines
from worker.stream import EngineStatus
from worker.web.server import Ledgers

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
from worker import app, roles
from worker.settings import Settings

async def fail(_self):
    raise TypeError("a defect")

roles.Engine.run = fail
sys.exit(app.run_worker(Settings(bootstrap_servers="127.0.0.1:1", web_port=0)))
"""


class FakeRole:
    """A role that runs until it is stopped, and closes when it may."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False
        self.ledgers: Ledgers | None = None
        self.error: Exception | None = None
        self.running = asyncio.Event()
        self.stopping = asyncio.Event()
        self.may_close = asyncio.Event()

    def status(self) -> EngineStatus | None:
        return None

    async def run(self) -> None:
        self.running.set()
        if self.error is not None:
            raise self.error
        await self.stopping.wait()

    async def stop(self) -> None:
        self.stopping.set()
        await self.may_close.wait()
        self.closed = True

    def report_progress(self) -> None:
        """Nothing."""


@pytest.fixture
def roles() -> list[FakeRole]:
    return [FakeRole("ledger"), FakeRole("tally")]


@pytest.fixture
async def engines(roles: list[FakeRole]) -> AsyncIterator[Engines]:
    engines = Engines(roles)
    yield engines
    for role in roles:
        role.may_close.set()
    await engines.stop()


async def test_the_engines_of_all_roles_stop_at_the_same_time(engines: Engines, roles: list[FakeRole]) -> None:
    await engines.start()
    async with asyncio.timeout(10):
        for role in roles:
            await role.running.wait()
        stopping = asyncio.ensure_future(engines.stop())
        for role in roles:  # neither closes before both were asked to
            await role.stopping.wait()
        assert not stopping.done()
        roles[1].may_close.set()
        while not roles[1].closed:  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)
        assert not engines.closed
        roles[0].may_close.set()
        await stopping
    assert engines.closed


async def test_one_engine_that_ends_with_a_defect_crashes_them_all(engines: Engines, roles: list[FakeRole]) -> None:
    roles[1].error = TypeError("a defect")
    for role in roles:
        role.may_close.set()
    await engines.start()
    async with asyncio.timeout(10):
        await engines.wait_until_stopped()
    assert engines.crashed
    assert "a defect" in repr(engines.crash_reason)


def test_an_engine_that_ends_with_a_defect_ends_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", DEFECT], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1, ended.stderr
    assert "the worker ends" in ended.stderr
    assert "a defect" in ended.stderr


@pytest.mark.parametrize(
    ("service", "code"),
    [("Engines", 1), ("Pages", 0)],
    ids=["before the engine closed", "after the engine closed"],
)
def test_the_code_of_a_stop_that_hangs_is_whether_the_engines_closed(service: str, code: int) -> None:
    program = HOST.format(service=service)
    ended = subprocess.run([sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60)
    assert ended.returncode == code, ended.stderr
    assert "stopping" in ended.stderr
    assert '"stopped"' not in ended.stderr
