"""Invariant 4: the same events end alike, in whatever order, however often, wherever a count stands among them."""

from __future__ import annotations

from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.model.reading import STOCK
from tests.model.run import AccountPolicies, Record
from tests.property.drafts import ADOPTING, Menu
from tests.property.histories import assemble, clean_histories, distinct, drafts, renumbered
from tests.property.real import Real, levels_of, run, statuses_of


def end_of(records: list[Record], policies: AccountPolicies) -> tuple[dict[Any, Any], dict[Any, Any]]:
    real = run(renumbered(records), policies)
    return levels_of(real), statuses_of(real)


@given(clean_histories(), st.sampled_from(ADOPTING), st.randoms(use_true_random=False))
def test_any_permutation_and_repetition_ends_in_the_same_state(
    records: list[Record], policies: AccountPolicies, chance: Random
) -> None:
    repeated = [record for record in records for _ in range(chance.choice((1, 1, 1, 2, 3)))]
    chance.shuffle(repeated)
    assert end_of(repeated, policies) == end_of(records, policies)


@given(clean_histories(taking_back=True, counts=False), st.sampled_from(ADOPTING), st.randoms(use_true_random=False))
def test_take_backs_may_come_at_any_point_and_again(
    records: list[Record], policies: AccountPolicies, chance: Random
) -> None:
    repeated = [record for record in records for _ in range(chance.choice((1, 1, 2)))]
    chance.shuffle(repeated)
    assert end_of(repeated, policies) == end_of(records, policies)


@given(clean_histories(4, counts=False), st.lists(drafts(Menu(clean=True)), max_size=30), st.data())
def test_a_count_may_come_at_any_point(records: list[Record], counting: list[Any], data: st.DataObject) -> None:
    counts = [record for record in distinct(assemble(counting)) if record.topic == STOCK]
    policies = data.draw(st.sampled_from(ADOPTING))
    expected = end_of([*records, *counts], policies)
    for count in counts:
        place = data.draw(st.integers(0, len(records)))
        records = [*records[:place], count, *records[place:]]
    assert end_of(records, policies) == expected


def test_the_end_can_be_seen_from_the_wire() -> None:
    """What the other tests compare is not empty."""
    real = Real(ADOPTING[0])
    assert (levels_of(real), statuses_of(real)) == ({}, {})
