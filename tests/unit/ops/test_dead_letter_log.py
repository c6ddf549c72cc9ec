"""The log of dead letters: the first of each account, and not too often."""

from __future__ import annotations

from structlog.testing import capture_logs

from worker.ops.dead_letter_log import ACCOUNTS_MAX, INTERVAL_SECONDS, RefusalLog
from worker.processors.parties import Refusals


class _Log:
    def __init__(self) -> None:
        self.now = 1000.0
        self.log = RefusalLog(lambda: self.now)

    def lines(self, *accounts: str | None, count: int = 1) -> list[dict[str, object]]:
        error = "The field lines is wrong."
        refused = {account: Refusals("orders", 3, 17, "invalid", error, count) for account in accounts}
        with capture_logs() as logged:
            self.log.log(refused)
        assert not refused
        return [dict(entry) for entry in logged]


def test_a_dead_letter_is_logged_with_its_place_account_and_error() -> None:
    (line,) = _Log().lines("acme", count=7)
    assert line == {
        "event": "records were dead-lettered",
        "log_level": "warning",
        "account": "acme",
        "topic": "orders",
        "partition": 3,
        "offset": 17,
        "code": "invalid",
        "error": "The field lines is wrong.",
        "records": 7,
        "more_since_last_told": 0,
    }


def test_an_account_is_logged_again_with_what_was_held_back() -> None:
    log = _Log()
    assert [entry["account"] for entry in log.lines("a", "b", None)] == ["a", "b", None]
    assert log.lines("a", count=5) == []
    log.now += INTERVAL_SECONDS
    assert [(entry["records"], entry["more_since_last_told"]) for entry in log.lines("a")] == [(1, 5)]


def test_beyond_so_many_accounts_all_share_one_line() -> None:
    log = _Log()
    assert len(log.lines(*map(str, range(ACCOUNTS_MAX)))) == ACCOUNTS_MAX
    assert len(log.lines("x", "y", "z")) == 1
    log.now += INTERVAL_SECONDS
    assert len(log.lines("x", "y", "z")) == 3
