"""Parts of snapshots: identity, summaries, absent keys, what is forgotten. Contract section 6."""

from __future__ import annotations

from itertools import count, permutations

import pytest

from schemas.topics import Topic
from tests.unit.domain.shop import (
    APPLIED,
    DEAD_LETTERED,
    DUPLICATE,
    STALE,
    Fields,
    Flushed,
    Shop,
    body_of,
    counted,
    iso,
)
from worker.domain.books import RECORDS_PER_STEP
from worker.domain.counting import KEYS_PER_STEP

SUMMARY_OF_TWO = {
    "skus_checked": 2,
    "skus_drifted": 1,
    "error_rate": 0.5,
    "missing_in_count": {"count": 2, "skus": ["frozen", "gone"]},
    "missing_in_ledger": {"count": 1, "skus": ["new"]},
}


def part(shop: Shop, number: int, on_hand: dict[str, int], **fields: object) -> Flushed:
    """One of two parts of a snapshot as of minute 30."""
    return shop.count(on_hand, 30, **{"part": number, "parts": 2, **fields})


def stocked() -> Shop:
    """Counted: known, moved and gone; frozen without a count; nothing: counted 0."""
    shop = Shop()
    shop.count({"known": 5, "moved": 6, "gone": 7, "nothing": 0}, 5)
    shop.say("order.created", lines=[{"sku": "frozen", "quantity": 1, "warehouse_id": "w"}])
    return shop


def of(summary: Fields) -> Fields:
    return {name: summary[name] for name in SUMMARY_OF_TWO}


def test_the_summary_comes_with_the_last_part_to_arrive() -> None:
    parts = {1: {"known": 5, "moved": 4}, 2: {"new": 3}}
    for arrival in permutations(parts):
        shop = stocked()
        first, second = [part(shop, number, parts[number]) for number in arrival]
        assert first.summaries == []
        assert [of(summary) for summary in second.summaries] == [SUMMARY_OF_TWO]


def test_a_summary_says_which_snapshot_it_is_of(shop: Shop) -> None:
    (summary,) = shop.count(5, 30, origin="wms", snapshot_id="night").summaries
    assert (summary["origin"], summary["snapshot_id"], summary["warehouse_id"], summary["as_of"]) == (
        "wms",
        "night",
        "w",
        iso(30),
    )
    assert (summary["skus_checked"], summary["error_rate"]) == (0, 0)


def test_an_empty_snapshot_has_a_summary_too() -> None:
    (summary,) = stocked().count({}, 30).summaries
    assert summary["missing_in_count"] == {"count": 4, "skus": ["frozen", "gone", "known", "moved"]}


def test_a_summary_lists_a_hundred_skus_and_counts_all(shop: Shop) -> None:
    (summary,) = shop.count({f"sku{number:03}": 1 for number in range(150)}, 5).summaries
    assert summary["missing_in_ledger"]["count"] == 150
    assert summary["missing_in_ledger"]["skus"] == [f"sku{number:03}" for number in range(100)]


def test_a_summary_counts_what_the_parts_before_a_restart_found() -> None:
    shop = stocked()
    part(shop, 1, {"known": 5, "moved": 4})
    (summary,) = part(shop.restarted(), 2, {"new": 3}).summaries
    assert of(summary) == SUMMARY_OF_TWO


def test_missing_keys_are_those_of_the_warehouse_alone() -> None:
    (summary,) = stocked().count({"other": 1}, 30, warehouse_id="x").summaries
    assert summary["missing_in_count"] == {"count": 0, "skus": []}


# Identity.


def test_the_same_part_is_a_duplicate_whatever_its_event_id_and_envelope(shop: Shop) -> None:
    shop.count(5, 30)
    again = body_of("stock.counted", 45, source="retry", **counted(5, 30), absent="unknown")
    flushed = shop.send(again)
    assert (flushed.outcome, flushed.outputs) == (DUPLICATE, [])
    assert shop.restarted().send(again).outcome == DUPLICATE


def test_the_same_part_with_other_content_is_a_conflict_and_an_alert(shop: Shop) -> None:
    shop.count(5, 30)
    flushed = shop.count(6, 30)
    assert (flushed.outcome, flushed.code, flushed.alerts) == (DEAD_LETTERED, "conflict", ["conflict"])
    assert shop.stock() == (5, 0)


