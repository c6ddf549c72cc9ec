from __future__ import annotations

import pytest

from tests.unit.stream.fakes import CONFIG
from worker.stream.backoff import DOUBLINGS_MAX, OWNER_MAY_BE_ANOTHER, RUN_MS_LONG, Backoff
from worker.stream.errors import RestartCause


def test_each_failure_doubles_the_pause_up_to_a_limit() -> None:
    backoff = Backoff(CONFIG)
    waits = [backoff.wait_ms(RestartCause.BROKER, 0) for _ in range(DOUBLINGS_MAX + 2)]
    assert waits[:4] == [CONFIG.backoff_ms_min * factor for factor in (1, 2, 4, 8)]
    assert waits[-1] == CONFIG.backoff_ms_max


def test_after_a_commit_or_a_long_run_the_pauses_begin_anew() -> None:
    backoff = Backoff(CONFIG)
    backoff.wait_ms(RestartCause.TIMEOUT, 0)
    backoff.committed()
    assert backoff.wait_ms(RestartCause.TIMEOUT, RUN_MS_LONG) == CONFIG.backoff_ms_min
    assert backoff.wait_ms(RestartCause.TIMEOUT, RUN_MS_LONG) == 2 * CONFIG.backoff_ms_min
    assert backoff.wait_ms(RestartCause.TIMEOUT, RUN_MS_LONG + 1) == CONFIG.backoff_ms_min


@pytest.mark.parametrize("cause", RestartCause)
def test_a_pause_leaves_the_group_time_to_name_the_owner(cause: RestartCause) -> None:
    wait_ms = Backoff(CONFIG).wait_ms(cause, 0)
    assert wait_ms == (CONFIG.fenced_backoff_ms if cause in OWNER_MAY_BE_ANOTHER else CONFIG.backoff_ms_min)
