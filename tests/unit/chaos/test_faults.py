"""The plan of a run."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults import Fault, Kind, plan


def kinds(faults: list[Fault]) -> Counter[Kind]:
    return Counter(fault.kind for fault in faults)


def test_a_seed_gives_the_same_plan_and_another_one_a_different_plan() -> None:
    assert plan(1, 100, brokers=3) == plan(1, 100, brokers=3)
    assert plan(1, 100, brokers=3) != plan(2, 100, brokers=3)


def test_every_seed_has_the_same_number_of_each_kind_and_all_kinds() -> None:
    one, other = plan(1, 100, brokers=3), plan(2, 100, brokers=3)
    assert kinds(one) == kinds(other)
    assert set(kinds(one)) == set(Kind)
    assert kinds(one).total() == 100


@pytest.mark.parametrize("faults", [1, 12, 57])
def test_one_broker_is_spared_what_takes_three(faults: int) -> None:
    planned = kinds(plan(1, faults, brokers=1))
    assert planned.total() == faults
    assert not {Kind.CONTROLLER_CHANGED, Kind.DISK_FULL} & planned.keys()
