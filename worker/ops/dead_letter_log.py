"""Logs dead letters: where the first of an account lay and why it was refused, at most once a minute."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import structlog

from worker.processors.parties import Refusals

INTERVAL_SECONDS = 60.0
"""An account is logged again so often."""
ACCOUNTS_MAX = 1000
"""So many accounts have lines of their own within an interval; all further ones share one."""

log = structlog.get_logger("worker.refusals")


@dataclass(slots=True)
class _Logged:
    at: float
    held_back: int = 0


class RefusalLog:
    """Logs what was dead-lettered, once it was committed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Count time from now on."""
        self._monotonic = monotonic
        self._logged: dict[str | None, _Logged] = {}

    def log(self, refused: MutableMapping[str | None, Refusals]) -> None:
        """Log the refusals of a transaction by account (None: of nobody that can be read), and clear them."""
        now = self._monotonic()
        for account_id, refusals in refused.items():
            logged = self._logged_of(account_id, now)
            if logged.at > now - INTERVAL_SECONDS:
                logged.held_back += refusals.count
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
                more_since_last_told=logged.held_back,
            )
            logged.at, logged.held_back = now, 0
        refused.clear()

    def _logged_of(self, account_id: str | None, now: float) -> _Logged:
        if account_id not in self._logged and len(self._logged) >= ACCOUNTS_MAX:
            self._logged = {key: logged for key, logged in self._logged.items() if logged.at > now - INTERVAL_SECONDS}
            if len(self._logged) >= ACCOUNTS_MAX:
                account_id = None
        return self._logged.setdefault(account_id, _Logged(now - INTERVAL_SECONDS))
