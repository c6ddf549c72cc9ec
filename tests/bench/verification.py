"""How fast `verify` is, and that its memory is that of the stock, however long the journal."""

from __future__ import annotations

import time
from typing import Final

from tests.bench.figures import Figure, at_least, at_most
from tests.bench.journal import write_past_and_present
from tests.bench.processes import largest_resident_bytes
from tests.bench.system import Bench, new_system

LONGER: Final = 10
"""How much longer the journal is that is measured than the one that its memory is compared with."""


class _Peak:
    """The most memory that a process or one of its children was seen to hold, in bytes: how many there are follows from
    how much there is to read.
    """

    def __init__(self) -> None:
        self.bytes = 0

    def __call__(self, pid: int) -> None:
        self.bytes = max(self.bytes, largest_resident_bytes(pid))


async def measure(bench: Bench) -> list[Figure]:
    """Verify a journal of `bench.movements` movements, and one of a tenth."""
    short_peak, _ = await _verify(bench, bench.movements // LONGER)
    peak, per_second = await _verify(bench, bench.movements)
    meaning = f"{bench.movements:,} movements and what belongs to them, a warm file cache, start included"
    return [
        Figure("verify", per_second, "records/s", at_least(100_000), meaning),
        Figure("verify, memory", peak / 2**20, "MiB", note="of the largest of its processes, at most"),
        Figure(
            "verify, memory for ten times the journal",
            peak / short_peak,
            "times",
            at_most(1.2),
            "the stock is the same",
        ),
    ]


async def _verify(bench: Bench, movements: int) -> tuple[float, float]:
    """Its greatest memory in bytes, and how many records it read a second."""
    peak = _Peak()
    async with new_system(bench) as system:
        bench.note(f"verify: writing a journal of {movements:,} movements")
        records = await write_past_and_present(system, movements)
        bench.note(f"verify: reading {records:,} records")
        began = time.monotonic()
        verified = await system.verify(peak)
        per_second = records / (time.monotonic() - began)
    bench.note(
        f"verify: {verified['movements']:,} movements of {verified['stock_keys']:,} keys, {per_second:,.0f} records/s"
    )
    return peak.bytes, per_second
