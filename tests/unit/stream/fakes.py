"""A clock that tests set, a processor whose records name their outcome, and the settings they run with."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

from worker.clock import Chance, Clock
from worker.stream import EngineConfig, InputRecord, Outcome, OutputRecord
from worker.stream.kafka.client_log import ClientLog, RateLimit
from worker.stream.kafka.reaper import Reaper
from worker.stream.observer import SilentObserver
from worker.stream.processor import Parties, Processor
from worker.stream.surroundings import Surroundings

CONFIG = EngineConfig(
    app_id="app",
    client={"bootstrap_servers": "nowhere:1"},
    inputs=("a", "b"),
    outputs=("out",),
    journal_topic="out",
    state_topic="state",
    batch_records_max=5,
    batch_bytes_max=100,
    batch_time_ms_max=500,
    chunk_records_max=3,
    stall_ms=15_000,
)


class Time:
    """Seconds and milliseconds that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.clock = Clock(monotonic=lambda: self.seconds, now_ms=lambda: int(self.seconds * 1000))


class Obedient:
    """The value of a record is its outcome; `boom` raises."""

    parties: Parties | None = None

    def __init__(self) -> None:
        self.flushed: list[OutputRecord] | Exception = []
        self.rest: Iterator[None] | None = None
        self.flushing: Iterator[None] = iter(())
        self.state_records = 0

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Nothing."""

    def finish_restore(self, stream_time_ms: int, _generations: Mapping[str, int]) -> Iterator[None]:
        """Nothing but that it is complete."""
        assert stream_time_ms >= -1
        yield

    def waits(self, record: InputRecord) -> bool:
        return record.topic == "counts"

    def process(self, record: InputRecord) -> Outcome:
        if record.value == b"boom":
            raise ValueError("it does not add up")
        return Outcome((record.value or b"").decode())

    def flush(self) -> Iterator[list[OutputRecord]]:
        if isinstance(self.flushed, Exception):
            raise self.flushed
        for record in self.flushed:
            yield [record]
        for _ in self.flushing:
            yield []


def surroundings_at(time: Time) -> Surroundings[Processor]:
    """Surroundings of a task or a session, with a silent observer and obedient processors."""
    return Surroundings(
        config=CONFIG,
        processors=lambda _partition, _count: Obedient(),
        observer=SilentObserver(),
        clock=time.clock,
        chance=Chance(random.Random(1)),
        reaper=Reaper(),
        client_log=ClientLog(5000, time.clock.monotonic),
        complaints=RateLimit(5000, time.clock.monotonic),
    )
