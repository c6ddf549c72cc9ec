"""`python -m tests.bench.pair SITE`: the latency of this build and of another one, at the same time on one broker.

A machine's moods move a latency more than most changes do, within minutes. Two workers that run side by side have the
same moods, and each round gives one ratio: a few of them show a tenth. SITE is the folder to import the other build
from, such as another clone's `.cache/compiled/site`. The latencies are those of two systems on one machine: not those
of `python -m tests.bench`, nor to be held to their targets.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from dataclasses import replace
from statistics import median
from typing import Final

from rich.console import Console
from rich.table import Table

from tests.bench.command import start_command
from tests.bench.latency import Pace, measure_at
from tests.bench.system import Bench, on_kafka

COLD_SECONDS: Final = 60
"""A round that counts for nothing: the broker has only just started."""
WARM_UP_SECONDS: Final = 8
MEASURED_SECONDS: Final = 15


def main() -> int:
    """Measure, and print."""
    options = _options()
    note = start_command()
    table = on_kafka(
        note, lambda kafka: _rounds(Bench(kafka, 0, note, imports_from=os.environ.get("PYTHONPATH")), options)
    )
    Console().print(table)
    return 0


async def _rounds(here: Bench, options: argparse.Namespace) -> Table:
    pace = Pace(options.per_second, options.partitions, MEASURED_SECONDS, None, 0)
    there = replace(here, imports_from=options.site)
    table = Table("round", "p50 here", "p50 there", "ratio", "p99 here", "p99 there", "ratio")
    ratios: list[tuple[float, float]] = []
    for number in range(options.rounds + 1):
        warm_up_seconds = WARM_UP_SECONDS if number else COLD_SECONDS
        benches = (here, there) if number % 2 else (there, here)
        both = await asyncio.gather(*(measure_at(bench, pace, warm_up_seconds) for bench in benches))
        ours, theirs = ([figure.measured for figure in each] for each in (both if number % 2 else both[::-1]))
        if number:
            ratios.append((ours[0] / theirs[0], ours[1] / theirs[1]))
            cells = [f"{ours[at]:.0f} {theirs[at]:.0f} {ratios[-1][at]:.2f}".split() for at in (0, 1)]
            table.add_row(str(number), *cells[0], *cells[1])
    p50, p99 = (median(each) for each in zip(*ratios, strict=True))
    table.add_section()
    table.add_row("median", "", "", f"{p50:.2f}", "", "", f"{p99:.2f}")
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pair", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("site", help="the folder to import the other build from")
    parser.add_argument("--per-second", type=int, default=300, help="events a second for each (default 300)")
    parser.add_argument("--partitions", type=int, default=4, help="of each (default 4)")
    parser.add_argument("--rounds", type=int, default=10, help="of half a minute (default 10)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
