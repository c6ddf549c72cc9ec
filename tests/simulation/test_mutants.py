"""Planted faults are found; all of them by `make mutants`, some in every run of the tests."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulator import hashes
from tests.simulator.mutants.catalogue import BY_NAME, MUTANTS
from tests.simulator.mutants.hunting import hunt
from tests.simulator.mutants.planting import Edit, Mutant, Stale, mutated

QUICK = (
    "batch-split",
    "inputs-uncommitted",
    "breaker-never-opens",
    "positions-after",
    "restore-to-silence",
    "begins-at-the-end",
)
"""Found within a few seeds."""


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_that_a_mutant_changes_is_there(mutant: Mutant) -> None:
    for module in {edit.module for edit in mutant.edits}:
        spec = importlib.util.find_spec(module)
        assert spec is not None
        source = Path(spec.origin or "").read_text()
        changed = mutated(source, [edit for edit in mutant.edits if edit.module == module])
        assert changed != source
        compile(changed, module, "exec")


def test_a_mutant_whose_text_is_gone_is_refused() -> None:
    with pytest.raises(Stale, match="0 times"):
        mutated("a = 1\n", [Edit("a", "b = 1\n", "b = 2\n")])


def test_mutants_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(MUTANTS) >= 15


def test_planted_faults_are_found() -> None:
    assert {one.name for one in hunt(QUICK, 60, 2) if one.seed is not None} == set(QUICK)


OLD_OFFSETS_ONLY = """
import sys
from dataclasses import replace
from tests.simulator.mutants.catalogue import BY_NAME
from tests.simulator.mutants.planting import install

install(BY_NAME["start-from-group"])
from tests.simulator.faults.faults import AtTime, Fault, FaultPlan
from tests.simulator.history import Entry
from tests.simulator.run import run
from tests.simulator.scenario import Act, Action, Plan

old = Fault(number=0, blow=AtTime.OLD_OFFSETS, at_seconds=2.0, seconds=6.0, amount=int(sys.argv[1]))
plan = replace(
    Plan.drawn(1).without(Plan.drawn(1).items),
    entries=tuple(
        Entry(index, 300 * index, 300 * index, "orders.events.v1", 0, b"acme", b"{}") for index in range(6)
    ),
    actions=(
        Action(0, at_seconds=3.0, act=Act.LEAVE, subject="w0"),
        Action(1, at_seconds=4.0, act=Act.JOIN, subject="w0"),
    ),
    faults=FaultPlan([old] if len(sys.argv) == 2 else [], 7.0),
)
print(*(finding.kind for finding in run(plan).findings), sep=", ")
"""


@pytest.mark.parametrize("commits_back", [0, 1, 2])
def test_who_begins_at_the_offsets_of_the_group_is_found_by_old_offsets_alone(commits_back: int) -> None:
    old, calm = [
        subprocess.run(
            [sys.executable, "-c", OLD_OFFSETS_ONLY, str(commits_back), *options],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | hashes.FIXED,
        ).stdout.strip()
        for options in ((), ("calm",))
    ]
    assert old
    assert not calm


def test_a_planted_fault_is_told_with_the_command_that_shows_it() -> None:
    command = [
        sys.executable,
        "-m",
        "tests.simulator.mutants",
        "batch-split",
        "--seed",
        "1",
        "--without",
        "r0",
    ]
    child = subprocess.run(command, capture_output=True, text=True, check=False)
    assert child.returncode == 1, child.stderr
    assert "See it again: python -m tests.simulator.mutants batch-split --seed 1 --without r0 --trace" in child.stdout
