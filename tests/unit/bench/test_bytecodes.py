from __future__ import annotations

import subprocess
import sys

import pytest

from tests.bench.bytecodes import MARGIN, PYTHON, RENEW, committed, complaint


@pytest.mark.skipif(PYTHON not in committed(), reason=f"no figure for Python {PYTHON}; write it: {RENEW}")
def test_an_event_takes_no_more_bytecodes_than_committed() -> None:
    # In a process of its own: what other tests left in caches would be counted differently.
    command = [sys.executable, "-m", "tests.bench.bytecodes"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_more_bytecodes_than_the_margin_allows_are_complained_about() -> None:
    problem = complaint(1001 * (1 + MARGIN), {"3.11": 1000.0}, "3.11")
    assert problem is not None
    assert "5.1% more than the committed 1,000" in problem
    assert RENEW in problem


@pytest.mark.parametrize("measured", [1000 * (1 + MARGIN), 1000.0, 1.0])
def test_the_margin_and_anything_below_is_fine(measured: float) -> None:
    assert complaint(measured, {"3.11": 1000.0}, "3.11") is None
