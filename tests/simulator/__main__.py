"""`python -m tests.simulator`: run many seeds, or one with its trace.

Exit code 0: nothing found. 1: something was found, and the command that shows it is printed. 2: bad usage.
"""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulator import hashes
from tests.simulator.run import Result, run
from tests.simulator.scenario import Plan
from tests.simulator.seeds import Outcome, spread
from tests.simulator.shrinking import folded, shrink, unfolded

SHRINKING_SECONDS = 60.0
SHOWN_MAX = 5
console = Console(highlight=False, soft_wrap=True)


@click.command()
@click.option("--seeds", type=click.IntRange(min=1), default=500, show_default=True, help="How many seeds to run.")
@click.option("--from", "first", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them.")
@click.option("--seed", type=click.IntRange(min=0), help="Only this one; if it fails, it is made smaller.")
@click.option("--without", "left_out", default="", metavar="ITEMS", help="With --seed: leave out these (f1,r3-9,w1).")
@click.option("--trace", is_flag=True, help="With --seed: print all that happened.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="Processes that run together.")
def main(seeds: int, first: int, seed: int | None, left_out: str, jobs: int, *, trace: bool) -> None:
    """Try to refute that no movement is ever lost or applied twice.

    Each seed is a world of its own: a history of inputs, workers, a cluster, and all that goes wrong in it.
    """
    if seed is not None:
        try:
            names = unfolded(left_out)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--without") from error
        sys.exit(_show(seed, names, tracing=trace))
    if left_out or trace:
        raise click.UsageError("--without and --trace go with --seed")
    sys.exit(_many(range(first, first + seeds), jobs))


def _many(seeds: range, jobs: int) -> int:
    began_at = time.perf_counter()
    outcomes: list[Outcome] = []
    columns = (TextColumn("seeds"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[found]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=len(seeds), found="")
        for chunk in _until_interrupted(spread(seeds, jobs)):
            outcomes += chunk
            failing = sum(1 for outcome in outcomes if outcome.findings)
            found = f"[red]{failing} failing" if failing else "[green]nothing found"
            progress.update(task, advance=len(chunk), found=found)
    if not outcomes:
        return 1
    _print_table(outcomes, time.perf_counter() - began_at)
    failing_ones = sorted(outcome for outcome in outcomes if outcome.findings)
    for outcome in failing_ones[:SHOWN_MAX]:
        console.print(f"[red]seed {outcome.seed}[/]: {escape(outcome.findings[0])}")
    if len(failing_ones) > SHOWN_MAX:
        others = [outcome.seed for outcome in failing_ones[SHOWN_MAX:]]
        console.print(f"… and {len(others)} more: {others[:50]}", markup=False)
    return _show(failing_ones[0].seed, [], tracing=False) if failing_ones else 0


def _until_interrupted(chunks: Iterator[list[Outcome]]) -> Iterator[list[Outcome]]:
    """Ctrl-C ends a run; its results so far are printed."""
    try:
        yield from chunks
    except KeyboardInterrupt:
        console.print("[yellow]interrupted")


def _print_table(outcomes: Sequence[Outcome], seconds: float) -> None:
    figures: Counter[str] = Counter()
    for outcome in outcomes:
        figures.update(outcome.figures)
    table = Table("what", "how many", title=f"{len(outcomes):,} seeds", title_justify="left")
    table.columns[1].justify = "right"
    table.add_row("virtual hours", f"{sum(outcome.seconds for outcome in outcomes) / 3600:,.1f}")
    for name, count in sorted(figures.items()):
        table.add_row(name, f"{count:,}")
    table.add_row("seeds per second", f"{len(outcomes) / seconds:.1f}")
    failing = sum(1 for outcome in outcomes if outcome.findings)
    table.add_row("seeds with findings", f"[red]{failing}" if failing else "0")
    console.print(table)


def _show(seed: int, left_out: list[str], *, tracing: bool) -> int:
    """One seed: what is wrong with it, as small as it can be made."""
    plan = Plan.drawn(seed)
    unknown = set(left_out) - set(plan.items)
    if unknown:
        raise click.BadParameter(f"seed {seed} has no {', '.join(sorted(unknown))}", param_hint="--without")
    result = run(plan.without(left_out), tracing=tracing)
    if not result.findings:
        if tracing:
            _print_story(result)
        console.print(f"seed {seed}: [green]nothing found[/] in {result.seconds:.1f} virtual seconds")
        return 0
    if not left_out:
        kind = result.findings[0].kind
        ends_at = time.perf_counter() + SHRINKING_SECONDS
        console.print(f"seed {seed} fails ({kind}); making it smaller …")

        def fails(names: Sequence[str]) -> bool:
            found = run(plan.without(names)).findings
            return bool(found) and found[0].kind is kind

        left_out = shrink(plan.items, fails, out_of_time=lambda: time.perf_counter() > ends_at)
        result = run(plan.without(left_out), tracing=True)
    _print_story(result)
    program = click.get_current_context().find_root().info_name
    options = f" --without {folded(left_out)}" if left_out else ""
    console.print(f"\nSee it again: [bold]{program} --seed {seed}{options} --trace")
    return 1


def _print_story(result: Result) -> None:
    for line in (*result.plan.lines(), *result.trace):
        console.print(str(line), markup=False)
    for finding in result.findings:
        console.print(f"[red]{escape(str(finding))}")


if __name__ == "__main__":
    hashes.fix()
    main()
