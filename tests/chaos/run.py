"""One run of chaos from the first broker to the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.brokers import Broker, BrokerKind, unique_names
from tests.chaos import takeover
from tests.chaos.brokers import Brokers, new_brokers
from tests.chaos.faults import plan
from tests.chaos.fleet import Fleet, new_fleet
from tests.chaos.judge import Verdict, judge
from tests.chaos.load import Load
from tests.chaos.storm import SESSION_SECONDS, Outcome, Storm
from tests.chaos.takeover import TakeOver
from tests.chaos.watch import Stall, Watch
from tests.e2e.system import System, until

PARTITIONS: Final = 4
WAIT_SECONDS_MAX: Final = 600.0
"""For what comes after the load, such as `verify`."""
SHOP_ROUND_RECORDS: Final = 4900
SHOP_SHARE: Final = 0.2


@dataclass(frozen=True)
class Options:
    """The size of a run: faults, brokers, workers, load."""

    seed: int
    seconds: float
    """How long faults come; what surrounds them takes two to three minutes more."""
    faults: int
    brokers: int = 3
    workers: int = 3
    take_overs: int = 3
    """Of each kind, before the faults."""
    per_second: float = 150.0


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    options: Options
    seconds: float
    """Of the whole run."""
    outcomes: list[Outcome]
    take_overs: list[TakeOver]
    verdict: Verdict
    sent: int
    """Records that the brokers acknowledged."""
    longest: Stall
    slowest_stop_s: float
    """From SIGTERM to the end of a worker."""
    unclean: list[str]
    """Workers that did not end as they should."""
    complaints: list[str]
    """Errors in the workers' logs that no fault excuses."""

    @property
    def right(self) -> bool:
        """Whether nothing was lost, doubled or different, and every worker behaved."""
        return self.verdict.right and not self.unclean and not self.complaints


class Progress:
    """What is going on, for the screen."""

    def __init__(self, note: Callable[[str], None]) -> None:
        """`note` gets a line for each step."""
        self.note = note
        self.load: Load | None = None
        self.watch: Watch | None = None
        self.storm: Storm | None = None


async def run_chaos(options: Options, folder: Path, progress: Progress) -> Result:
    """Run chaos with these options. The workers' logs are left in `folder`.

    Raises NotRecoveredError or TimeoutError when the system does not recover from a fault, and AssertionError when it
    cannot be judged.
    """
    began = time.monotonic()
    progress.note(f"starting {options.brokers} brokers")
    async with AsyncExitStack() as running:
        brokers = await running.enter_async_context(new_brokers(options.brokers))
        broker = Broker(BrokerKind.APACHE, brokers.cluster.bootstrap_servers, brokers.cluster)
        system = System(broker, unique_names(), PARTITIONS, WAIT_SECONDS_MAX)
        copies = min(3, options.brokers)
        result = await system.stockfreeze("topics", "create", REPLICATION_FACTOR=str(copies))
        assert result.code == 0, result
        settings = {
            "BOOTSTRAP_SERVERS": brokers.cluster.proxied_bootstrap_servers,
            "APP_ID": system.names.app_id,
            "TOPIC_PREFIX": system.names.prefix,
            "LOG_FORMAT": "json",
        }
        fleet = running.enter_context(new_fleet(folder, settings, PARTITIONS))
        storm, take_overs, sent, longest = await _under_load(options, brokers, fleet, system, progress)
        verdict = await judge(system, folder, sent=sent, copies=copies, note=progress.note)
        return Result(
            options=options,
            seconds=time.monotonic() - began,
            outcomes=storm.outcomes,
            take_overs=take_overs,
            verdict=verdict,
            sent=sent,
            longest=longest,
            slowest_stop_s=storm.slowest_stop_s,
            unclean=storm.unclean,
            complaints=fleet.complaints(),
        )


async def _under_load(
    options: Options, brokers: Brokers, fleet: Fleet, system: System, progress: Progress
) -> tuple[Storm, list[TakeOver], int, Stall]:
    """Take-overs and faults while records keep coming; at the end all of them are processed."""
    watch = Watch(system)
    rounds = 1 + int(options.seconds * options.per_second * SHOP_SHARE / SHOP_ROUND_RECORDS)
    load = Load(system, options.per_second, seed=options.seed, rounds=rounds, now_ms=time.time_ns() // 1_000_000)
    storm = Storm(brokers, fleet, watch, workers=options.workers, note=progress.note)
    progress.load, progress.watch, progress.storm = load, watch, storm
    progress.note("starting 2 workers")
    for worker in fleet.slots[:2]:
        worker.start()
    await fleet.whole()
    async with watch.watching():
        async with load.flowing(watch.acknowledged):
            take_overs = await takeover.measure(
                fleet, watch, times=options.take_overs, session_seconds=SESSION_SECONDS, note=progress.note
            )
            for worker in fleet.slots[: options.workers]:
                worker.start()
            await fleet.whole()
            await storm.run(plan(options.seed, options.faults, brokers=options.brokers), options.seconds)
        progress.note("the load has stopped; waiting until all is processed")
        await brokers.whole()
        await fleet.whole()
        await system.settled()
        # What the watch saw last may be a moment old.
        await until(watch.has_seen_all)
    return storm, take_overs, load.sent, watch.longest
