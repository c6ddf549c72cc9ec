from __future__ import annotations

import random

from tests.unit.stream.fakes import CONFIG, Obedient, Time
from worker.stream import Chance, PartitionState, SilentObserver
from worker.stream.client_log import ClientLog, RateLimit
from worker.stream.feed import Feed
from worker.stream.reaper import Reaper
from worker.stream.surroundings import Surroundings
from worker.stream.task import PartitionTask


class _Feed(Feed):
    """Tells the lag it is given."""

    def __init__(self) -> None:
        self.told: dict[str, int] = {}

    async def lags(self, partition: int) -> dict[str, int]:
        assert partition == 3
        return self.told


def _running(time: Time) -> tuple[PartitionTask, _Feed]:
    feed = _Feed()
    surroundings = Surroundings(
        config=CONFIG,
        processors=lambda _partition, _count: Obedient(),
        observer=SilentObserver(),
        clock=time.clock,
        chance=Chance(random.Random(1)),
        reaper=Reaper(),
        client_log=ClientLog(5000, time.clock.monotonic),
        complaints=RateLimit(5000, time.clock.monotonic),
    )
    task = PartitionTask(surroundings, feed, 3, 8)
    task.state = PartitionState.RUNNING
    return task, feed


async def test_a_partition_that_stands_still_with_lag_is_stalled() -> None:
    time = Time()
    task, feed = _running(time)
    feed.told = {"a": 0, "b": 5}
    await task.measure()
    time.seconds += 15
    await task.measure()
    assert task.status().state is PartitionState.RUNNING
    time.seconds += 1
    status = task.status()
    assert status.state is PartitionState.STALLED
    assert status.reason == "partition 3 stands still for 16 s with records to process"
    assert status.lag == {"a": 0, "b": 5}


async def test_a_partition_without_lag_may_stand_still() -> None:
    time = Time()
    task, feed = _running(time)
    feed.told = {"a": 0, "b": 0}
    time.seconds += 100
    await task.measure()
    assert task.status().state is PartitionState.RUNNING
    feed.told = {"a": 1, "b": 0}
    await task.measure()
    assert task.status().state is PartitionState.RUNNING, "the lag has only just begun"


def test_retries_are_spread() -> None:
    chance = Chance(random.Random(1))
    waits = {chance.spread(1000) for _ in range(100)}
    assert len(waits) > 50
    assert all(0.5 <= wait <= 1 for wait in waits)