@pytest.mark.parametrize("difference", [{"parts": 3}, {"as_of": iso(31)}, {"absent": "zero"}])
def test_parts_of_one_snapshot_that_disagree_are_a_conflict(shop: Shop, difference: Fields) -> None:
    part(shop, 1, {"k": 5})
    flushed = part(shop, 2, {"other": 5}, **difference)
    assert (flushed.code, flushed.alerts) == ("conflict", ["conflict"])
    assert part(shop, 2, {"other": 5}).outcome == APPLIED


@pytest.mark.parametrize("difference", [{"warehouse_id": "x"}, {"origin": "wms"}, {"snapshot_id": "other"}])
def test_a_part_of_another_warehouse_origin_or_snapshot_is_another(shop: Shop, difference: Fields) -> None:
    shop.count(5, 30)
    assert shop.count(6, 30, **difference).outcome == APPLIED


def test_an_event_id_may_be_used_for_several_parts(shop: Shop) -> None:
    part(shop, 1, {"k": 5}, event_id="same")
    assert part(shop, 2, {"other": 5}, event_id="same").outcome == APPLIED


# Absent keys.


def test_absent_keys_are_counted_zero_once_all_parts_are_in() -> None:
    shop = stocked()
    first = part(shop, 1, {"known": 5, "moved": 6}, absent="zero")
    assert first.moves == []
    second = part(shop, 2, {"new": 3}, absent="zero")
    assert second.places == [("w", "gone", "count", -7), ("w", "new", "count", 3)]
    assert second.drifts == [("on_hand", "gone", 7, 0, True)]
    (summary,) = second.summaries
    assert (summary["skus_checked"], summary["skus_drifted"]) == (4, 1)
    assert summary["missing_in_count"] == {"count": 2, "skus": ["frozen", "gone"]}
    assert shop.stock("gone") == (0, 0)
    assert shop.stock("frozen") == (None, 1)


def test_absent_keys_are_left_alone_where_they_are_unknown() -> None:
    shop = stocked()
    shop.count({"known": 5}, 30)
    assert shop.stock("gone") == (7, 0)


def test_an_absent_key_with_a_greater_count_is_left_alone() -> None:
    shop = stocked()
    shop.count({"gone": 8}, 31, snapshot_id="late")
    shop.count({"known": 5}, 30, absent="zero")
    assert shop.stock("gone") == (8, 0)


def test_an_absent_key_is_expected_with_the_flows_up_to_the_count() -> None:
    shop = stocked()
    shop.say("stock.adjusted", 20, sku="gone", delta=-7)
    shop.say("stock.adjusted", 40, sku="gone", delta=2)
    flushed = shop.count({"known": 5, "moved": 6}, 30, absent="zero")
    assert flushed.drifts == []
    assert shop.stock("gone") == (2, 0)


# What is forgotten.


def test_a_part_of_a_superseded_snapshot_is_taken_key_by_key(shop: Shop) -> None:
    part(shop, 1, {"k": 5})
    shop.count({"k": 6}, 31)
    flushed = part(shop, 2, {"k": 4, "other": 3})
    assert (flushed.outcome, flushed.places, flushed.summaries) == (APPLIED, [("w", "other", "count", 3)], [])
    assert part(shop, 1, {"k": 5}).outcome == STALE
    assert part(shop, 1, {"k": 9}).outcome == STALE


def test_such_a_part_does_not_compare_reserved(shop: Shop) -> None:
    shop.count({"k": 6}, 31, origin="marketplace")
    counts = [{"sku": "k", "on_hand": 0, "reserved": 9}]
    flushed = shop.count(0, 30, origin="marketplace", counts=counts)
    assert (flushed.drifts, flushed.summaries) == ([], [])


def test_such_a_part_does_not_count_absent_keys_zero() -> None:
    shop = stocked()
    shop.count({"known": 5}, 31)
    shop.count({"known": 5}, 30, absent="zero")
    assert shop.stock("gone") == (7, 0)


@pytest.mark.parametrize("difference", [{"warehouse_id": "x"}, {"origin": "wms"}, {"parts": 2}])
def test_a_snapshot_is_remembered_until_a_greater_one_is_complete(shop: Shop, difference: Fields) -> None:
    part(shop, 1, {"k": 5})
    shop.count({"k": 6}, 31, **difference)
    assert len(part(shop, 2, {"other": 3}).summaries) == 1


def test_of_one_time_the_greater_snapshot_id_supersedes(shop: Shop) -> None:
    shop.count(5, 30, snapshot_id="b")
    assert shop.count(6, 30, snapshot_id="a").outcome == STALE
    assert len(shop.count(7, 30, snapshot_id="c").summaries) == 1


