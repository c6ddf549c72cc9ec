"""Many seeds: the outcome of each, and how they are spread over processes."""

from __future__ import annotations

import gc
import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing import get_context
from typing import NamedTuple
from unittest import mock

from tests.simulator import hashes
from tests.simulator.run import run
from tests.simulator.scenario import Plan

CHUNK = 20
COLLECTED_AFTER = 10_000
"""Objects made, before the collector looks for cycles among them. A world leaves some ten thousand."""


class Outcome(NamedTuple):
    """The outcome of one seed."""

    seed: int
    findings: list[str]
    figures: Counter[str]
    seconds: float
    """Virtual."""


def run_seed(seed: int) -> Outcome:
    """Run one seed here."""
    return run_plan(Plan.drawn(seed))


def run_plan(plan: Plan) -> Outcome:
    """Run the plan of a seed here."""
    result = run(plan)
    return Outcome(plan.seed, [str(finding) for finding in result.findings], result.figures, result.seconds)


def run_seeds(seeds: range) -> list[Outcome]:
    """Run seeds here, one after another."""
    return [run_seed(seed) for seed in seeds]


def settle() -> None:
    """Prepare a process that runs seeds and nothing else: what was imported stays, and need not be looked through."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_AFTER)


def spread(seeds: range, jobs: int) -> Iterator[list[Outcome]]:
    """Run seeds in so many processes; gives what came of them as it comes."""
    chunks = [seeds[begin : begin + CHUNK] for begin in range(0, len(seeds), CHUNK)]
    with (
        mock.patch.dict(os.environ, hashes.FIXED),
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=settle) as pool,
    ):
        pending: set[Future[list[Outcome]]] = {pool.submit(run_seeds, chunk) for chunk in chunks}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
