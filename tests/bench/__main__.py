"""`python -m tests.bench`: what Stockfreeze does on this machine, beside what is asked of it (`make bench`).

Apache Kafka is started for it, the workers are real `stockfreeze run` processes, and everything shares the machine's
cores. The table goes to stdout, what is going on to stderr. Missed targets do not fail: the exit code is 0 when all was
measured and right, 1 when something failed (such as a `verify` that found a difference).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from rich.console import Console

from tests.bench import latency, quiet, state, takeover, throughput, verification
from tests.bench.command import start_command
from tests.bench.figures import Figure, as_data, as_table
from tests.bench.machine import machine
from tests.bench.system import Bench, on_kafka

MEASUREMENTS: Final[Mapping[str, Callable[[Bench], Awaitable[list[Figure]]]]] = {
    "throughput": throughput.measure,
    "latency": latency.measure,
    "state": state.measure,
    "quiet": quiet.measure,
    "take-over": takeover.measure,
    "verify": verification.measure,
}
EVENTS: Final = 200_000
MOVEMENTS: Final = 2_000_000
WIDTH: Final = 140
"""Of the table where it goes to a file."""


def main() -> int:
    """Measure, and print."""
    options = _options()
    note = start_command()
    figures = on_kafka(
        note,
        lambda kafka: _measure(
            Bench(kafka, options.events, note, options.movements), options.only or list(MEASUREMENTS)
        ),
    )
    if options.json:
        print(json.dumps({"machine": machine(), "figures": as_data(figures)}, indent=2))
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        console.print(as_table(figures, f"Stockfreeze, worker and broker on {machine()}"))
    return 0


async def _measure(bench: Bench, names: Sequence[str]) -> list[Figure]:
    figures: list[Figure] = []
    for name in names:
        figures += await MEASUREMENTS[name](bench)
    return figures


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(MEASUREMENTS), help="measure this (may be repeated)")
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events of the throughput run (default {EVENTS})")
    movements = f"movements of the journal that verify is measured on (default {MOVEMENTS})"
    parser.add_argument("--movements", type=int, default=MOVEMENTS, help=movements)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
