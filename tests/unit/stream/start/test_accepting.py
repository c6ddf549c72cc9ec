"""What accepting a topic that was made anew makes of a partition's state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from worker.stream.start.accepting import Acceptance, CannotAccept, Seen, Start, acceptance_of
from worker.stream.start.guards import Bounds, Guards
from worker.stream.start.restore import Restored
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import Checkpoint, JournalEnd, LastRecord, Position

GUARDS = Guards(3, ("a", "b"), "journal", "state")
LAST = LastRecord(9, 500, 77)
OLD, NEW = b"o" * 16, b"n" * 16
OF_A = Position(10, applied=6, dead_lettered=3, gaps=1, generation=2, last=LAST, dead_lettered_before=4)
OF_B = Position(5, applied=5)
CHECKPOINT = Checkpoint({"a": OF_A, "b": OF_B}, 500, JournalEnd(38, 40), state_records=6)
KNOWN = KnownTopics({"a": OLD, "b": OLD, "state": OLD}, {"a": LAST, "b": LAST})
SAME = Seen(OLD, Bounds(0, 12), {9: LAST})
SHORTER = Seen(NEW, Bounds(2, 7), {9: None})


def judged(seen: Seen, start: Start = Start.BEGINNING, checkpoint: Checkpoint | None = CHECKPOINT) -> Acceptance | None:
    restored = Restored()
    restored.checkpoint, restored.known_topics = checkpoint, KNOWN
    return acceptance_of(GUARDS, "a", restored, seen, start)


def test_the_topic_that_the_state_knows_is_not_accepted() -> None:
    assert judged(SAME) is None


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (SHORTER, "a/3 ends at offset 7, but was read up to 10"),
        (replace(SAME, bounds=Bounds(0, 7), records={9: None}), "a/3 ends at offset 7, but was read up to 10"),
        (replace(SAME, records={9: LAST._replace(crc=1)}), "a/3 has another record at offset 9 than was read there"),
        (replace(SAME, bounds=Bounds(11, 12)), "a/3 begins at offset 11, but was read up to 10 only"),
        (replace(SAME, topic_id=NEW, records={9: None}), "a/3 has another id than the topic that was read"),
        (
            replace(SAME, topic_id=NEW),
            "a/3 has another id than the topic that was read, but what was read lies there",
        ),
    ],
)
def test_what_does_not_fit_is_accepted_and_named(seen: Seen, found: str) -> None:
    acceptance = judged(seen)
    assert acceptance is not None
    assert acceptance.found == found


@pytest.mark.parametrize(("start", "begins_at", "unread"), [(Start.BEGINNING, 2, 0), (Start.END, 7, 5)])
def test_an_accepted_topic_is_the_next_generation(start: Start, begins_at: int, unread: int) -> None:
    acceptance = judged(SHORTER, start)
    assert acceptance is not None
    assert (acceptance.begins_at, acceptance.unread, acceptance.generation) == (begins_at, unread, 3)
    accepted = acceptance.checkpoint.positions["a"]
    assert accepted == Position(begins_at, gaps=begins_at, generation=3, dead_lettered_before=7)


def test_all_else_of_the_state_stays() -> None:
    acceptance = judged(SHORTER)
    assert acceptance is not None
    of_a = acceptance.checkpoint.positions["a"]
    assert acceptance.checkpoint == CHECKPOINT._replace(positions={"a": of_a, "b": OF_B})
    assert acceptance.known_topics == KnownTopics({"a": NEW, "b": OLD, "state": OLD}, {"b": LAST})


def test_an_accepted_topic_fits_then() -> None:
    acceptance = judged(SHORTER)
    assert acceptance is not None
    restored = Restored()
    restored.checkpoint, restored.known_topics = acceptance.checkpoint, acceptance.known_topics
    assert acceptance_of(GUARDS, "a", restored, SHORTER, Start.BEGINNING) is None


def test_an_id_that_is_not_known_any_more_is_forgotten() -> None:
    acceptance = judged(replace(SHORTER, topic_id=None))
    assert acceptance is not None
    assert "a" not in acceptance.known_topics.ids


def test_a_state_without_positions_is_no_reason_to_accept_anything() -> None:
    with pytest.raises(CannotAccept, match="`stockfreeze begin-anew`"):
        judged(SAME, checkpoint=None)


def test_an_input_that_was_never_read_is_not_accepted() -> None:
    assert judged(SHORTER, checkpoint=CHECKPOINT._replace(positions={"b": OF_B})) is None
