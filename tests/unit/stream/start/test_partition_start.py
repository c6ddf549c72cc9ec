"""What a partition begins with, and what its state must record first."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.unit.stream.fakes import CONFIG, Obedient
from worker.stream.start.guards import Bounds
from worker.stream.start.partition_start import _beginning_of, _State
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import FORMAT_KEY, TOPICS_KEY, Checkpoint, JournalEnd, LastRecord, Position

BOUNDS = {"a": Bounds(3, 90), "b": Bounds(0, 40)}
LAST = LastRecord(6, 1_790_000_000_000, 77)
POSITIONS = {"a": Position(7, applied=4, gaps=3, last=LAST), "b": Position(0)}
IDS = {"a": b"id of a"}


def _state(positions: Mapping[str, Position] | None, ids: Mapping[str, bytes], journal: int = 0) -> _State[Obedient]:
    checkpoint = None if positions is None else Checkpoint(dict(positions), 5, JournalEnd(next_offset=journal), 0)
    count = None if positions is None else 8
    return _State(Obedient(), checkpoint, KnownTopics(ids), partition_count=count, state_records=None)


def test_a_new_state_begins_at_the_first_offset_of_each_input() -> None:
    beginning = _beginning_of(CONFIG, 8, _state(None, {}), IDS, BOUNDS)
    assert {topic: position.next_offset for topic, position in beginning.positions.items()} == {"a": 3, "b": 0}
    assert beginning.records is not None
    assert [record.key for record in beginning.records] == [FORMAT_KEY, TOPICS_KEY]


def test_a_state_that_lacks_nothing_is_not_written() -> None:
    beginning = _beginning_of(CONFIG, 8, _state(POSITIONS, IDS), IDS, BOUNDS)
    assert beginning.records is None
    assert (beginning.positions, beginning.stream_time_ms) == (POSITIONS, 5)


def test_another_id_is_recorded_with_the_last_records_as_anchors() -> None:
    beginning = _beginning_of(CONFIG, 8, _state(POSITIONS, IDS), {"a": b"another"}, BOUNDS)
    assert beginning.known_topics == KnownTopics({"a": b"another"}, {"a": LAST})
    assert beginning.records is not None
    assert [record.key for record in beginning.records] == [TOPICS_KEY]


@pytest.mark.parametrize(
    "state", [_state({"a": POSITIONS["a"]}, IDS), _state(POSITIONS, IDS, journal=-1)], ids=["new input", "version 1"]
)
def test_positions_are_written_for_a_new_input_and_an_old_version(state: _State[Obedient]) -> None:
    assert _beginning_of(CONFIG, 8, state, IDS, BOUNDS).records == []
