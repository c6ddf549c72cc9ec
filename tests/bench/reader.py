"""`python -m tests.bench.reader BOOTSTRAP PREFIX FILE`: a consumer of the outputs, as an ERP would be, in a process of
its own. It notes when each event's first movement or status became visible; on SIGTERM it reads until nothing more
comes, and writes that to FILE.

It is on librdkafka, and looks into what it read only at the end: on a machine that broker and worker share, what
the reader takes is missing to them. With `--only-movements` statuses do not count; with `--from-now` what was there
before it came is not read.
"""

from __future__ import annotations

import argparse
import signal
import time
from pathlib import Path
from threading import Event

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from schemas.topics import Topic

QUIET_SECONDS = 1.0
"""Nothing for so long, and after SIGTERM that is the end."""
READY_SUFFIX = ".ready"
"""Of a file beside FILE that is there once it reads."""


class _Output(msgspec.Struct):
    cause: str


def _read(options: argparse.Namespace, stopping: Event) -> dict[str, int]:
    """When the first output of each event was seen, in Unix milliseconds, by event_id. Raises KafkaException."""
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap_servers,
            "group.id": "unused: it is assigned its partitions, and commits nothing",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    read: list[tuple[bytes, int]] = []
    try:
        consumer.assign(_places(consumer, options))
        options.file.with_suffix(READY_SUFFIX).touch()
        while (message := consumer.poll(QUIET_SECONDS)) is not None or not stopping.is_set():
            if message is None:
                continue
            if (error := message.error()) is not None:
                raise KafkaException(error)
            read.append((message.value(), time.time_ns() // 1_000_000))
    finally:
        consumer.close()
    cause_of = msgspec.json.Decoder(_Output).decode
    seen: dict[str, int] = {}
    for value, at_ms in read:
        seen.setdefault(cause_of(value).cause, at_ms)
    return seen


def _places(consumer: Consumer, options: argparse.Namespace) -> list[TopicPartition]:
    """Where it begins to read, in each partition of the outputs that count."""
    topics = (Topic.MOVEMENTS,) if options.only_movements else (Topic.MOVEMENTS, Topic.STATUS)
    names = [f"{options.prefix}{topic}" for topic in topics]
    known = consumer.list_topics().topics
    places = [TopicPartition(name, partition) for name in names for partition in known[name].partitions]
    for place in places:
        place.offset = consumer.get_watermark_offsets(place)[1] if options.from_now else OFFSET_BEGINNING
    return places


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reader", description=__doc__)
    parser.add_argument("bootstrap_servers")
    parser.add_argument("prefix")
    parser.add_argument("file", type=Path)
    parser.add_argument("--only-movements", action="store_true")
    parser.add_argument("--from-now", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    asked, stopped = _options(), Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    outputs_seen = _read(asked, stopped)
    asked.file.write_bytes(msgspec.json.encode(outputs_seen))
