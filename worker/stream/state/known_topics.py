"""Which topics a partition belongs to: their ids, and one record of each input, read while the id was the same.

A topic that was deleted and made anew is another one with the same name. Offsets then mean something else, so a
partition writes into its state what it belongs to. Pure; and the codec of that state record.

Until a changed id is noticed, records of a new topic may be read as if they were the old one's. So the last record that
was read proves nothing there. The anchor does: it was read before the id was seen to be the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from worker.stream.state.positions import FORMAT_VERSION, TOPICS_KEY, LastRecord, check_version

_TopicsValue = tuple[int, dict[str, bytes], dict[str, LastRecord]]
NO_ANCHORS: Final[Mapping[str, LastRecord]] = {}


@dataclass(frozen=True)
class KnownTopics:
    """`ids`: by topic, without those that are not known. `anchors`: by input, without those that gave none yet."""

    ids: Mapping[str, bytes] = field(default_factory=dict)
    anchors: Mapping[str, LastRecord] = field(default_factory=lambda: NO_ANCHORS)

    def changed(self, ids: Mapping[str, bytes]) -> list[str]:
        """The topics that have another id now. What is not known on either side has not changed."""
        return sorted(topic for topic, topic_id in ids.items() if self.ids.get(topic, topic_id) != topic_id)

    def now(self, ids: Mapping[str, bytes]) -> KnownTopics:
        """The same with the ids of today; a topic whose id is not told today keeps the one that is known."""
        return KnownTopics({**self.ids, **ids}, self.anchors)


def encode_known_topics(known: KnownTopics) -> bytes:
    """The value of the state record `stream/topics`."""
    return msgspec.msgpack.encode((FORMAT_VERSION, known.ids, known.anchors))


def decode_known_topics(value: bytes) -> KnownTopics:
    """The meaning of that value. Raises StateVersionError for a record of a newer version."""
    check_version(value, TOPICS_KEY, FORMAT_VERSION)
    _, ids, anchors = msgspec.msgpack.decode(value, type=_TopicsValue)
    return KnownTopics(ids, anchors)
