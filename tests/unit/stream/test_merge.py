from __future__ import annotations

import random

import pytest

from tests.unit.stream.records import record
from worker.stream import InputRecord
from worker.stream.errors import Halt
from worker.stream.merge import CHUNK_BYTES_MAX, Merge, Reading

END = 1000


def _waits(record: InputRecord) -> bool:
    return record.topic == "counts"


def _merge(*topics: str) -> Merge:
    """A merge of inputs that are all at their end."""
    merge = Merge(topics, _waits)
    for topic in topics:
        merge.observe(topic, Reading(1, END, END))
    return merge


def _answer(merge: Merge, at_ms: int, *topics: str, position: int = END, stable_offset: int = END) -> None:
    for topic in topics:
        merge.observe(topic, Reading(at_ms, position, stable_offset))


def _taken(merge: Merge, records_max: int = 100) -> list[tuple[str, int]]:
    return [(record.topic, record.offset) for record in merge.take(records_max)]


def test_records_are_taken_by_timestamp_across_inputs() -> None:
    merge = _merge("a", "b")
    merge.put("a", [record("a", 0, 10), record("a", 1, 30)])
    merge.put("b", [record("b", 0, 20), record("b", 1, 40)])
    assert _taken(merge) == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert merge.empty


def test_a_run_of_one_input_ends_at_the_earliest_head_of_the_others() -> None:
    for first, second in (("b", "c"), ("c", "b")):
        merge = _merge("a", "b", "c")
        merge.put("a", [record("a", 0, 10), record("a", 1, 12), record("a", 2, 40)])
        merge.put(first, [record(first, 0, 11)])
        merge.put(second, [record(second, 0, 30)])
        assert _taken(merge) == [("a", 0), (first, 0), ("a", 1), (second, 0), ("a", 2)]


def test_records_of_one_timestamp_are_taken_in_the_order_of_the_inputs() -> None:
    merge = _merge("a", "b")
    merge.put("b", [record("b", 0, 10)])
    merge.put("a", [record("a", 0, 10)])
    assert _taken(merge) == [("a", 0), ("b", 0)]


def test_the_order_of_offsets_is_kept_where_timestamps_go_back() -> None:
    merge = _merge("a", "b")
    merge.put("a", [record("a", 0, 50), record("a", 1, 10)])
    merge.put("b", [record("b", 0, 20)])
    assert _taken(merge) == [("b", 0), ("a", 0), ("a", 1)]


def test_no_more_is_taken_than_asked_for() -> None:
    merge = _merge("a")
    merge.put("a", [record("a", offset, offset) for offset in range(5)])
    assert _taken(merge, 2) == [("a", 0), ("a", 1)]
    assert merge.records_of("a") == 3
    assert _taken(merge, 0) == []


