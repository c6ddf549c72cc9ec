"""The roles: what a hosted role answers before, while and after its engine runs, and what the ledger is made of."""

from __future__ import annotations

import asyncio
import gc
import weakref
from functools import partial
from typing import get_args

import pytest

from schemas.topics import LEDGER
from worker.clock import Clock
from worker.domain.ledger import Ledger
from worker.domain.policies import Policies
from worker.ops.metrics import Metrics
from worker.processors.ledger import PartitionProcessor
from worker.roles import HostedRole, LedgerPartitions, Process, RoleObserver, host_ledger, maker_of
from worker.settings import ROLE_NAMES, RoleName, Settings
from worker.stream import EngineState, NotAssigned


@pytest.fixture
def process() -> Process:
    settings = Settings(bootstrap_servers="127.0.0.1:1", topic_prefix="eu.", app_id="shop")
    return Process(settings, Metrics(version="1"), Clock(), lambda: b"contact")


@pytest.fixture
def ledger(process: Process) -> HostedRole[PartitionProcessor]:
    return host_ledger(process)


def test_every_role_that_can_be_set_can_be_made(process: Process) -> None:
    assert [maker_of(name)(process).name for name in ROLE_NAMES] == list(get_args(RoleName))


async def test_before_a_role_runs_nothing_can_be_asked_of_it(ledger: HostedRole[PartitionProcessor]) -> None:
    assert ledger.status() is None
    assert ledger.processors() == {}
    assert ledger.ledgers is not None
    assert ledger.ledgers.partition_count is None
    with pytest.raises(NotAssigned):
        await ledger.ledgers.read(0, Ledger.gauges)


async def test_a_role_runs_until_it_is_stopped(ledger: HostedRole[PartitionProcessor]) -> None:
    running = asyncio.ensure_future(ledger.run())
    async with asyncio.timeout(10):
        while (status := ledger.status()) is None or status.problem is None:  # noqa: ASYNC110 - it sets no event
            await asyncio.sleep(0)
        closed_before = ledger.closed
        await ledger.stop()
        await running
    assert (closed_before, ledger.closed) == (False, True)
    ended = ledger.status()
    assert ended is not None
    assert ended.state is EngineState.ENDED


def test_the_group_of_the_ledger_is_the_app_id_and_others_add_their_role(process: Process) -> None:
    assert process.settings.engine_config(LEDGER).app_id == "shop"
    assert process.settings.group_id("tally") == "shop-tally"


def test_a_processor_is_made_anew_each_time_and_not_kept() -> None:
    partitions = LedgerPartitions(prefix="", policies=Policies())
    first, second = partitions.make(3, 8), partitions.make(3, 8)
    assert first is not second
    assert partitions.count == 8
    assert gc.get_referrers(first) == [], "one that the engine throws away may be gigabytes"


async def test_what_ended_with_a_rebalance_is_found_though_it_was_set_apart() -> None:
    observer = RoleObserver(
        Metrics(version="1"),
        role="ledger",
        inputs=[],
        processors=dict[int, PartitionProcessor],
        status=lambda: None,
        committed=None,
    )
    session = asyncio.Future[None]()
    session.add_done_callback(partial(print, session))  # a knot that only the collector unties
    alive = weakref.ref(session)
    try:
        observer.partitions_assigned(frozenset({0}))
        del session
        assert alive() is not None
        observer.partitions_assigned(frozenset({0, 1}))
        assert alive() is None
    finally:
        gc.unfreeze()
