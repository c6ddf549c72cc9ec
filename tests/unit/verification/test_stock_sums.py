"""The tellings of a key's stock, compared."""

from __future__ import annotations

import pytest

from worker.verification.findings import Check, FindingLog
from worker.verification.stock_sums import Balance, StockKey, compare_stock

KEY = ("a", "w", "k")


@pytest.mark.parametrize("teller", ["the journal's sum", "the level", "the state", "the open units of its orders"])
def test_a_key_of_which_one_alone_tells_is_found(teller: str) -> None:
    journal, levels, state = (
        {KEY: Balance(None, 3)} if teller.endswith(name) else {} for name in ("sum", "level", "state")
    )
    open_units: dict[StockKey, int] = {KEY: 3} if teller.endswith("orders") else {}
    findings = FindingLog(0)
    assert compare_stock(journal, levels, state, open_units, set(), findings) == 1
    (finding,) = findings.examples
    assert (finding.check, finding.subject) == (Check.STOCK, "a/w/k")
    assert f"3 in {teller}" in finding.message
