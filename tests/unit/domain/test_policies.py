"""Settings of single accounts and of all the others: contract section 9."""

from __future__ import annotations

from worker.domain.policies import DAY_MS, AccountRules, Rules


def test_an_account_has_its_own_settings_where_given_and_else_the_defaults() -> None:
    own = AccountRules(buffer=7)
    rules = Rules(AccountRules(retention_days=30), {"a": own})
    assert rules.of("a") == own
    assert rules.of("b") == AccountRules(retention_days=30)


def test_the_defaults_are_the_contracts() -> None:
    rules = Rules().of("a")
    assert (rules.buffer, rules.default_warehouse, rules.count_policy, rules.count_origin, rules.retention_days) == (
        0,
        "default",
        "adopt",
        "any",
        90,
    )
    assert rules.retention_ms == 90 * DAY_MS
