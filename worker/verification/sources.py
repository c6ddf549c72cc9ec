"""Placing outputs before or after the cut, by their source: `topic/partition/offset/number`.

A running system writes while it is being read. The state is read first; the input positions in it are the *cut*. An
output whose source lies at or beyond the cut is newer than that state, so it is left out of the comparison. A later
state must cover its source, which is checked at the end.
"""

from __future__ import annotations

from collections.abc import Mapping

Cut = Mapping[str, int]
"""The next offset of each input topic, by full name. A topic that is not in it has not been read."""


class SourceTracker:
    """Parses the sources of one partition, and remembers the newest one beyond the cut."""

    def __init__(self, partition: int, cut: Cut) -> None:
        self._partition = str(partition)
        self._cut = cut
        self._topics: dict[str, str] = {}
        self.beyond: dict[str, int] = {}
        """Greatest source offset seen at or after the cut, by topic."""

    def parse(self, event_id: str) -> tuple[str, int, int]:
        """Parse an output's source into topic, offset and number. Raises ValueError if it is not of this partition."""
        try:
            place, offset, number = event_id.rsplit("/", 2)
            at, running = int(offset), int(number)
        except ValueError as error:
            raise ValueError(f"its event_id {event_id!r} is not topic/partition/offset/number") from error
        return self._topics.get(place) or self._topic_of(place), at, running

    def _topic_of(self, place: str) -> str:
        """The topic of a `topic/partition` that is met for the first time."""
        topic, _, partition = place.rpartition("/")
        if not topic or partition != self._partition:
            raise ValueError(f"its source {place} is not in this partition")
        self._topics[place] = topic
        return topic

    def is_before_cut(self, topic: str, offset: int) -> bool:
        """Return whether the state has consumed the record at `offset`; if not, remember it."""
        if offset < self._cut.get(topic, 0):
            return True
        if offset > self.beyond.get(topic, -1):
            self.beyond[topic] = offset
        return False


def unknown_sources(beyond: Mapping[str, int], later: Cut) -> list[tuple[str, int, int]]:
    """Find the sources beyond a cut that a later cut does not cover either: (topic, offset, later next offset)."""
    return [(topic, offset, later.get(topic, 0)) for topic, offset in beyond.items() if offset >= later.get(topic, 0)]
