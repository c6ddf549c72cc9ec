"""Carries a plan out, and measures how long the system takes to recover from each fault."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, assert_never

from deploy.kafka.local import KafkaNode
from tests.chaos.brokers import DISK_FULL_SECONDS_MAX, Brokers, fill_disk
from tests.chaos.faults import Fault, Kind
from tests.chaos.fleet import Fleet, Worker
from tests.chaos.proxy import Proxy, Weather
from tests.chaos.watch import Watch

SESSION_SECONDS: Final = 6.0
STOP_SECONDS_MAX: Final = 60.0
NOT_WAITED_SECONDS: Final = 1.0
"""After a fault, before the next one that does not wait."""
PATIENCE_SECONDS: Final = 10.0
"""After a fault, before the next one that waits until this one is got over."""
RECOVERY_SECONDS_MAX: Final = 300.0
HELD_SECONDS_MAX: Final = 8.0
DELAY_SECONDS_MAX: Final = 0.5
_POLL_SECONDS: Final = 0.1


class NotRecoveredError(Exception):
    """The system did not recover from a fault in time."""


@dataclass
class Outcome:
    """A fault, its target, and how long the system took to recover."""

    fault: Fault
    whom: str
    at: float
    """Seconds from the beginning of the storm."""
    recovery_s: float
    """From the fault until every partition processed records sent after it, and none of them was waiting long."""


class Storm:
    """One run of a plan."""

    def __init__(
        self, brokers: Brokers, fleet: Fleet, watch: Watch, *, workers: int, note: Callable[[str], None]
    ) -> None:
        """`workers` is how many run at the beginning; `note` gets a line for each step."""
        self._brokers = brokers
        self._fleet = fleet
        self._watch = watch
        self._workers = workers
        self._note = note
        self._clock = asyncio.get_running_loop().time
        self._going_on: asyncio.TaskGroup
        self.outcomes: list[Outcome] = []
        self.slowest_stop_s = 0.0
        """From SIGTERM to the end of the process; on a machine that has no time for it, it takes longer."""
        self.unclean: list[str] = []
        """Workers that did not end as they should when they were asked to, or ended unasked."""

    async def run(self, plan: Sequence[Fault], seconds: float) -> None:
        """Carry the plan out, in so many seconds if that is long enough, then bring everything back.

        Raises NotRecoveredError.
        """
        began = self._clock()
        pending = list(plan)
        async with asyncio.TaskGroup() as self._going_on:
            for number in range(1, len(plan) + 1):
                fault = await self._next(pending)
                recovery = self._going_on.create_task(self._strike(fault, began))
                await asyncio.wait({recovery}, timeout=NOT_WAITED_SECONDS)
                if pending and not pending[0].at_once:
                    await asyncio.wait({recovery}, timeout=PATIENCE_SECONDS)
                    await asyncio.sleep(max(0.0, began + number * seconds / len(plan) - self._clock()))
        self._start_missing()

    async def _next(self, pending: list[Fault]) -> Fault:
        """The first fault of the plan that can come now."""
        while True:
            self._start_missing()
            for fault in pending:
                if not self._must_wait(fault.kind):
                    pending.remove(fault)
                    return fault
            await asyncio.sleep(_POLL_SECONDS)

    def _must_wait(self, kind: Kind) -> bool:
        if kind.hits_brokers:
            return self._brokers.out.locked()
        if kind in (Kind.WORKER_KILLED, Kind.WORKER_STOPPED, Kind.WORKER_FROZEN, Kind.SCALED):
            return not self._fleet.free
        return False

    async def _strike(self, fault: Fault, began: float) -> None:
        struck_at = self._clock()
        whom = await self._hit(fault)
        self._note(f"{fault.number:3d}  {fault.kind.value}: {whom}")
        try:
            async with asyncio.timeout(RECOVERY_SECONDS_MAX):
                recovered_at = await self._watch.recovered(self._clock())
        except TimeoutError:
            raise NotRecoveredError(
                f"not over fault {fault.number} ({fault.kind.value}: {whom}) in {RECOVERY_SECONDS_MAX:.0f} s; "
                f"partitions are behind by {self._watch.delays()} s; {self._brokers.summary()}"
            ) from None
        self.outcomes.append(Outcome(fault, whom, struck_at - began, recovered_at - struck_at))

    async def _hit(self, fault: Fault) -> str:
        """Inject a fault; gives the name of its target once the fault has an effect."""
        match fault.kind:
            case Kind.WORKER_KILLED | Kind.WORKER_STOPPED | Kind.WORKER_FROZEN:
                return f"worker {await self._hit_worker(fault)}"
            case Kind.SCALED:
                return await self._scale(fault.workers)
            case Kind.BROKER_KILLED | Kind.BROKER_RESTARTED | Kind.DISK_FULL | Kind.CONTROLLER_CHANGED:
                return f"broker {await self._hit_broker(fault)}"
            case Kind.CONNECTIONS_CUT | Kind.CONNECTIONS_DELAYED | Kind.CONNECTIONS_SLOWED | Kind.CONNECTIONS_HELD:
                return self._hit_connections(fault)
            case _:
                assert_never(fault.kind)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        self._going_on.create_task(work)

    # -- workers

    async def _hit_worker(self, fault: Fault) -> int:
        free = self._fleet.free
        worker = free[fault.draw % len(free)]
        worker.busy = True
        match fault.kind:
            case Kind.WORKER_KILLED:
                worker.process.kill()
                self._later(self._restart(worker, fault.seconds))
            case Kind.WORKER_STOPPED:
                await self._stop(worker)
                self._later(self._restart(worker, fault.seconds))
            case _:
                worker.process.pause()
                self._later(self._thaw(worker, SESSION_SECONDS + 1 + fault.seconds))
        return worker.number

    async def _stop(self, worker: Worker) -> None:
        worker.busy = True
        asked_at = self._clock()
        os.kill(worker.process.pid, signal.SIGTERM)
        code = await worker.process.exited(STOP_SECONDS_MAX)
        seconds = self._clock() - asked_at
        self.slowest_stop_s = max(self.slowest_stop_s, seconds)
        if code != 0 and not (code == -signal.SIGTERM and not worker.listens):
            self.unclean.append(f"worker {worker.number} ended with {code} {seconds:.1f} s after SIGTERM")

    async def _restart(self, worker: Worker, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        if worker.number <= self._workers:
            worker.start()
        worker.busy = False

    async def _thaw(self, worker: Worker, after_seconds: float) -> None:
        await asyncio.sleep(after_seconds)
        worker.process.resume()
        if worker.number > self._workers:
            await self._stop(worker)
        worker.busy = False

    async def _scale(self, workers: int) -> str:
        self._workers = workers
        self._start_missing()
        surplus = [worker for worker in self._fleet.free if worker.number > workers]
        await asyncio.gather(*(self._stop(worker) for worker in surplus))
        for worker in surplus:
            worker.busy = False
        return f"{workers} workers"

    def _start_missing(self) -> None:
        """Start workers until there are as many as there should be. One that ended without a fault is noted."""
        for worker in self._fleet.slots:
            if worker.busy or worker.running:
                continue
            if worker.ended_unasked:
                self.unclean.append(f"worker {worker.number} ended by itself with {worker.process.exit_code}")
            if worker.number <= self._workers:
                worker.start()

    # -- brokers

    async def _hit_broker(self, fault: Fault) -> int:
        await self._brokers.out.acquire()
        nodes = self._brokers.nodes
        node = nodes[fault.draw % len(nodes)]
        try:
            match fault.kind:
                case Kind.BROKER_KILLED:
                    node.kill()
                case Kind.BROKER_RESTARTED:
                    await asyncio.to_thread(node.stop)
                case Kind.DISK_FULL:
                    fill_disk(node)
                    await self._give_up(node)
                case _:
                    node = await self._change_controller()
        finally:
            self._later(self._heal_broker())
        return node.node_id

    @staticmethod
    async def _give_up(node: KafkaNode) -> None:
        """Wait until a node that cannot write has ended; one that takes too long is killed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(DISK_FULL_SECONDS_MAX):
                while node.running:  # noqa: ASYNC110 - another process sets no event of ours
                    await asyncio.sleep(_POLL_SECONDS)
        node.kill()

    async def _change_controller(self) -> KafkaNode:
        """Freeze the node that is the active controller until another one is."""
        active = await self._brokers.active_controller()
        active.pause()
        await self._brokers.active_controller(besides=active)
        return active

    async def _heal_broker(self) -> None:
        """Bring back the node that is out, and wait until nothing lacks a replica."""
        try:
            for node in self._brokers.nodes:
                node.resume()
                node.launch()
            await self._brokers.whole()
        finally:
            self._brokers.out.release()

    # -- connections

    def _hit_connections(self, fault: Fault) -> str:
        proxies = self._brokers.proxies
        if not fault.everywhere:
            proxies = [proxies[fault.draw % len(proxies)]]
        whose = self._names(proxies)
        match fault.kind:
            case Kind.CONNECTIONS_CUT:
                cut = sum(proxy.connections for proxy in proxies)
                for proxy in proxies:
                    proxy.cut()
                return f"{cut} to {whose}"
            case Kind.CONNECTIONS_HELD:
                seconds = 1 + fault.strength * HELD_SECONDS_MAX
                self._later(self._hold(proxies, seconds))
                return f"to {whose}, for {seconds:.1f} s"
            case Kind.CONNECTIONS_DELAYED:
                weather = Weather(delay_seconds=0.02 + fault.strength * DELAY_SECONDS_MAX)
                what = f"to {whose}, by {weather.delay_seconds * 1000:.0f} ms"
            case _:
                weather = Weather(bytes_per_second=2.0 ** (12 + 4 * fault.strength))
                what = f"to {whose}, to {weather.bytes_per_second:.0f} bytes/s"
        seconds = 1 + fault.seconds
        self._later(self._pass_over(proxies, weather, seconds))
        return f"{what}, for {seconds:.1f} s"

    def _names(self, proxies: Sequence[Proxy]) -> str:
        if len(proxies) > 1:
            return "all brokers"
        return f"broker {self._brokers.proxies.index(proxies[0]) + 1}"

    @staticmethod
    async def _pass_over(proxies: Sequence[Proxy], weather: Weather, seconds: float) -> None:
        for proxy in proxies:
            proxy.weather = weather
        await asyncio.sleep(seconds)
        for proxy in proxies:
            if proxy.weather is weather:
                proxy.weather = Weather()

    @staticmethod
    async def _hold(proxies: Sequence[Proxy], seconds: float) -> None:
        for proxy in proxies:
            proxy.hold()
        await asyncio.sleep(seconds)
        for proxy in proxies:
            proxy.cut()
            proxy.release()
