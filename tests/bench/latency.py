"""How long an event takes from its producer to a reader of the outputs, at a steady rate."""

from __future__ import annotations

import sys
import time
from statistics import quantiles
from typing import Final, NamedTuple

import msgspec

from schemas.topics import Topic
from tests.bench.figures import Figure, at_most
from tests.bench.load import counted, events, trickle
from tests.bench.processes import cpu_seconds
from tests.bench.steady_load import LoadRecord
from tests.bench.system import PARTITION_COUNTS, Bench, BenchFailed, new_system, through
from worker.demo.children import child_process

READER_STOP_SECONDS: Final = 30.0

WARM_UP_SECONDS: Final = 60
"""A broker that has only just started compiles itself on the cores that it shares with the worker. At 10,000 events/s
it falls seconds behind at first, and p99 comes down from 2 s to 0.1 s within this time.
"""


class Pace(NamedTuple):
    """How many events a second are sent, into how many partitions, for how long they are measured, and what is asked of
    their latency in ms (None: nothing).
    """

    per_second: int
    partitions: int
    measured_seconds: int
    p50_ms_max: float | None
    p99_ms_max: float


PACES: Final = tuple(
    pace
    for partitions in PARTITION_COUNTS
    for pace in (Pace(1000, partitions, 30, 10, 40), Pace(10_000, partitions, 15, None, 150))
)


async def measure(bench: Bench) -> list[Figure]:
    """From an event's record timestamp to its first movement or status being visible to a read_committed reader.

    Both clocks are this machine's. Events that write neither (a second label) are not in it.
    """
    return [figure for pace in PACES for figure in await measure_at(bench, pace)]


async def measure_at(bench: Bench, pace: Pace, warm_up_seconds: int = WARM_UP_SECONDS) -> list[Figure]:
    """p50, p99 and the worker's CPU at one pace."""
    stamped_ms: dict[str, int] = {}
    rate = f"{pace.per_second:,} events/s, {through(pace.partitions)}"

    def sent(record: LoadRecord, timestamp_ms: int) -> None:
        stamped_ms[_EVENT_ID(record.value).event_id] = timestamp_ms

    async with new_system(bench, pace.partitions) as system:
        worker = await counted(system, time.time_ns() // 1_000_000)
        seen_path = system.folder / "seen.json"
        command = [sys.executable, "-m", "tests.bench.reader", system.bootstrap_servers, system.topic_prefix]
        log = system.folder / "reader.log"
        with child_process([*command, str(seen_path)], log=log, stop_seconds=READER_STOP_SECONDS):
            seconds = warm_up_seconds + pace.measured_seconds
            bench.note(f"latency: {rate} for {seconds} s")
            n_events = pace.per_second * seconds
            begun, cpu = time.monotonic(), cpu_seconds(worker.pid)
            start_ms = time.time_ns() // 1_000_000
            await trickle(system, events(n_events, start_ms), pace.per_second, sent)
            took_seconds = time.monotonic() - begun
            used = (cpu_seconds(worker.pid) - cpu) / took_seconds
            await system.processed(worker, n_events, Topic.ORDERS, Topic.SUB_ORDERS)
        if not seen_path.exists():
            raise BenchFailed(f"the reader failed:\n{log.read_text(errors='replace')}")
        seen_ms = msgspec.json.decode(seen_path.read_bytes(), type=dict[str, int])
    measured_from = start_ms + warm_up_seconds * 1000
    measured = {event_id: at_ms for event_id, at_ms in stamped_ms.items() if at_ms >= measured_from}
    waits = [seen_ms[event_id] - at_ms for event_id, at_ms in measured.items() if event_id in seen_ms]
    percentiles = quantiles(waits, n=1000)
    return [
        Figure(
            f"latency at {rate}, p50",
            percentiles[499],
            "ms",
            None if pace.p50_ms_max is None else at_most(pace.p50_ms_max),
            f"record timestamp to visible for a read_committed reader, {len(waits):,} of {len(measured):,} events; "
            f"sent were {n_events / took_seconds:,.0f} a second",
        ),
        Figure(
            f"latency at {rate}, p99",
            percentiles[989],
            "ms",
            at_most(pace.p99_ms_max),
            f"p99.9 {percentiles[998]:.0f} ms, longest {max(waits)} ms",
        ),
        Figure(f"worker CPU at {rate}", used * 100, "% of a core"),
    ]


class _Event(msgspec.Struct):
    event_id: str


_EVENT_ID = msgspec.json.Decoder(_Event).decode
