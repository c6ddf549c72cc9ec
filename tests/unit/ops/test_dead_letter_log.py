"""What the log tells of dead letters: the first of each account, and not too often."""

from __future__ import annotations

from structlog.testing import capture_logs

from worker.clock import Clock
from worker.ops.dead_letter_log import ACCOUNTS_MAX, INTERVAL_SECONDS, RefusalLog
from worker.processors.parties import RefusalCount


class _Log:
    def __init__(self) -> None:
        self.now = 1000.0
        self.log = RefusalLog(Clock(monotonic=lambda: self.now))

    def tell(self, *accounts: str | None, count: int = 1) -> list[dict[str, object]]:
        error = "The field lines is wrong."
        refused = {account: RefusalCount("orders", 3, 17, "invalid", error, count) for account in accounts}
        with capture_logs() as logged:
            self.log.tell(refused)
        assert not refused
        return [dict(entry) for entry in logged]


def test_a_dead_letter_is_told_with_its_place_its_account_and_its_error() -> None:
    (told,) = _Log().tell("acme", count=7)
    assert told == {
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


def test_an_account_is_told_again_after_a_while_with_what_was_not() -> None:
    log = _Log()
    assert [entry["account"] for entry in log.tell("a", "b", None)] == ["a", "b", None]
    assert log.tell("a", count=5) == []
    log.now += INTERVAL_SECONDS
    assert [(entry["records"], entry["more_since_last_told"]) for entry in log.tell("a")] == [(1, 5)]


def test_beyond_so_many_accounts_all_are_told_as_one() -> None:
    log = _Log()
    assert len(log.tell(*map(str, range(ACCOUNTS_MAX)))) == ACCOUNTS_MAX
    assert len(log.tell("x", "y", "z")) == 1
    log.now += INTERVAL_SECONDS
    assert len(log.tell("x", "y", "z")) == 3
