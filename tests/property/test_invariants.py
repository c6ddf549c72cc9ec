"""The contract's invariants 1, 2, 3 and 6, on what is written and on what the ledger shows."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import Topic
from tests.model.run import AccountPolicies, Model, Record
from tests.model.units import TERMINAL
from tests.property.drafts import PARTITION, PARTITION_COUNT, PREFIX, RULES, Menu
from tests.property.histories import histories
from tests.property.real import Real, levels_of, statuses_of

anything = histories(Menu(jumps=True))


@given(anything, st.sampled_from(RULES))
def test_the_journal_sums_to_frozen_and_on_hand(records: list[Record], policies: AccountPolicies) -> None:
    real = Real(policies)
    frozen: Counter[tuple[str, str, str]] = Counter()
    on_hand: Counter[tuple[str, str, str]] = Counter()
    for record in records:
        _, written = real.feed(record)
        for movement in written.events(Topic.MOVEMENTS):
            key = (movement["account_id"], movement["warehouse_id"], movement["sku"])
            frozen[key] += movement["frozen_delta"]
            on_hand[key] += movement["on_hand_delta"]
            assert (movement["frozen"], movement["on_hand"] or 0) == (frozen[key], on_hand[key])
    levels = levels_of(real)
    assert {key: total for key, total in frozen.items() if total} == {
        key: level["frozen"] for key, level in levels.items() if level["frozen"]
    }
    assert {key: total for key, total in on_hand.items() if total} == {
        key: level["on_hand"] for key, level in levels.items() if level["on_hand"]
    }


@given(anything, st.sampled_from(RULES))
def test_frozen_is_the_sum_of_open_units_and_no_unit_is_lost_or_made(
    records: list[Record], policies: AccountPolicies
) -> None:
    model = Model(PARTITION, PARTITION_COUNT, PREFIX, policies)
    real = Real(policies)
    for record in records:
        model.feed(record)
        real.feed(record)
        opened: Counter[tuple[str, str, str]] = Counter()
        for (account_id, order_id), status in statuses_of(real).items():
            quantities: Counter[tuple[str, str]] = Counter()
            for row in status["units"]:
                assert min(row["open"], row["shipped"], row["cancelled"]) >= 0
                opened[account_id, row["warehouse_id"], row["sku"]] += row["open"]
                if row["sub_order_id"] is not None:
                    units = row["open"] + row["shipped"] + row["cancelled"]
                    quantities[row["sub_order_id"], row["sku"]] += units
            assert quantities == leaf_lines(model, account_id, order_id)
        frozen = {key: level["frozen"] for key, level in levels_of(real).items() if level["frozen"]}
        assert frozen == {key: units for key, units in opened.items() if units}


def leaf_lines(model: Model, account_id: str, order_id: str) -> Counter[tuple[str, str]]:
    facts = model.accounts[account_id].orders[order_id].facts
    return Counter(
        {
            (sub_order_id, sku): quantity
            for sub_order_id, sub in facts.sub_orders.items()
            if sub.is_leaf
            for sku, quantity in (sub.lines or {}).items()
        }
    )


@given(anything, st.sampled_from(RULES))
def test_what_is_eligible_is_placed_and_terminal_with_nothing_open(
    records: list[Record], policies: AccountPolicies
) -> None:
    real = Real(policies)
    for record in records:
        real.feed(record)
        for status in statuses_of(real).values():
            if status["eligible"]:
                assert status["placed"]
                assert {*status["sub_orders"].values()} - {"superseded", "withdrawn"} <= TERMINAL
                assert not any(row["open"] for row in status["units"])
