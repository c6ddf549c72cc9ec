"""`python -m tests.bench.peers.faust_agent BOOTSTRAP PREFIX GROUP STATE_DIR`: the kernel job as a Faust agent.

As Faust's documentation has it: an agent over both topics, two tables with changelogs, `exactly_once`. Tuned: tables in
memory (its RocksDB store is slower), uvloop, orjson (taken when installed), untyped events instead of Records, commits
every 100 ms, a large stream buffer.
"""

from __future__ import annotations

import sys
from typing import Any

import faust
import uvloop

from tests.bench.peers.kernel import decide, level, movement, stock_key

PARTITIONS = 4
COMMIT_SECONDS = 0.1


def kernel_app(bootstrap_servers: str, prefix: str, group: str, state_dir: str) -> faust.App:
    """The app; starting it is the caller's."""
    app = faust.App(
        group,
        broker=f"kafka://{bootstrap_servers}",
        datadir=state_dir,
        store="memory://",
        processing_guarantee="exactly_once",
        consumer_auto_offset_reset="earliest",
        broker_commit_interval=COMMIT_SECONDS,
        broker_commit_every=10_000,
        stream_buffer_maxsize=16_384,
        producer_linger=0.02,
        topic_partitions=PARTITIONS,
        topic_replication_factor=1,
        topic_disable_leader=True,
        web_enabled=False,
    )
    inputs = app.topic(
        f"{prefix}orders.events.v1", f"{prefix}sub-orders.events.v1", key_serializer="raw", value_serializer="json"
    )
    movements = app.topic(f"{prefix}stock.movements.v1", key_serializer="raw", value_serializer="json")
    levels = app.topic(f"{prefix}stock.levels.v1", key_serializer="raw", value_serializer="json")
    orders = app.Table("orders", default=dict, partitions=PARTITIONS)
    frozen = app.Table("frozen", default=int, partitions=PARTITIONS)

    @app.agent(inputs)
    async def kernel(events: faust.StreamT[dict[str, Any]]) -> None:
        async for event in events:
            account_id = event["account_id"]
            order_key = f"{account_id}/{event['order_id']}"
            order = orders[order_key]
            for posting in decide(order, event):
                key = stock_key(account_id, posting)
                after = frozen[key] + posting.delta
                frozen[key] = after
                _ = await movements.send(key=account_id.encode(), value=movement(event, posting, after))
                _ = await levels.send(key=key.encode(), value=level(account_id, posting, after))
            orders[order_key] = order

    return app


if __name__ == "__main__":
    uvloop.install()
    faust.Worker(kernel_app(*sys.argv[1:5]), loglevel="INFO").execute_from_commandline()
