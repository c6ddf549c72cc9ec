"""Planted faults are found; all of them by `make mutants`, some in every run of the tests."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.simulator import hashes
from tests.simulator.mutants.hunt import hunt

QUICK = (
    "batch-split",
    "inputs-uncommitted",
    "breaker-never-opens",
    "positions-after",
    "restore-to-silence",
    "begins-at-the-end",
)
"""Found within a few seeds."""


def test_planted_faults_are_found() -> None:
    assert {one.name for one in hunt(QUICK, 60, 2) if one.seed is not None} == set(QUICK)


OLD_OFFSETS_ONLY = """
import sys
from dataclasses import replace
from tests.simulator.mutants.catalogue import BY_NAME
from tests.simulator.mutants.seams import plant

plant(BY_NAME["start-from-group"])
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
def test_a_start_at_the_group_offsets_fails_only_when_they_are_old(commits_back: int) -> None:
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


def test_a_found_mutant_comes_with_the_command_that_shows_it() -> None:
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
