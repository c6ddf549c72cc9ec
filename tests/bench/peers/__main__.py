"""`python -m tests.bench.peers`: the same job on Stockfreeze and on its peers, on one Apache Kafka (`make
bench-peers`).

One system after the other, in several rounds; each round begins with another system. The job of the peers is the kernel
of ours (`kernel.py`), from the same events; Stockfreeze does all that it does in production. The final levels of each
are compared with the expected ones: exit code 1 when a system ended with others, or failed. `--from` shows the samples
of earlier runs (their `--json`) as one table.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console

from deploy.kafka.jars import KafkaUnavailable
from deploy.kafka.local import KafkaCluster, KafkaStartError
from tests.bench.command import start_command
from tests.bench.machine import machine
from tests.bench.peers.levels import kernel_events
from tests.bench.peers.roster import CONTENDERS, Contender
from tests.bench.peers.runs import TRICKLED, Sample, run
from tests.bench.peers.table import as_data, as_markdown, as_tables
from tests.bench.system import Bench, BenchFailed
from tests.e2e.worker_process import WorkerNotReadyError
from worker.inspection.cluster import ClusterError

EVENTS: Final = 1_000_000
ROUNDS: Final = 3
WIDTH: Final = 160
"""Of the table where it goes to a file."""


class Outcome(msgspec.Struct):
    """What `--json` prints, and `--from` reads."""

    machine: str
    samples: list[Sample]
    failures: list[str]


def main() -> int:
    """Measure, or read what was measured, and print."""
    options = _options()
    if options.earlier:
        read = [msgspec.json.decode(path.read_bytes(), type=Outcome) for path in options.earlier]
        outcome = Outcome(
            read[0].machine,
            [one for each in read for one in each.samples],
            [one for each in read for one in each.failures],
        )
    else:
        try:
            outcome = _measure(options)
        except (KafkaUnavailable, KafkaStartError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            return 130
    _print(outcome, options)
    return 1 if outcome.failures or any(sample.wrong is not None for sample in outcome.samples) else 0


def _measure(options: argparse.Namespace) -> Outcome:
    note = start_command()
    chosen = [each for each in CONTENDERS if not options.only or each.name in options.only]
    with KafkaCluster() as kafka, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcome = Outcome(machine(), [], [])
        try:
            runner.run(_rounds(Bench(kafka, options.events, note), chosen, options.rounds, outcome))
        except KeyboardInterrupt:
            if not outcome.samples:
                raise
            outcome.failures.append("interrupted: not all rounds were run")
    return outcome


async def _rounds(bench: Bench, contenders: Sequence[Contender], rounds: int, outcome: Outcome) -> None:
    start_ms = time.time_ns() // 1_000_000 - bench.events
    load = list(kernel_events(bench.events + TRICKLED, start_ms))
    # The first turn counts for nobody: the broker's virtual machine is cold, and compiles while others are measured.
    turns = [(0, contenders[0])]
    for number in range(rounds):
        first = number % len(contenders)
        turns += [(number + 1, contender) for contender in (*contenders[first:], *contenders[:first])]
    failed: set[str] = set()
    for number, contender in turns:
        if contender.name in failed:
            continue
        try:
            sample = await run(bench, contender, load, start_ms)
        except (BenchFailed, ClusterError, WorkerNotReadyError, TimeoutError) as error:
            failed.add(contender.name)
            outcome.failures.append(f"{contender.name}: {str(error) or 'it did not end in time'}")
            bench.note(outcome.failures[-1])
            continue
        if number:
            outcome.samples.append(sample)
        bench.note(
            f"{f'round {number} of {rounds}' if number else 'to warm up'}, {contender.name}: "
            f"{sample.events_per_s:,.0f} events/s, {sample.cpu_us_per_event:.1f} µs, p50 {sample.p50_ms:.0f} ms, "
            f"p99 {sample.p99_ms:.0f} ms, {sample.memory_mib:,.0f} MiB"
            f"{'' if sample.wrong is None else f', WRONG: {sample.wrong}'}"
        )


def _print(outcome: Outcome, options: argparse.Namespace) -> None:
    if options.json:
        result = msgspec.to_builtins(outcome) | {"systems": as_data(outcome.samples)}
        print(json.dumps(result, indent=2))
    elif options.markdown:
        print(as_markdown(outcome.samples))
    else:
        console = Console(width=None if sys.stdout.isatty() else WIDTH)
        title = (
            f"The kernel of the job, worker and broker on {outcome.machine}: median (as a ratio to Stockfreeze), range"
        )
        console.print(*as_tables(outcome.samples, title))
    for failure in outcome.failures:
        print(f"FAILED: {failure}", file=sys.stderr)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help=f"events of the backlog (default {EVENTS})")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"times each is measured (default {ROUNDS})")
    names = [contender.name for contender in CONTENDERS]
    parser.add_argument("--only", action="append", choices=names, help="measure this (may be repeated)")
    parser.add_argument("--from", dest="earlier", nargs="+", type=Path, metavar="FILE", help="show these JSON outputs")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print JSON")
    output.add_argument("--markdown", action="store_true", help="print the figures for a page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
