"""Inputs as attacks, in small: what `make fuzz` does for minutes, steered by coverage, done here at random and shrunk.

What must hold is said in `tests.fuzz.judge`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.topics import LEDGER, Topic
from tests.fuzz.judge import Partition, judge_value
from tests.fuzz.shots import Shot, spoilt, stock, volley
from worker.processors.ledger import PartitionProcessor
from worker.stream.records import Output

randoms = st.randoms(use_true_random=False)


@settings(max_examples=500)
@given(st.sampled_from(LEDGER.inputs), st.sampled_from(stock()), randoms)
def test_a_spoilt_value_is_an_event_or_refused_with_a_sentence(topic: Topic, shot: Shot, random: Random) -> None:
    judge_value(topic, spoilt(random, shot.value))


@settings(max_examples=100)
@given(randoms)
def test_a_partition_under_fire_accounts_for_every_record(random: Random) -> None:
    Partition().fire(volley(random))


def bad(number: int) -> Shot:
    return Shot(0, 1_772_323_200_000 + number, b"acme", b'{"account_id":"acme","order_id":"o%d"}' % number)


class Doubling:
    """A processor that loses the last of what it wrote, and writes the rest twice."""

    def __init__(self, processor: PartitionProcessor) -> None:
        self._processor = processor

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the processor has
        return getattr(self._processor, name)

    def flush(self) -> Iterator[list[Output]]:
        *all_but_the_last, _ = itertools.chain.from_iterable(self._processor.flush())
        yield all_but_the_last * 2


def test_a_judge_that_is_shown_a_wrong_dead_letter_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    partition = Partition()
    monkeypatch.setattr(partition.worker, "processor", Doubling(partition.worker.processor))
    with pytest.raises((AssertionError, ValueError)):
        partition.fire([bad(1), bad(2)])


def test_memory_stays_bounded_under_a_flood_of_bad_records() -> None:
    """What is kept of a dead letter that names an order is its id."""
    Partition().fire([bad(number) for number in range(1000)])
