"""What an operator may set about the rules, for all accounts and for single ones."""

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
class AccountRules:
    """Settings of one account. `buffer` is in units, `retention_days` in days."""

    buffer: int = 0
    default_warehouse: str = "default"
    count_policy: CountPolicy = "adopt"
    count_origin: CountOrigin = "any"
    retention_days: int = 90

    @property
    def retention_ms(self) -> int:
        """`retention_days` in milliseconds."""
        return self.retention_days * DAY_MS

    @property
    def retention_text(self) -> str:
        """The setting behind `too_late`, for those who read why."""
        return f"RETENTION_DAYS ({self.retention_days} days)"


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings of every account: its own where given, else the defaults."""

    defaults: AccountRules = AccountRules()
    accounts: Mapping[str, AccountRules] = field(default_factory=dict)

    def of(self, account_id: str) -> AccountRules:
        """The settings of an account."""
        return self.accounts.get(account_id, self.defaults)
