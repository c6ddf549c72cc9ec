"""Settings of single accounts and of all the others: contract section 9."""

from __future__ import annotations

import pytest

from worker.domain.policies import DAY_MS, AccountPolicies, Policies


def test_an_account_has_its_own_settings_where_given_and_else_the_defaults() -> None:
    own = AccountPolicies(buffer=7)
    policies = Policies(AccountPolicies(retention_days=30), {"a": own})
    assert policies.of("a") == own
    assert policies.of("b") == AccountPolicies(retention_days=30)


def test_the_defaults_are_the_contracts() -> None:
    policies = Policies().of("a")
    assert (
        policies.buffer,
        policies.default_warehouse,
        policies.count_policy,
        policies.count_origin,
        policies.retention_days,
    ) == (
        0,
        "default",
        "adopt",
        "any",
        90,
    )
    assert policies.retention_ms == 90 * DAY_MS


@pytest.mark.parametrize(("available", "publishable"), [(None, None), (10, 7), (3, 0), (2, 0), (-5, 0)])
def test_publishable_is_available_less_the_buffer_and_never_below_zero(
    available: int | None, publishable: int | None
) -> None:
    assert AccountPolicies(buffer=3).publishable(available) == publishable
