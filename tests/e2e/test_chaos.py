"""A small run of chaos: one broker, two workers, and a dozen faults under load."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.report import as_data, show
from tests.chaos.run import Options, Progress, run_chaos

SEED = 4
FAULTS = 12
SECONDS = 25


@pytest.mark.apache
@pytest.mark.timeout(600)
async def test_nothing_is_lost_or_doubled_whatever_fails_under_load(tmp_path: Path) -> None:
    options = Options(seed=SEED, seconds=SECONDS, faults=FAULTS, brokers=1, workers=2, take_overs=1, per_second=100.0)
    result = await run_chaos(options, tmp_path, Progress(print))
    show(result, Console(width=120))
    data = as_data(result)
    assert (data["lost"], data["doubled"], data["different"], data["verify"]) == (0, 0, 0, [])
    assert (data["unclean"], data["complaints"]) == ([], [])
    assert sum(each["count"] for each in data["faults"].values()) == FAULTS
    assert data["records"] > 0
    assert data["movements"] > 0
