"""The batches of an open transaction, by topic, while they are filled.

A record goes straight to aiokafka's encoder. aiokafka's producer would call serializers and pass every field by name
first, which costs more than the encoding, for each record of each event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import zip_longest
from typing import Final, TypeAlias, final

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from worker.stream.clients import BatchBuilder, Encoder
from worker.stream.records import Output

_NO_HEADERS: Final[list[tuple[str, bytes | None]]] = []
"""The encoder needs a list. Records without headers share this one."""
MAGIC: Final = 2
UNCOMPRESSED: Final = 0

Filled: TypeAlias = tuple[str, BatchBuilder, int]
"""A topic, a batch for it, and how many records that has."""


@final
class _Filling:
    """A batch, its encoder, and how many records it has."""

    __slots__ = ("batch", "encode", "record_count")

    def __init__(self, batch_bytes_max: int) -> None:
        self.batch: BatchBuilder = DefaultRecordBatchBuilder(
            MAGIC,
            UNCOMPRESSED,
            is_transactional=1,
            producer_id=-1,  # the producer sets them when it sends the batch
            producer_epoch=-1,
            base_sequence=-1,
            batch_size=batch_bytes_max,
        )
        self.encode: Encoder = self.batch.append
        self.record_count = 0


@final
class OpenBatches:
    """Takes records one after the other, and returns the batches to send."""

    def __init__(self, batch_bytes_max: int, now_ms: Callable[[], int]) -> None:
        self._batch_bytes_max = batch_bytes_max
        self._now_ms = now_ms
        self._of_topics: dict[str, list[_Filling]] = {}

    def append(self, records: Iterable[Output]) -> None:
        """Put records with the current time into the last batch of their topic, or into a new one if it is full.

        A batch takes its first record whatever its size, so a record may exceed the batch size up to the topic's limit.
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

    def count(self, topic: str) -> int:
        """Count the records of a topic that are not taken yet."""
        return sum(filling.record_count for filling in self._of_topics.get(topic, ()))

    def take(self) -> list[list[Filled]]:
        """Take all batches, in the rounds in which they are sent: the first one of each topic, then the next ones."""
        of_topics, self._of_topics = self._of_topics, {}
        rounds = zip_longest(*([(topic, filling) for filling in fillings] for topic, fillings in of_topics.items()))
        return [
            [(entry[0], entry[1].batch, entry[1].record_count) for entry in entries if entry is not None]
            for entries in rounds
        ]

    def _begin(self, topic: str) -> _Filling:
        filling = _Filling(self._batch_bytes_max)
        self._of_topics.setdefault(topic, []).append(filling)
        return filling
