"""Logs dead letters: each account at most once a minute, with the place and reason of its first one."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass

import structlog

from worker.clock import Clock
from worker.processors.parties import RefusalCount

INTERVAL_SECONDS = 60.0
"""The least time between two lines about the same account."""
ACCOUNTS_MAX = 1000
"""Accounts that have lines of their own within an interval; all further accounts share one line."""

log = structlog.get_logger("worker.refusals")


@dataclass(slots=True)
class _Logged:
    """When an account had its last line, in seconds, and how many dead letters were left out of the log since."""

    at: float
    left_out: int = 0


class RefusalLog:
    """Logs what a transaction dead-lettered, after it was committed."""

    def __init__(self, clock: Clock = Clock()) -> None:
        self._clock = clock
        self._logged: dict[str | None, _Logged] = {}

    def tell(self, refused: MutableMapping[str | None, RefusalCount]) -> None:
        """Log a transaction's refusals by account (None: its account cannot be read), and clear the mapping."""
        now = self._clock.monotonic()
        for account_id, refusals in refused.items():
            logged = self._logged_of(account_id, now)
            if logged.at > now - INTERVAL_SECONDS:
                logged.left_out += refusals.count
                continue
            log.warning(
                "records were dead-lettered",
                account=account_id,
                topic=refusals.topic,
                partition=refusals.partition,
                offset=refusals.offset,
                code=refusals.code,
                error=refusals.error,
                records=refusals.count,
                more_since_last_told=logged.left_out,
            )
            logged.at, logged.left_out = now, 0
        refused.clear()

    def _logged_of(self, account_id: str | None, now: float) -> _Logged:
        if account_id not in self._logged and len(self._logged) >= ACCOUNTS_MAX:
            self._logged = {key: each for key, each in self._logged.items() if each.at > now - INTERVAL_SECONDS}
            if len(self._logged) >= ACCOUNTS_MAX:
                account_id = None
        return self._logged.setdefault(account_id, _Logged(now - INTERVAL_SECONDS))