def test_a_large_record_ends_what_is_taken_at_once() -> None:
    merge = _merge("a", "b")
    half = b"x" * (CHUNK_BYTES_MAX // 2)
    merge.put("a", [record("a", offset, offset, half) for offset in range(4)])
    merge.put("b", [record("b", 0, 4), record("b", 1, 5, half)])
    assert _taken(merge) == [("a", 0), ("a", 1)]
    assert _taken(merge) == [("a", 2), ("a", 3)]
    assert _taken(merge) == [("b", 0), ("b", 1)]
    assert merge.empty


def test_bytes_are_counted_from_the_putting_to_the_taking() -> None:
    merge = _merge("a")
    merge.put("a", [record("a", 0, 0, b"12345", b"678"), record("a", 1, 1, None, None)])
    assert merge.bytes_of("a") == 8
    merge.take(1)
    assert merge.bytes_of("a") == 0


def test_an_input_is_read_to_where_the_client_is_once_all_of_it_is_taken() -> None:
    merge = Merge(("a", "b"), _waits)
    merge.put("a", [record("a", 0, 10), record("a", 1, 30)])
    merge.observe("a", Reading(1, 4, 4))
    merge.observe("b", Reading(1, 9, 9))
    assert merge.read_to == {"b": 9}
    merge.take(1)
    assert merge.read_to == {"b": 9}
    merge.take(1)
    assert merge.read_to == {"a": 4, "b": 9}
    merge.put("b", [record("b", 9, 50)])
    assert merge.read_to == {"a": 4}


def test_nothing_is_taken_before_every_input_was_answered_for() -> None:
    merge = Merge(("a", "b"), _waits)
    merge.observe("a", Reading(1, END, END))
    merge.put("a", [record("a", 0, 10)])
    assert merge.lacking == ["b"]
    assert _taken(merge) == []
    _answer(merge, 2, "b")
    assert _taken(merge) == [("a", 0)]


def test_an_input_that_is_known_to_have_more_is_waited_for() -> None:
    merge = _merge("a", "b")
    merge.put("a", [record("a", 0, 10), record("a", 1, 30)])
    merge.put("b", [record("b", 0, 20)])
    _answer(merge, 2, "b", position=1, stable_offset=2)
    assert _taken(merge) == [("a", 0), ("b", 0)]
    assert merge.lacking == ["b"]
    merge.put("b", [record("b", 1, 25)])
    _answer(merge, 3, "b", position=2, stable_offset=2)
    assert _taken(merge) == [("b", 1), ("a", 1)]


def test_an_excused_input_is_waited_for_again_after_its_next_record() -> None:
    merge = _merge("a", "b")
    _answer(merge, 2, "b", position=0, stable_offset=9)
    merge.put("a", [record("a", 0, 10), record("a", 1, 30)])
    assert _taken(merge) == []
    merge.excuse()
    assert _taken(merge, 1) == [("a", 0)]
    merge.put("b", [record("b", 0, 5)])
    assert _taken(merge) == [("b", 0)]
    assert merge.lacking == ["b"]


def test_a_count_is_taken_at_once_if_all_other_heads_are_later() -> None:
    merge = _merge("a", "counts")
    merge.put("counts", [record("counts", 0, 10)])
    merge.put("a", [record("a", 0, 11)])
    assert _taken(merge) == [("counts", 0), ("a", 0)]


def test_a_record_with_the_timestamp_of_a_count_comes_before_it() -> None:
    merge = _merge("counts", "a")
    merge.put("counts", [record("counts", 0, 10)])
    merge.put("a", [record("a", 0, 10), record("a", 1, 11)])
    assert _taken(merge) == [("a", 0), ("counts", 0), ("a", 1)]


def test_a_count_waits_for_two_answers_of_an_empty_input() -> None:
    merge = _merge("a", "counts")
    merge.put("counts", [record("counts", 0, 10)])
    assert _taken(merge) == []
    _answer(merge, 2, "a")
    assert _taken(merge) == []
    _answer(merge, 2, "a")
    assert _taken(merge) == [], "the same answer seen twice is one answer"
    _answer(merge, 3, "a")
    assert _taken(merge) == [("counts", 0)]


def test_a_count_waits_on_while_an_empty_input_is_not_at_its_end() -> None:
    merge = _merge("a", "counts")
    merge.put("counts", [record("counts", 0, 10)])
    assert _taken(merge) == []
    _answer(merge, 2, "a")
    _answer(merge, 3, "a", position=5, stable_offset=6)
    merge.excuse()
    assert _taken(merge) == [], "patience ends for the order of events, never for a count"
    merge.put("a", [record("a", 5, 9)])
    assert _taken(merge) == [("a", 5)]
    _answer(merge, 4, "a")
    assert _taken(merge) == [("counts", 0)]


def test_only_a_count_waits_for_records_behind_an_open_transaction() -> None:
    merge = _merge("a", "b", "counts")
    merge.put("counts", [record("counts", 0, 10)])
    merge.put("b", [record("b", 0, 20)])
    for at_ms in range(2, 5):
        _answer(merge, at_ms, "b", "counts")
        merge.observe("a", Reading(at_ms, END - 3, END - 3, END))
        assert _taken(merge) == ([("b", 0)] if at_ms == 2 else [])
    merge.observe("a", Reading(5, END, END, END))
    assert _taken(merge) == [("counts", 0)]


def test_a_waiting_count_holds_back_its_own_input_alone() -> None:
    merge = _merge("a", "b", "counts")
    merge.put("counts", [record("counts", 0, 10), record("counts", 1, 11)])
    merge.put("a", [record("a", 0, 20), record("a", 1, 30)])
    assert _taken(merge) == [("a", 0), ("a", 1)]
    assert merge.records_of("counts") == 2


def test_one_wait_serves_all_counts_fetched_so_far_and_none_fetched_later() -> None:
    merge = _merge("a", "counts")
    merge.put("counts", [record("counts", 0, 10), record("counts", 1, 11)])
    assert _taken(merge) == []
    merge.put("counts", [record("counts", 2, 12)])
    _answer(merge, 2, "a")
    _answer(merge, 3, "a")
    assert _taken(merge) == [("counts", 0), ("counts", 1)]
    _answer(merge, 4, "a")
    assert _taken(merge) == []
    _answer(merge, 5, "a")
    assert _taken(merge) == [("counts", 2)]


def test_two_inputs_whose_records_wait_do_not_wait_for_each_other_for_ever() -> None:
    merge = Merge(("x", "y"), lambda _record: True)
    for topic in ("x", "y"):
        merge.observe(topic, Reading(1, END, END))
        merge.put(topic, [record(topic, 0, 10)])
    assert _taken(merge) == [("x", 0)]
    _answer(merge, 2, "x")
    _answer(merge, 3, "x")
    _answer(merge, 4, "x")
    assert _taken(merge) == [("y", 0)]


def test_what_comes_in_whatever_pieces_is_taken_in_one_order() -> None:
    logs = {
        topic: [record(topic, offset, 3 * offset + rank) for offset in range(50)] for rank, topic in enumerate("abc")
    }
    orders = set()
    for seed in range(20):
        chance = random.Random(seed)
        merge = Merge(tuple(logs), _waits)
        put = dict.fromkeys(logs, 0)
        order: list[tuple[str, int]] = []
        at_ms = 1
        while len(order) < 150:
            topic = chance.choice(list(logs))
            piece = logs[topic][put[topic] : put[topic] + chance.randint(0, 9)]
            if piece:
                merge.put(topic, piece)
            put[topic] += len(piece)
            at_ms += 1
            merge.observe(topic, Reading(at_ms, put[topic], 50))
            order += _taken(merge, chance.randint(1, 20))
        orders.add(tuple(order))
    assert len(orders) == 1


@pytest.mark.parametrize("offset", [0, 1], ids=["first", "after another"])
def test_a_failing_waits_halts_when_the_record_is_taken(offset: int) -> None:
    def waits(record: InputRecord) -> bool:
        if record.offset == offset:
            raise TypeError("the program is wrong")
        return False

    merge = Merge(("a", "b"), waits)
    merge.observe("b", Reading(1, END, END))
    # Who reads for all partitions only puts: it must not fail.
    merge.put("a", [record("a", 0, 10, partition=7), record("a", 1, 10, partition=7)])
    with pytest.raises(Halt, match=f"partition 7 stopped at a/7/{offset}: TypeError: the program is wrong"):
        merge.take(5)
