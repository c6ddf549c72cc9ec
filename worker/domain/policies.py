"""Policies: what an operator may choose about the rules, for all accounts and for single ones.

`AccountPolicies` is the one list of them; `worker.settings` takes its names and defaults from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

DAY_MS: Final = 86_400_000
KEPT_AFTER_RETENTION_MS: Final = 400 * DAY_MS
"""How long the id of a retired order is kept, and how much longer than `retention_days` a flow: contract section 8."""

CountPolicy = Literal["adopt", "report"]
CountOrigin = Literal["any", "erp", "wms"]


@dataclass(frozen=True, slots=True)
class AccountPolicies:
    """The policies of one account. `buffer` is in units, `retention_days` in days."""

    buffer: int = 0
    default_warehouse: str = "default"
    count_policy: CountPolicy = "adopt"
    count_origin: CountOrigin = "any"
    retention_days: int = 90

    def publishable(self, available: int | None) -> int | None:
        """What a shop may offer of the units `available` of a stock key; None until it is counted. Contract section 5.

        The buffer is held back, and never less than nothing is offered, however many units are oversold.
        """
        return None if available is None else max(0, available - self.buffer)

    @property
    def retention_ms(self) -> int:
        """`retention_days` in milliseconds."""
        return self.retention_days * DAY_MS

    @property
    def retention_text(self) -> str:
        """The setting behind `too_late`, for those who read why."""
        return f"RETENTION_DAYS ({self.retention_days} days)"


@dataclass(frozen=True, slots=True)
class Policies:
    """The policies of every account: its own where it has some, else the defaults."""

    defaults: AccountPolicies = AccountPolicies()
    accounts: Mapping[str, AccountPolicies] = field(default_factory=dict)

    def of(self, account_id: str) -> AccountPolicies:
        """The policies of an account."""
        return self.accounts.get(account_id, self.defaults)
