"""Verification on topics in memory: nothing needs time to settle there."""

from __future__ import annotations

import pytest

from worker.verification import partition as verification


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "SETTLE_SECONDS", 0.0)
