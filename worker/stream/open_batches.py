"""The batches of an open transaction, by topic, as they fill.

A record goes straight to the encoder inside the client's batch. The batch's own `append` asks for serializers and takes
every field by name, which costs more than the encoding does, for each of an event's records. That reaches below
aiokafka's public interface; what is sent is the client's batch all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Final, final

from worker.stream.clients import BatchBuilder, Encoder
from worker.stream.records import Output

_NO_HEADERS: Final[list[tuple[str, bytes | None]]] = []
"""The encoder wants a list; an empty one may be shared."""


@final
class _Filling:
    """A batch, what encodes a record into it, and how many it has."""

    __slots__ = ("batch", "encode", "record_count")

    def __init__(self, batch: BatchBuilder) -> None:
        self.batch = batch
        self.encode: Encoder = batch._builder.append  # noqa: SLF001 # see above
        self.record_count = 0

    def closed(self) -> BatchBuilder:
        """The client's batch, which knows now what it holds."""
        self.batch._relative_offset = self.record_count  # noqa: SLF001
        return self.batch


@final
class OpenBatches:
    """Takes records one after the other, and gives the batches to send."""

    def __init__(self, create_batch: Callable[[], BatchBuilder], now_ms: Callable[[], int]) -> None:
        self._create_batch = create_batch
        self._now_ms = now_ms
        self._of_topics: dict[str, list[_Filling]] = {}

    def append(self, records: Iterable[Output]) -> None:
        """Put records, stamped with this moment, into the last batch of their topic, or a new one where it is full.

        A batch always takes its first record, however large: so a record may exceed the batch size, up to what the
        topic allows.
        """
        now_ms = self._now_ms()
        for topic, key, value, headers in records:
            tags = list(headers) if headers else _NO_HEADERS
            of_topic = self._of_topics.get(topic)
            filling = None if of_topic is None else of_topic[-1]
            if filling is None or filling.encode(filling.record_count, now_ms, key, value, tags) is None:
                filling = self._begin(topic)
                filling.encode(0, now_ms, key, value, tags)
            filling.record_count += 1

    def take(self) -> list[tuple[str, BatchBuilder]]:
        """All batches, in the order in which they are sent: one of each topic, then the next ones."""
        of_topics, self._of_topics = self._of_topics, {}
        rounds = zip_longest(*([(topic, filling) for filling in fillings] for topic, fillings in of_topics.items()))
        return [(entry[0], entry[1].closed()) for entries in rounds for entry in entries if entry is not None]

    def _begin(self, topic: str) -> _Filling:
        filling = _Filling(self._create_batch())
        self._of_topics.setdefault(topic, []).append(filling)
        return filling
