"""`python -m tests.bench.peers.quix_app BOOTSTRAP PREFIX GROUP STATE_DIR`: the kernel job on Quix Streams.

As its documentation has it: the two topics concatenated, a stateful function with state in RocksDB and its changelog,
`exactly-once`. Tuned: a commit every 100 ms instead of 5 s (as Kafka Streams has it), and one chain without branches,
since each branch copies its values.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application, State
from quixstreams.models import Topic

from tests.bench.peers.kernel import decide, level, movement, stock_key

COMMIT_SECONDS = 0.1


def kernel(event: dict[str, Any], state: State) -> list[dict[str, Any]]:
    """All that an event writes. State is scoped to the record's key, which is the account."""
    order_key = f"order/{event['order_id']}"
    order = state.get(order_key, {})
    account_id = event["account_id"]
    written: list[dict[str, Any]] = []
    for posting in decide(order, event):
        key = stock_key(account_id, posting)
        after = state.get(key, 0) + posting.delta
        state.set(key, after)
        written += (movement(event, posting, after), level(account_id, posting, after))
    state.set(order_key, order)
    return written


def main(bootstrap_servers: str, prefix: str, group: str, state_dir: str) -> None:
    """Run until SIGTERM."""
    app = Application(
        broker_address=bootstrap_servers,
        consumer_group=group,
        state_dir=state_dir,
        processing_guarantee="exactly-once",
        auto_offset_reset="earliest",
        commit_interval=COMMIT_SECONDS,
        consumer_poll_timeout=0.01,
        loglevel="WARNING",
    )

    def topic(name: str) -> Topic:
        return app.topic(prefix + name, key_deserializer="str", key_serializer="str")

    movements, levels = topic("stock.movements.v1"), topic("stock.levels.v1")

    def target(value: dict[str, Any], *_: object) -> Topic:
        return movements if value["type"] == "stock.moved" else levels

    def key_of(value: dict[str, Any]) -> str:
        account_id: str = value["account_id"]
        return account_id if value["type"] == "stock.moved" else f"{account_id}/{value['warehouse_id']}/{value['sku']}"

    orders, sub_orders = app.dataframe(topic("orders.events.v1")), app.dataframe(topic("sub-orders.events.v1"))
    orders.concat(sub_orders).apply(kernel, stateful=True, expand=True).to_topic(target, key=key_of)
    app.run()


if __name__ == "__main__":
    main(*sys.argv[1:5])
