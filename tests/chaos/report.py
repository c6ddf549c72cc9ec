"""The report of a run, for people and for programs."""

from __future__ import annotations

from collections import defaultdict
from statistics import median
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from tests.chaos.faults import Kind
from tests.chaos.run import Result

WIDTH: Final = 120
_SHOWN_MAX: Final = 10


def as_data(result: Result) -> dict[str, Any]:
    """The report as data for JSON."""
    verdict, options = result.verdict, result.options
    return {
        "ok": result.right,
        "seed": options.seed,
        "brokers": options.brokers,
        "workers": options.workers,
        "seconds": round(result.seconds, 1),
        "records": verdict.books.inputs,
        "outcomes": dict(verdict.books.outcomes),
        "movements": verdict.books.movements,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "different": verdict.different,
        "verify": verdict.books.findings,
        "examples": verdict.examples,
        "unclean": result.unclean,
        "complaints": result.complaints,
        "longest_stall_seconds": round(result.longest.seconds, 2),
        "slowest_stop_seconds": round(result.slowest_stop_s, 2),
        "faults": {
            kind.value: {
                "count": len(seconds),
                "recovery_seconds_median": round(median(seconds), 2),
                "recovery_seconds_max": round(max(seconds), 2),
            }
            for kind, seconds in _recoveries(result).items()
        },
        "take_overs": {
            each.signal.name: {
                "seconds": [round(seconds, 2) for seconds in each.seconds],
                "target_seconds": each.target_s,
                "met": each.met,
            }
            for each in result.take_overs
        },
        "plan": [
            {
                "number": outcome.fault.number,
                "kind": outcome.fault.kind.value,
                "whom": outcome.whom,
                "at_seconds": round(outcome.at, 1),
                "recovery_seconds": round(outcome.recovery_s, 2),
            }
            for outcome in result.outcomes
        ],
    }


def show(result: Result, console: Console) -> None:
    """Print the tables, and what is wrong."""
    options, verdict = result.options, result.verdict
    title = f"Chaos, seed {options.seed}: {options.brokers} brokers, {options.workers} workers, {result.seconds:.0f} s"
    table = Table(title=title, title_justify="left")
    table.add_column("fault")
    for column in ("times", "recovery: median", "max"):
        table.add_column(column, justify="right")
    for kind, seconds in _recoveries(result).items():
        table.add_row(kind.value, str(len(seconds)), f"{median(seconds):.1f} s", f"{max(seconds):.1f} s")
    all_of_them = [outcome.recovery_s for outcome in result.outcomes]
    table.add_section()
    if all_of_them:
        table.add_row("all", str(len(all_of_them)), f"{median(all_of_them):.1f} s", f"{max(all_of_them):.1f} s")
    console.print(table)
    console.print(
        "Recovery: from the fault until every partition has processed records sent after it, none waiting over 1 s."
    )
    for each in result.take_overs:
        met = "in time" if each.met else "[red]too late[/]"
        console.print(
            f"Take-over by the other one of two workers after {each.signal.name}, {len(each.seconds)} times: median "
            f"{each.median_s:.1f} s, max {max(each.seconds):.1f} s (asked: {each.target_s:.0f} s at most; {met})"
        )
    outcomes = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in verdict.books.outcomes.items())
    console.print(f"{verdict.books.inputs} records ({outcomes}), {verdict.books.movements} movements")
    console.print(f"Longest stall: {result.longest.seconds:.1f} s; slowest stop: {result.slowest_stop_s:.1f} s")
    colour = "green" if verdict.right else "bold red"
    console.print(
        f"[{colour}]lost {verdict.lost}, doubled {verdict.doubled}[/], unlike a calm run {verdict.different}, "
        f"found by verify {len(verdict.books.findings)}"
    )
    wrong = [*verdict.examples, *verdict.books.findings, *result.unclean, *result.complaints]
    for line in wrong[:_SHOWN_MAX]:
        console.print(line, style="red", markup=False, soft_wrap=True)


def _recoveries(result: Result) -> dict[Kind, list[float]]:
    """Seconds by kind, in the order of the kinds."""
    seconds: dict[Kind, list[float]] = defaultdict(list)
    for outcome in result.outcomes:
        seconds[outcome.fault.kind].append(outcome.recovery_s)
    return {kind: seconds[kind] for kind in Kind if kind in seconds}
