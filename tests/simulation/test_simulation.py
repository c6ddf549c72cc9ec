"""Seeds of the simulation that every run of the tests tries. `make simulate SEEDS=10000` tries more."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
from click.testing import CliRunner

from tests.simulator.__main__ import main
from tests.simulator.run import run
from tests.simulator.scenario import Plan
from tests.simulator.seeds import spread

SEEDS = range(500)


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_applied_twice_whatever_fails() -> None:
    outcomes = [outcome for chunk in spread(SEEDS, os.cpu_count() or 1) for outcome in chunk]
    found = {outcome.seed: outcome.findings[0] for outcome in outcomes if outcome.findings}
    assert not found, f"see it with: python -m tests.simulator --seed {min(found)}\n{found}"
    assert len(outcomes) == len(SEEDS)
    assert sum(outcome.figures["crashes"] for outcome in outcomes) > len(SEEDS) / 4
    assert sum(outcome.figures["transactions"] for outcome in outcomes) > 2 * len(SEEDS)


def test_seeds_cover_both_transaction_protocols_and_exhausted_epochs() -> None:
    plans = [Plan.drawn(seed) for seed in SEEDS]
    for version in (1, 2):
        assert sum(plan.transaction_version == version for plan in plans) > len(SEEDS) / 3
        assert any(plan.epochs_max < 10 for plan in plans if plan.transaction_version == version)


def test_a_seed_takes_the_same_course_every_time(elsewhere: ProcessPoolExecutor) -> None:
    first, second = (elsewhere.submit(run, Plan.drawn(41), tracing=True).result() for _ in range(2))
    assert first.trace == second.trace
    assert first.figures == second.figures


def test_a_run_does_not_end_before_its_last_input_was_sent(elsewhere: ProcessPoolExecutor) -> None:
    plan = Plan.drawn(3)
    late = replace(plan, entries=tuple(replace(entry, at_ms=entry.at_ms + 15_000) for entry in plan.entries))
    result = elsewhere.submit(run, late).result()
    assert result.findings == []
    assert result.seconds > late.entries[-1].at_ms / 1000


WORLDS_LEFT = """
import gc
from tests.simulator.loop import SimulatedLoop
from tests.simulator.seeds import run_seeds

run_seeds(range(5))
while gc.collect():  # what a `finally` does brings things back once
    pass
print(sum(isinstance(thing, SimulatedLoop) for thing in gc.get_objects()))
"""


def test_nothing_is_left_of_a_world_whose_run_is_over() -> None:
    child = subprocess.run([sys.executable, "-c", WORLDS_LEFT], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "0"


def test_a_plan_can_do_without_any_of_its_items(elsewhere: ProcessPoolExecutor) -> None:
    plan = next(plan for seed in range(100) if len((plan := Plan.drawn(seed)).workers) == 3)
    for item in plan.items:
        assert item not in plan.without([item]).items
    assert plan.without(plan.items).items == []
    assert elsewhere.submit(run, plan.without(plan.items)).result().findings == []


def test_the_command_says_how_many_seeds_found_nothing() -> None:
    result = CliRunner().invoke(main, ["--seeds", "2", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert "seeds with findings" in result.output


def test_the_command_tells_the_story_of_a_seed() -> None:
    command = [sys.executable, "-m", "tests.simulator", "--seed", "3", "--trace", "--without", "r0-1"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "seed 3: " in printed
    assert "was given the partitions" in printed


def test_the_story_of_a_seed_is_the_same_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulator", "--seed", "0", "--trace"]
    printed = {
        subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | {"PYTHONHASHSEED": hashes}
        ).stdout
        for hashes in ("1", "2", "3")
    }
    assert len(printed) == 1


@pytest.mark.parametrize(
    "arguments",
    [["--seeds", "0"], ["--trace"], ["--without", "f1"], ["--seed", "1", "--without", "f999"], ["--without", "f1-x"]],
)
def test_the_command_refuses_what_makes_no_sense(arguments: list[str]) -> None:
    assert CliRunner().invoke(main, arguments).exit_code == 2
