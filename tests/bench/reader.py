"""`python -m tests.bench.reader BOOTSTRAP PREFIX FILE`: a consumer of the outputs, as an ERP would be, in a process of
its own. It notes when each event's first movement or status became visible, and writes that to FILE on SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas.topics import Topic
from tests.bench.system import PARTITIONS

FETCH_WAIT_MS_MAX = 20


class _Output(msgspec.Struct):
    cause: str


async def _read(bootstrap_servers: str, prefix: str, seen: dict[str, int]) -> None:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap_servers,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=FETCH_WAIT_MS_MAX,
    )
    cause_of = msgspec.json.Decoder(_Output).decode
    await consumer.start()
    try:
        names = (f"{prefix}{topic}" for topic in (Topic.MOVEMENTS, Topic.STATUS))
        consumer.assign([TopicPartition(name, partition) for name in names for partition in range(PARTITIONS)])
        while True:
            batches = await consumer.getmany(timeout_ms=1000)
            now_ms = time.time_ns() // 1_000_000
            for records in batches.values():
                for record in records:
                    seen.setdefault(cause_of(record.value).cause, now_ms)
    finally:
        await consumer.stop()


async def _read_until_stopped(bootstrap_servers: str, prefix: str) -> dict[str, int]:
    """When the first output of each event was seen, in Unix milliseconds, by event_id."""
    seen: dict[str, int] = {}
    reading = asyncio.ensure_future(_read(bootstrap_servers, prefix, seen))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, reading.cancel)
    await asyncio.wait({reading})
    if not reading.cancelled():
        reading.result()
    return seen


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outputs_seen = runner.run(_read_until_stopped(sys.argv[1], sys.argv[2]))
    Path(sys.argv[3]).write_bytes(msgspec.json.encode(outputs_seen))