def test_what_is_superseded_leaves_the_state(shop: Shop) -> None:
    shop.count(5, 30)
    shop.count(6, 31)
    kept = [key for key, value in shop.state.items() if key.startswith(b"part/") and value is not None]
    assert kept == [b"part/a/w/erp/n31/1"]
    assert shop.restarted().count(5, 30).outcome == STALE


def test_a_part_writes_one_movement_per_key_in_ascending_order(shop: Shop) -> None:
    flushed = shop.count({"b": 1, "a": 2, "c": 3}, 5)
    assert [place[1] for place in flushed.places] == ["a", "b", "c"]
    assert len(flushed.of(Topic.LEVELS)) == 3


# In steps.

MANY = {f"k{number:05}": 5 for number in range(5000)}
STEPS_MIN = 2 * len(MANY) // KEYS_PER_STEP
"""Each key is counted, and then written down."""


def begun(shop: Shop, on_hand: dict[str, int], as_of: int, /, **fields: object) -> Flushed:
    """A count that was begun to be taken: the outcome, and no step yet."""
    return Flushed(shop.process(body_of("stock.counted", as_of, **counted(on_hand, as_of, **fields))), [])


def steps_of(shop: Shop) -> int:
    """Take all steps there are, and tell how many there were."""
    rest = shop.processor.rest
    assert rest is not None
    return sum(1 for _ in rest)


def test_a_large_part_is_taken_in_small_steps_and_flushed_in_small_steps() -> None:
    shop = Shop()
    assert begun(shop, MANY, 10).outcome is APPLIED
    assert steps_of(shop) >= STEPS_MIN
    parts = list(shop.processor.flush())
    assert max(map(len, parts)) <= RECORDS_PER_STEP
    assert sum(output[0] == Topic.LEVELS for outputs in parts for output in outputs) == len(MANY)


def test_absent_keys_are_counted_zero_in_small_steps() -> None:
    shop = Shop()
    shop.count(MANY, 10)
    begun(shop, {"z": 1}, 20, absent="zero")
    assert steps_of(shop) >= STEPS_MIN
    flushed = shop.flush()
    assert len(flushed.levels) == len(MANY) + 1
    assert flushed.summaries[0]["missing_in_count"]["count"] == len(MANY)
    skus = [sku for _, sku, _, _ in flushed.places]
    assert skus == sorted(skus)


def test_a_part_in_steps_comes_to_the_same_as_one_at_once() -> None:
    at_once, in_steps = stocked(), stocked()
    body = body_of("stock.counted", 30, **counted({"known": 5, "moved": 4}, 30, absent="zero"), event_id="same")
    at_once.offsets, in_steps.offsets = count(100), count(100)
    assert in_steps.process(body) is APPLIED
    steps_of(in_steps)
    assert in_steps.flush().records == at_once.send(body).records


def test_a_part_that_is_half_taken_is_finished_by_the_next_record() -> None:
    shop = stocked()
    begun(shop, {"known": 9}, 30)
    next(shop.processor.rest or iter(()))
    shop.process(body_of("stock.counted", 40, **counted({"known": 8}, 40)))
    assert [(drift, expected) for drift, _, expected, _, _ in shop.flush().drifts] == [("on_hand", 5), ("on_hand", 9)]


def test_a_part_that_is_refused_changes_nothing() -> None:
    shop = stocked()
    part(shop, 1, {"known": 5})
    before = shop.levels()
    assert begun(shop, {"known": 1, "never": 2}, 30, part=1, parts=2).outcome is DEAD_LETTERED
    assert begun(shop, {"known": 1, "never": 2}, 30, part=2, parts=3).outcome is DEAD_LETTERED
    assert shop.processor.rest is None
    assert shop.flush().moves == []
    assert shop.levels() == before


def test_a_replayed_count_resolves_its_dead_letter_when_all_of_it_is_taken() -> None:
    shop = stocked()
    dead = body_of("stock.counted", 30, **counted({"known": -(10**10)}, 30), order_id="o")
    shop.send(dead)
    (dead_letter_id,) = shop.view().dead_letters
    replay = {**dead, **counted({"known": 4}, 30)}
    assert shop.process(replay, headers=(("replay-of", dead_letter_id.encode()),)) is APPLIED
    assert shop.view().dead_letters == [dead_letter_id]
    steps_of(shop)
    assert shop.view().dead_letters == []
