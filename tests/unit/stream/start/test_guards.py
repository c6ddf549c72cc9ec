"""The comparison of a state with its topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from worker.stream.start.guards import Bounds, Breach, Found, Guards
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import Checkpoint, JournalEnd, LastRecord, Position

GUARDS = Guards(3, ("a", "b"), "journal", "state")
LAST = LastRecord(9, 500, 77)
ANCHOR = LastRecord(4, 400, 66)
OLD, NEW = b"o" * 16, b"n" * 16
CHECKPOINT = Checkpoint(
    {"a": Position(10, applied=10, last=LAST), "b": Position(0)}, 500, JournalEnd(38, 40), state_records=6
)
KNOWN = KnownTopics({"a": OLD, "b": OLD, "journal": OLD, "state": OLD, "other": OLD}, {"a": ANCHOR})
FOUND = Found(
    bounds={"a": Bounds(0, 12), "b": Bounds(0, 0), "journal": Bounds(0, 40)},
    ids=KNOWN.ids,
    records={"a": {9: LAST, 4: ANCHOR}, "b": {}},
    has_journal_end=True,
    journal_beyond=None,
    state_records=6,
    group_offsets={},
)


def _breach(checkpoint: Checkpoint | None = CHECKPOINT, known: KnownTopics = KNOWN, **found: object) -> Breach | None:
    return GUARDS.breach(checkpoint, known, replace(FOUND, **found))  # type: ignore[arg-type]


def _with_ids(**changed: bytes) -> Mapping[str, bytes]:
    return {**KNOWN.ids, **changed}


def test_a_state_that_is_what_its_topics_hold_passes() -> None:
    assert _breach() is None
    assert _breach(known=KnownTopics()) is None, "a state that knows no ids yet"
    assert _breach(ids={}) is None, "a broker that gives no ids"


@pytest.mark.parametrize(
    ("found", "topic", "why"),
    [
        ({"bounds": {**FOUND.bounds, "journal": Bounds(0, 1)}}, "state", "the journal journal/3 ends at offset 1"),
        (
            {"bounds": {**FOUND.bounds, "journal": Bounds(0, 0)}, "group_offsets": {"b": 5}},
            "state",
            "the consumer group has committed offset 5 of b/3",
        ),
    ],
)
def test_a_state_without_positions_is_lost_where_anything_was_written(
    found: dict[str, object], topic: str, why: str
) -> None:
    breach = _breach(None, KnownTopics(), **found)
    assert breach is not None
    assert breach.topic == topic
    assert breach.sentence.startswith(f"the state of partition 3 is lost: state/3 has no positions, but {why}; restore")
    assert "`stockfreeze begin-anew`" in breach.sentence


def test_a_state_without_positions_is_new_where_nothing_was_written() -> None:
    assert _breach(None, KnownTopics(), bounds={**FOUND.bounds, "journal": Bounds(0, 0)}) is None


def test_a_journal_that_ends_before_the_state_says_lost_records() -> None:
    breach = _breach(bounds={**FOUND.bounds, "journal": Bounds(0, 39)})
    assert breach is not None
    assert breach.topic == "journal"
    assert "journal/3 ends at offset 39, but by the state it continues at 40" in breach.sentence


def test_a_journal_without_its_last_record_was_made_anew() -> None:
    breach = _breach(has_journal_end=False)
    assert breach is not None
    assert "journal/3 has no record at offset 38, where its last one lies by the state" in breach.sentence


def test_a_journal_may_have_aborted_records_that_the_state_does_not_know() -> None:
    assert _breach(bounds={**FOUND.bounds, "journal": Bounds(0, 43)}) is None


def test_a_journal_with_an_unknown_record_is_newer_than_the_state() -> None:
    breach = _breach(bounds={**FOUND.bounds, "journal": Bounds(0, 43)}, journal_beyond=41)
    assert breach is not None
    assert "has a record at offset 41, but by the state it continues at 40: the end of the state" in breach.sentence


@pytest.mark.parametrize("has", [5, 7])
def test_another_number_of_state_records_than_were_written_is_a_loss(has: int) -> None:
    breach = _breach(state_records=has)
    assert breach is not None
    assert breach.topic == "state"
    assert f"state/3 has {has} keys, but 6 by its last transaction" in breach.sentence


def test_a_state_in_memory_is_not_counted() -> None:
    assert _breach(state_records=None) is None


def test_a_state_of_version_1_is_judged_by_its_positions_alone() -> None:
    old = Checkpoint({"a": Position(10, applied=10)}, 500)
    assert _breach(old, KnownTopics(), bounds={**FOUND.bounds, "journal": Bounds(0, 900)}, state_records=2) is None
    assert _breach(old, KnownTopics(), bounds={**FOUND.bounds, "a": Bounds(0, 9)}) is not None


@pytest.mark.parametrize(
    ("bounds", "why"),
    [
        (Bounds(0, 9), "a/3 ends at offset 9, but was read up to 10: the topic was recreated or lost records"),
        (Bounds(11, 20), "a/3 begins at offset 11, but was read up to 10 only: records expired before they were read"),
    ],
)
def test_a_position_lies_within_its_input(bounds: Bounds, why: str) -> None:
    breach = _breach(bounds={**FOUND.bounds, "a": bounds})
    assert breach is not None
    assert breach.topic == "a"
    assert breach.sentence.startswith(why)
    assert "`stockfreeze topics accept a --from beginning`" in breach.sentence


def test_another_record_where_the_last_one_was_read_is_another_topic() -> None:
    breach = _breach(records={"a": {9: LAST._replace(crc=78)}, "b": {}})
    assert breach is not None
    assert breach.sentence.startswith("a/3 has another record at offset 9 than was read there")


def test_a_last_record_that_expired_is_no_fault_while_the_id_is_the_same() -> None:
    assert _breach(records={"a": {9: None}, "b": {}}) is None


def test_a_changed_id_is_no_fault_where_the_records_are_the_same() -> None:
    assert _breach(ids=_with_ids(a=NEW, journal=NEW, state=NEW, other=NEW)) is None


@pytest.mark.parametrize(
    "records",
    [
        pytest.param({9: LAST, 4: ANCHOR._replace(timestamp_ms=401)}, id="read on in the new topic"),
        pytest.param({9: LAST, 4: None}, id="what would prove it expired"),
        pytest.param({9: None, 4: None}, id="all expired"),
    ],
)
def test_a_changed_id_decides_where_the_anchor_does_not_prove_the_topic(
    records: dict[int, LastRecord | None],
) -> None:
    breach = _breach(ids=_with_ids(a=NEW), records={"a": records, "b": {}})
    assert breach is not None
    assert breach.topic == "a"


def test_a_changed_id_decides_where_there_is_no_anchor_yet() -> None:
    breach = _breach(known=KnownTopics(KNOWN.ids), ids=_with_ids(a=NEW))
    assert breach is not None
    assert breach.sentence.startswith("a/3 has another id than the topic that was read")


def test_an_input_of_which_nothing_was_read_may_be_made_anew() -> None:
    assert _breach(ids=_with_ids(b=NEW)) is None


def test_each_topic_that_does_not_fit_is_listed_once() -> None:
    shorter = {"a": Bounds(0, 7), "b": Bounds(0, 0), "journal": Bounds(0, 30)}
    found = replace(
        FOUND, bounds=shorter, has_journal_end=False, records={"a": {9: None, 4: None}, "b": {}}, ids=_with_ids(a=NEW)
    )
    assert [breach.topic for breach in GUARDS.breaches(CHECKPOINT, KNOWN, found)] == ["journal", "a"]
    assert GUARDS.breaches(CHECKPOINT, KNOWN, FOUND) == []
