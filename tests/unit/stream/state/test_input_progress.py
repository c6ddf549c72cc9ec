from __future__ import annotations

from tests.unit.stream.records import record
from worker.stream import Outcome
from worker.stream.state.input_progress import InputProgress, outcomes_between
from worker.stream.state.positions import (
    LastRecord,
    Position,
    begun_at,
)


def test_every_offset_is_counted_once_as_an_outcome_or_as_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(10), "b": begun_at(0)}, -1)
    progress.count(record("a", 10, 500), Outcome.APPLIED)
    progress.count(record("a", 14, 400), Outcome.DUPLICATE)
    progress.count(record("a", 15, 300), Outcome.STALE)
    progress.count(record("a", 20, 600), Outcome.DEAD_LETTERED)
    next_offset, *counts = progress.positions()["a"].counts
    assert (next_offset, *counts) == (21, 1, 1, 1, 1, 17)
    assert sum(counts) == next_offset
    assert progress.positions()["b"] == Position(0)


def test_what_was_read_and_holds_no_record_is_a_gap() -> None:
    progress = InputProgress.of({"a": begun_at(0), "b": begun_at(7)}, -1)
    progress.count(record("a", 0, 500), Outcome.APPLIED)
    assert progress.is_behind({"a": 3, "b": 7})
    progress.pass_over({"a": 3, "b": 5})
    assert progress.positions()["a"].counts == Position(3, applied=1, gaps=2).counts
    assert progress.positions()["b"] == Position(7, gaps=7)
    assert not progress.is_behind({"a": 3, "b": 5})
    progress.count(record("a", 4, 600), Outcome.STALE)
    assert progress.positions()["a"].counts == Position(5, applied=1, stale=1, gaps=3).counts


def test_stream_time_is_the_greatest_timestamp_and_never_goes_back() -> None:
    progress = InputProgress.of({"a": begun_at(0)}, 700)
    progress.count(record("a", 0, 600), Outcome.APPLIED)
    assert progress.stream_time_ms == 700
    progress.count(record("a", 1, 800), Outcome.APPLIED)
    assert progress.stream_time_ms == 800


def test_outcomes_between_two_moments_are_the_differences() -> None:
    before = {"a": Position(10, applied=4, gaps=6), "b": Position(0)}
    after = {"a": Position(20, applied=9, stale=1, gaps=10), "b": Position(0)}
    assert outcomes_between(before, after) == {("a", Outcome.APPLIED): 5, ("a", Outcome.STALE): 1}


def test_the_last_record_of_an_input_is_kept_as_a_proof() -> None:
    progress = InputProgress.of({"a": begun_at(0), "b": begun_at(0)}, -1)
    first, last = record("a", 0, 50, b"value", b"key"), record("a", 1, 60, b"value", b"other key")
    progress.count(first, Outcome.APPLIED)
    proof = progress.positions()["a"].last
    assert proof == LastRecord.of(first)
    progress.count(last, Outcome.STALE)
    assert progress.positions()["a"].last == LastRecord.of(last) != proof
    assert progress.positions()["b"].last is None
