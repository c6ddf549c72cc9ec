"""How long an event takes from its producer to whoever reads the outputs, at 1 000 events a second."""

from __future__ import annotations

import sys
import time
from statistics import quantiles
from typing import Final

import msgspec

from schemas.topics import Topic
from tests.bench.figures import Figure, at_most
from tests.bench.load import counts, events, preload, trickle
from tests.bench.processes import cpu_seconds
from tests.bench.system import Bench, BenchFailed, new_system
from worker.demo.children import child_process
from worker.demo.load import LoadRecord

PER_SECOND: Final = 1000
WARM_UP_SECONDS: Final = 60
MEASURED_SECONDS: Final = 30
READER_STOP_SECONDS: Final = 30.0


async def measure(bench: Bench) -> list[Figure]:
    """From an event's record timestamp to its first movement or status being visible to a read_committed reader.

    Both clocks are this machine's. Events that write neither (a second label) are not in it.
    """
    stamped_ms: dict[str, int] = {}

    def sent(record: LoadRecord, timestamp_ms: int) -> None:
        stamped_ms[_EVENT_ID(record.value).event_id] = timestamp_ms

    async with new_system(bench) as system:
        now_ms = time.time_ns() // 1_000_000
        await preload(system, opening := counts(now_ms), now_ms)
        worker = system.start_worker()
        await system.processed(worker, len(opening), Topic.STOCK)
        seen_path = system.folder / "seen.json"
        command = [sys.executable, "-m", "tests.bench.reader", system.bootstrap_servers, system.topic_prefix]
        log = system.folder / "reader.log"
        with child_process([*command, str(seen_path)], log=log, stop_seconds=READER_STOP_SECONDS):
            bench.tell(f"latency: {PER_SECOND:,} events a second for {WARM_UP_SECONDS + MEASURED_SECONDS} s")
            n_events = PER_SECOND * (WARM_UP_SECONDS + MEASURED_SECONDS)
            begun, cpu = time.monotonic(), cpu_seconds(worker.pid)
            start_ms = time.time_ns() // 1_000_000
            await trickle(system, events(n_events, start_ms), PER_SECOND, sent)
            used = (cpu_seconds(worker.pid) - cpu) / (time.monotonic() - begun)
            await system.processed(worker, n_events, Topic.ORDERS, Topic.SUB_ORDERS)
        if not seen_path.exists():
            raise BenchFailed(f"the reader failed:\n{log.read_text(errors='replace')}")
        seen_ms = msgspec.json.decode(seen_path.read_bytes(), type=dict[str, int])
    measured_from = start_ms + WARM_UP_SECONDS * 1000
    measured = {event_id: at_ms for event_id, at_ms in stamped_ms.items() if at_ms >= measured_from}
    waits = [seen_ms[event_id] - at_ms for event_id, at_ms in measured.items() if event_id in seen_ms]
    percentiles = quantiles(waits, n=1000)
    said = f"record timestamp to visible for a read_committed reader, {len(waits):,} of {len(measured):,} events"
    return [
        Figure("latency at 1,000 events/s, p50", percentiles[499], "ms", at_most(20), said),
        Figure(
            "latency at 1,000 events/s, p99",
            percentiles[989],
            "ms",
            at_most(100),
            f"p99.9 {percentiles[998]:.0f} ms, longest {max(waits)} ms",
        ),
        Figure("worker CPU at 1,000 events/s", used * 100, "% of a core"),
    ]


class _Event(msgspec.Struct):
    event_id: str


_EVENT_ID = msgspec.json.Decoder(_Event).decode
