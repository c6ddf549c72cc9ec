"""How fast a backlog is worked off, by one process or by several that share it, and what it takes.

Measured in its middle. A transaction's work is done before it is committed, and several are in hand at any moment: a
measurement that ended with the last commit, when nothing is in hand, would count work that was done before it began.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from schemas.topics import Topic
from tests.bench.system import POLL_SECONDS, WORK_SECONDS_MAX, BenchFailed, System

EVENT_TOPICS: Final = (Topic.ORDERS, Topic.SUB_ORDERS)
LAST_SHARE: Final = 0.95
"""Of the backlog: what is committed where the measurement ends."""
_NO_COORDINATOR_YET: Final = frozenset(
    {
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError._TIMED_OUT,
    }
)
"""What comes of asking a broker that has only just started about its first group."""
_ASKING_SECONDS: Final = 5.0


class Stretch(NamedTuple):
    """What was done, and what it took."""

    events: int
    seconds: float
    cpu_seconds: tuple[float, ...]
    """Of each process that was looked at."""

    @property
    def events_per_s(self) -> float:
        """Committed events per second."""
        return self.events / self.seconds

    def us_per_event(self, *processes: int) -> float:
        """CPU µs an event of the processes with these indices; of all where none is named."""
        seconds = [self.cpu_seconds[index] for index in processes] if processes else self.cpu_seconds
        return sum(seconds) / self.events * 1e6


async def shared(system: System, processes: int, check: Callable[[int], None]) -> None:
    """Wait until each of the processes has partitions.

    `check` raises where that will never be. It is called with the number of committed events, which is 0 here. Raises
    TimeoutError where it takes too long.
    """
    admin = AdminClient({"bootstrap.servers": system.bootstrap_servers})
    async with asyncio.timeout(WORK_SECONDS_MAX):
        while True:
            owned = _partitions_by_member(admin, system.app_id)
            if len(owned) == processes and all(owned):
                return
            check(0)
            await asyncio.sleep(POLL_SECONDS)


def _partitions_by_member(admin: AdminClient, group_id: str) -> list[int]:
    try:
        group = admin.describe_consumer_groups([group_id], request_timeout=_ASKING_SECONDS)[group_id].result()
    except KafkaException as error:
        if error.args[0].code() in _NO_COORDINATOR_YET:
            return []
        raise
    return [len(member.assignment.topic_partitions) for member in group.members]


async def work_off(
    system: System,
    backlog: int,
    first_share: float,
    cpu_seconds: Callable[[], tuple[float, ...]],
    check: Callable[[int], None],
) -> Stretch:
    """Wait until all of `backlog` is committed; return the stretch from `first_share` of it to `LAST_SHARE`.

    `check` is called now and then with the number of committed events, and raises where it will never be all. Raises
    BenchFailed where the backlog is too small for a measurement, TimeoutError where it takes too long.
    """
    first: tuple[float, int, tuple[float, ...]] | None = None
    last: tuple[float, int, tuple[float, ...]] | None = None
    async with asyncio.timeout(WORK_SECONDS_MAX):
        while True:
            committed = await system.committed(*EVENT_TOPICS)
            if first is None and committed >= backlog * first_share:
                first = time.monotonic(), committed, cpu_seconds()
            elif first is not None and last is None and committed >= backlog * LAST_SHARE:
                last = time.monotonic(), committed, cpu_seconds()
            if committed >= backlog:
                break
            check(committed)
            await asyncio.sleep(POLL_SECONDS)
    if first is None or last is None or last[1] == first[1]:
        raise BenchFailed("the backlog was committed in one piece: measure over more events")
    used = tuple(after - before for before, after in zip(first[2], last[2], strict=True))
    return Stretch(last[1] - first[1], last[0] - first[0], used)
