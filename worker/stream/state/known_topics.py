"""The topics that a partition's state belongs to: their ids, and one record of each input. Pure.

A topic that was deleted and recreated has the same name but another id, and its offsets mean other records. So the
state records which topics it belongs to. Until a worker notices the other id, it may read records of the new topic as
if they were the old one's. So the last record that was read proves nothing. The *anchor* does: it was read before the
id was last seen unchanged.
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
    """The ids by topic and the anchors by input. Topics of unknown id and inputs without an anchor are left out."""

    ids: Mapping[str, bytes] = field(default_factory=dict)
    anchors: Mapping[str, LastRecord] = field(default_factory=lambda: NO_ANCHORS)

    def changed(self, ids: Mapping[str, bytes]) -> list[str]:
        """The topics that have another id in `ids`. A topic whose id is unknown on either side has not changed."""
        return sorted(topic for topic, topic_id in ids.items() if self.ids.get(topic, topic_id) != topic_id)

    def now(self, ids: Mapping[str, bytes]) -> KnownTopics:
        """The same topics with new ids. A topic that `ids` lacks keeps the id that is known."""
        return KnownTopics({**self.ids, **ids}, self.anchors)


def encode_known_topics(known: KnownTopics) -> bytes:
    """Encode the value of the state record `stream/topics`."""
    return msgspec.msgpack.encode((FORMAT_VERSION, known.ids, known.anchors))


def decode_known_topics(value: bytes) -> KnownTopics:
    """Decode the value of the state record `stream/topics`. Raises StateVersionError for a newer version."""
    check_version(value, TOPICS_KEY, FORMAT_VERSION)
    _, ids, anchors = msgspec.msgpack.decode(value, type=_TopicsValue)
    return KnownTopics(ids, anchors)
