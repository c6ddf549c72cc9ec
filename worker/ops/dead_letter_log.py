"""Tells the log of dead letters: where the first of an account lay and why it was refused, at most once a minute."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass

import structlog

from worker.processors.parties import Refusals

INTERVAL_SECONDS = 60.0
"""An account is told again so often."""
ACCOUNTS_MAX = 1000
"""So many accounts are told apart within an interval; all further ones are told as one."""

log = structlog.get_logger("worker.refusals")


@dataclass(slots=True)
class _Told:
    at: float
    untold: int = 0


class RefusalLog:
    """Logs what was dead-lettered, once it was committed."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Count time from now on."""
        self._monotonic = monotonic
        self._told: dict[str | None, _Told] = {}

    def tell(self, refused: MutableMapping[str | None, Refusals]) -> None:
        """Log the refusals of a transaction by account (None: of nobody that can be read), and clear them."""
        now = self._monotonic()
        for account_id, refusals in refused.items():
            told = self._told_of(account_id, now)
            if told.at > now - INTERVAL_SECONDS:
                told.untold += refusals.count
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
                more_since_last_told=told.untold,
            )
            told.at, told.untold = now, 0
        refused.clear()

    def _told_of(self, account_id: str | None, now: float) -> _Told:
        if account_id not in self._told and len(self._told) >= ACCOUNTS_MAX:
            self._told = {key: told for key, told in self._told.items() if told.at > now - INTERVAL_SECONDS}
            if len(self._told) >= ACCOUNTS_MAX:
                account_id = None
        return self._told.setdefault(account_id, _Told(now - INTERVAL_SECONDS))
