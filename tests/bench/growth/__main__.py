"""`python -m tests.bench.growth`: how the cost of an event grows with everything it could grow with.

`make bench-growth` runs it and draws `docs/growth.png` (`ARGS=--quick` for a short run). CPU is measured in process
where the broker is not what is asked about, so that it is repeatable. Exit code 1 when a cost grows faster than what an
event touches, or when a record holds up the others for longer than allowed.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from deploy.kafka.jars import KafkaUnavailable
from deploy.kafka.local import KafkaCluster, KafkaStartError
from tests.bench.command import start_command
from tests.bench.growth import in_process, stretches, with_broker
from tests.bench.growth.series import Findings, Series
from tests.bench.machine import machine
from tests.bench.system import BenchFailed

STRETCHES: Final = "stretches"
BROKER: Final = "broker"


def main() -> int:
    """Measure, and print."""
    options = _options()
    note = start_command()
    try:
        findings = _measure(options, note)
    except (KafkaUnavailable, KafkaStartError, BenchFailed, TimeoutError) as error:
        print(f"error: {str(error) or 'it did not end in time'}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    Console().print(*_tables(findings))
    grows = [series for series in findings.series if series.slope > series.allowed]
    held_up = [stretch for stretch in findings.stretches if stretch.cpu_ms > stretches.HELD_UP_MS_MAX]
    return 1 if grows or held_up else 0


def _measure(options: argparse.Namespace, note: Callable[[str], None]) -> Findings:
    wanted = options.only or [*in_process.QUESTIONS, STRETCHES, BROKER]
    findings = Findings(machine(), [], [])
    for name in wanted:
        if name in in_process.QUESTIONS:
            findings.series.append(in_process.measure(name, note, quick=options.quick))
            _keep(findings, options.output)
    if STRETCHES in wanted:
        findings.stretches += asyncio.run(stretches.measure(note, quick=options.quick))
    if BROKER in wanted:
        with KafkaCluster() as kafka, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            findings.series += runner.run(with_broker.measure(kafka, note, quick=options.quick))
    _keep(findings, options.output)
    return findings


def _keep(findings: Findings, output: Path | None) -> None:
    """Write what is known by now: a run that is cut short has not been for nothing."""
    if output is not None:
        output.write_bytes(msgspec.json.format(msgspec.json.encode(_as_data(findings))))


def _as_data(findings: Findings) -> dict[str, object]:
    """What was measured, and whether it is within its bounds."""
    series = [msgspec.to_builtins(each) | {"slope": each.slope, "verdict": each.verdict} for each in findings.series]
    return {"machine": findings.machine, "series": series, "stretches": msgspec.to_builtins(findings.stretches)}


def _tables(findings: Findings) -> list[Table]:
    growth = Table(title=f"How it grows, on {findings.machine}", title_justify="left")
    for column in ("cost against", "µs/event at each size", "slope"):
        growth.add_column(column, overflow="fold")
    for series in findings.series:
        growth.add_row(f"{series.name}: {series.size}", _costs(series), series.verdict)
    held = Table(title=f"The longest stretch of CPU (at most {stretches.HELD_UP_MS_MAX:.0f} ms)", title_justify="left")
    for column in ("what", "step", "ms"):
        held.add_column(column, justify="right" if column == "ms" else "left")
    for stretch in findings.stretches:
        style = "bold red" if stretch.cpu_ms > stretches.HELD_UP_MS_MAX else None
        held.add_row(stretch.name, stretch.step, f"{stretch.cpu_ms:,.0f}", style=style)
    return [growth, held]


def _costs(series: Series) -> str:
    return ", ".join(
        f"{point.size:,}: {point.us_per_event:,.1f}"
        + ("" if point.events_per_s is None else f" ({point.events_per_s:,.0f}/s)")
        for point in series.points
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller sizes")
    names = [*in_process.QUESTIONS, STRETCHES, BROKER]
    parser.add_argument("--only", action="append", choices=names, help="measure this (may be repeated)")
    parser.add_argument("--output", type=Path, help="write all figures to this file, as JSON")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
