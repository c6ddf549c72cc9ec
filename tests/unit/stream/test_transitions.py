"""Every state machine of the engine allows the transitions of its table, and no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

import pytest

from worker.stream.errors import Halt
from worker.stream.kafka.producer_state import PRODUCER_TRANSITIONS, ProducerState
from worker.stream.status import PARTITION_TRANSITIONS, PartitionState
from worker.stream.transitions import ForbiddenTransition, next_state

Table = Mapping[Any, frozenset[Any]]
MACHINES: list[tuple[type[Enum], Table]] = [
    (PartitionState, PARTITION_TRANSITIONS),
    (ProducerState, PRODUCER_TRANSITIONS),
]


def _pairs() -> Iterator[Any]:
    for states, table in MACHINES:
        for now in states:
            for wanted in states:
                yield pytest.param(table, now, wanted, id=f"{states.__name__}: {now.value} to {wanted.value}")


@pytest.mark.parametrize(("table", "now", "wanted"), list(_pairs()))
def test_a_table_decides_which_transitions_are_allowed(table: Table, now: Enum, wanted: Enum) -> None:
    if wanted in table[now]:
        assert next_state("partition 3", now, wanted, table) is wanted
    else:
        with pytest.raises(ForbiddenTransition, match=f"^partition 3 cannot go from {now.value} to {wanted.value}: "):
            next_state("partition 3", now, wanted, table)


@pytest.mark.parametrize(("states", "table"), MACHINES)
def test_a_table_has_every_state_and_no_transition_to_itself(states: type[Enum], table: Table) -> None:
    assert set(table) == set(states)
    assert all(state not in table[state] for state in states)


@pytest.mark.parametrize(
    ("table", "first", "never"),
    [
        (PARTITION_TRANSITIONS, PartitionState.STARTING, {PartitionState.STALLED}),
        (PRODUCER_TRANSITIONS, ProducerState.UNINITIALIZED, set()),
    ],
)
def test_every_state_that_is_entered_can_be_reached_from_the_first(table: Table, first: Enum, never: set[Enum]) -> None:
    reached, todo = {first}, [first]
    while todo:
        found = table[todo.pop()] - reached
        reached |= found
        todo += found
    assert reached == set(type(first)) - never


def test_a_forbidden_transition_halts_its_partition() -> None:
    assert issubclass(ForbiddenTransition, Halt)
