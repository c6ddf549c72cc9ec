"""`python -m tests.simulator.mutants`: does the simulation find each planted fault? A table, one line a mutant.

Exit code 0: all were found. 1: one was not. 2: bad usage, or what a mutant replaces is not in the worker any more.
`python -m tests.simulator.mutants NAME…` hunts only these. `python -m tests.simulator.mutants NAME --seed 7 --trace` is
`python -m tests.simulator --seed 7 --trace` with that mutant planted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import NamedTuple

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tests.simulator import __main__ as simulation
from tests.simulator import hashes
from tests.simulator.mutants.catalogue import BY_NAME
from tests.simulator.mutants.seams import Stale, plant
from tests.simulator.scenario import Plan
from tests.simulator.seeds import run_plan

SEEDS_MAX = 3000
HUNT = "--hunt"
console = Console(highlight=False)


class Hunted(NamedTuple):
    """The result of hunting one mutant. `seed` None: it was not found."""

    name: str
    seed: int | None
    finding: str
    seeds: int
    seconds: float


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("rest", nargs=-1, type=click.UNPROCESSED, metavar="[NAME]...")
@click.option("--seeds", type=click.IntRange(min=1), default=SEEDS_MAX, show_default=True, help="How many at most.")
@click.option("--jobs", type=click.IntRange(min=1), default=os.cpu_count() or 1, help="Processes that run together.")
def main(rest: tuple[str, ...], seeds: int, jobs: int) -> None:
    """Hunt all mutants, or those named.

    With --seed and other options of `python -m tests.simulator`, run that seed with the one mutant planted:

    \b
        python -m tests.simulator.mutants batch-split --seed 7 --trace
    """
    if rest[:1] == (HUNT,) and len(rest) == 2:
        click.echo(json.dumps(_hunt_here(rest[1], seeds)))
    elif any(option.partition("=")[0] == "--seed" for option in rest):
        _plant(rest[0])
        simulation.main.main(rest[1:], prog_name=f"python -m tests.simulator.mutants {rest[0]}")
    else:
        for name in rest:
            _check_name(name)
        sys.exit(_hunt_all(rest or tuple(BY_NAME), seeds, jobs))


def hunt(names: Sequence[str], seeds: int, jobs: int) -> Iterator[Hunted]:
    """Hunt mutants, each in a process of its own; gives each result as it comes."""
    with ThreadPoolExecutor(jobs) as pool:
        for future in as_completed([pool.submit(_hunt, name, seeds) for name in names]):
            yield future.result()


def _hunt(name: str, seeds: int) -> Hunted:
    command = [sys.executable, "-m", "tests.simulator.mutants", "--seeds", str(seeds), HUNT, name]
    child = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | hashes.FIXED)
    if child.returncode:
        raise Stale(f"{name}: {child.stderr.strip()}")
    return Hunted(*json.loads(child.stdout.splitlines()[-1]))


def _hunt_here(name: str, seeds: int) -> Hunted:
    _plant(name)
    began_at = time.perf_counter()
    with_loss = BY_NAME[name].with_loss
    for seed in range(seeds):
        plan = Plan.drawn(seed)
        if with_loss is not None and (plan.loss is not None) is not with_loss:
            continue
        findings = run_plan(plan).findings
        if findings:
            return Hunted(name, seed, findings[0], seed + 1, time.perf_counter() - began_at)
    return Hunted(name, None, "", seeds, time.perf_counter() - began_at)


def _check_name(name: str) -> None:
    if name not in BY_NAME:
        raise click.UsageError(f"there is no mutant {name}; there are: {', '.join(BY_NAME)}")


def _plant(name: str) -> None:
    _check_name(name)
    try:
        plant(BY_NAME[name])
    except Stale as stale:
        raise click.UsageError(str(stale)) from stale


def _hunt_all(names: Sequence[str], seeds: int, jobs: int) -> int:
    found: dict[str, Hunted] = {}
    try:
        for one in track(hunt(names, seeds, jobs), "mutants", len(names), console=console):
            found[one.name] = one
            console.print(f"{one.name}: {'not found' if one.seed is None else f'found by seed {one.seed}'}")
    except Stale as stale:
        console.print(f"[red]{stale}")
        return 2
    table = Table("mutant", "what is broken", "seeds needed", "seconds", "first finding")
    for mutant in (BY_NAME[name] for name in names):
        one = found[mutant.name]
        needed = "[red]not found" if one.seed is None else str(one.seeds)
        table.add_row(one.name, mutant.what, needed, f"{one.seconds:.1f}", one.finding[:160].replace("[", r"\["))
    console.print(table)
    missed = [name for name in names if found[name].seed is None]
    console.print(f"[red]not found: {', '.join(missed)}" if missed else f"all {len(names)} mutants were found")
    return 1 if missed else 0
