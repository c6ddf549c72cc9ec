"""Time and randomness are passed in, so that a test or a simulation can replace them."""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import pytest

from worker.clock import Chance

ROOT = Path(__file__).parents[2]
FREE = ("worker/clock.py", "worker/demo/")
"""The clock itself, and the demo, which plays in real time."""


def times_read(source: str) -> list[int]:
    """The lines that read the time of an event loop, or of anything else with a method `time`."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [call.lineno for call in calls if isinstance(call.func, ast.Attribute) and call.func.attr == "time"]


def test_the_time_of_an_event_loop_is_found() -> None:
    assert times_read("import asyncio\nnow = asyncio.get_running_loop().time()\n") == [2]
    assert times_read("time = clock.monotonic()\n") == []


def test_no_module_reads_the_time_of_the_event_loop() -> None:
    # ruff's banned-api finds what is read by a module's name, and this what is read through an object.
    modules = [path.relative_to(ROOT) for path in (ROOT / "worker").rglob("*.py")]
    assert len(modules) > 100
    found = {
        str(path): lines
        for path in modules
        if not str(path).startswith(FREE) and (lines := times_read((ROOT / path).read_text()))
    }
    assert not found


@pytest.mark.parametrize("wait_ms", [1, 400])
def test_a_wait_is_spread_between_a_half_of_it_and_all(wait_ms: int) -> None:
    chance = Chance(Random(1))
    waits = [chance.spread(wait_ms) for _ in range(100)]
    assert wait_ms / 2000 <= min(waits) < max(waits) < wait_ms / 1000


def test_a_token_is_drawn_from_the_source_and_differs_from_the_next() -> None:
    chance = Chance(Random(1))
    tokens = [chance.token() for _ in range(100)]
    assert len(set(tokens)) == 100
    assert {len(token) for token in tokens} == {32}
    assert tokens[0] == Chance(Random(1)).token()
