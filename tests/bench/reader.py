"""`python -m tests.bench.reader BOOTSTRAP PREFIX FILE`: a consumer of the outputs, as an ERP would be, in a process of
its own. It notes when each event's first movement or status became visible; on SIGTERM it reads to the end, and writes
that to FILE.

With `--only-movements` statuses do not count; with `--from-now` what was there before it came is not read.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Topic
from tests.bench.system import PARTITIONS

FETCH_WAIT_MS_MAX = 20
WAIT_MS = 200
READY_SUFFIX = ".ready"
"""Of a file beside FILE that is there once it reads."""


class _Output(msgspec.Struct):
    cause: str


async def _read(options: argparse.Namespace, stopping: asyncio.Event) -> dict[str, int]:
    """When the first output of each event was seen, in Unix milliseconds, by event_id."""
    seen: dict[str, int] = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=options.bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS_MAX,
    )
    cause_of = msgspec.json.Decoder(_Output).decode
    topics = (Topic.MOVEMENTS,) if options.only_movements else (Topic.MOVEMENTS, Topic.STATUS)
    names = (f"{options.prefix}{topic}" for topic in topics)
    places = [TopicPartition(name, partition) for name in names for partition in range(PARTITIONS)]
    ends: dict[TopicPartition, int] | None = None
    await consumer.start()
    try:
        consumer.assign(places)
        await (consumer.seek_to_end if options.from_now else consumer.seek_to_beginning)(*places)
        options.file.with_suffix(READY_SUFFIX).touch()
        while ends is None or any([await consumer.position(place) < ends[place] for place in places]):
            batches = await consumer.getmany(timeout_ms=WAIT_MS)
            now_ms = time.time_ns() // 1_000_000
            for records in batches.values():
                for record in records:
                    seen.setdefault(cause_of(record.value).cause, now_ms)
            if stopping.is_set() and ends is None:
                ends = await consumer.end_offsets(places)
    finally:
        await consumer.stop()
    return seen


async def _read_until_stopped(options: argparse.Namespace) -> dict[str, int]:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    return await _read(options, stopping)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reader", description=__doc__)
    parser.add_argument("bootstrap_servers")
    parser.add_argument("prefix")
    parser.add_argument("file", type=Path)
    parser.add_argument("--only-movements", action="store_true")
    parser.add_argument("--from-now", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    asked = _options()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outputs_seen = runner.run(_read_until_stopped(asked))
    asked.file.write_bytes(msgspec.json.encode(outputs_seen))
