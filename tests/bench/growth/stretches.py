"""The longest single stretch of CPU that a large record takes from everybody else in the worker.

A worker is one event loop: while one partition decides a record, flushes, or packs a transaction's batches, no other
one goes on and no heartbeat is sent. The engine gives the loop back between records, so the stretches are: deciding one
record, the flush of one transaction, and appending its records to the client's batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from schemas.topics import Topic
from tests.bench.growth.loads import order_of, record, snapshot
from tests.bench.growth.series import Stretch
from tests.bench.profile import START_MS, Line
from tests.bench.steady_load import LoadRecord
from worker.ops.garbage import collect_little, set_apart
from worker.stream.config import EngineConfig

HELD_UP_MS_MAX: Final = 200.0
SKUS: Final = 100_000
SKUS_QUICK: Final = 20_000
LINES: Final = 1000
SUB_ORDERS: Final = 100
_ACCOUNT: Final = "account-0"


async def measure(note: Callable[[str], None], *, quick: bool) -> list[Stretch]:
    """Every stretch of a snapshot of many SKUs, first and repeated, and of orders of a thousand lines."""
    collect_little()
    line = Line(chunk_time_ms_max=EngineConfig.chunk_time_ms_max)
    found: list[Stretch] = []
    skus = [f"sku-{number:06d}" for number in range(SKUS_QUICK if quick else SKUS)]
    orders = order_of(LINES, "large", START_MS + 100)
    split = _split(START_MS + 200)
    steps: Sequence[tuple[str, Sequence[LoadRecord]]] = (
        (f"first count of {len(skus):,} SKUs", snapshot("first", skus, START_MS + 1, on_hand=1000)),
        ("the next one, without a difference", snapshot("second", skus, START_MS + 10, on_hand=1000)),
        ("one in which all differ", snapshot("third", skus, START_MS + 20, on_hand=900)),
        ("half of them absent, counted zero", snapshot("fourth", skus[::2], START_MS + 30, on_hand=900, absent="zero")),
        (f"an order of {LINES:,} lines", orders[:1]),
        ("its sub-order", orders[1:2]),
        ("its shipment", orders[3:4]),
        (f"another, split into {SUB_ORDERS}", split[:3]),
        ("a shipment of one of these", split[3:4]),
        ("shipments of the others", split[4:]),
    )
    for name, records in steps:
        set_apart()
        stretches = await line.stretches(line.fetched(records))
        for step, cpu_ms in stretches.items():
            found.append(Stretch(name, step, cpu_ms, len(records)))
        worst = max(stretches.items(), key=lambda entry: entry[1])
        note(f"{name}: {worst[1]:.0f} ms in {worst[0]}")
    return found


def _split(at_ms: int) -> list[LoadRecord]:
    lines: list[dict[str, Any]] = [{"sku": f"sku-{number:06d}", "quantity": 2} for number in range(LINES)]
    share = LINES // SUB_ORDERS
    names = [f"part-{number}" for number in range(SUB_ORDERS)]
    children = [
        {"sub_order_id": name, "lines": lines[number * share : (number + 1) * share]}
        for number, name in enumerate(names)
    ]

    def load_record(number: int, topic: Topic, kind: str, **fields: object) -> LoadRecord:
        return record(topic, kind, _ACCOUNT, f"split/{number}", at_ms + number, order_id="split", **fields)

    given = [line | {"warehouse_id": "central"} for line in lines]
    whole = {"sub_order_id": "whole"}
    return [
        load_record(1, Topic.ORDERS, "order.created", lines=given),
        load_record(2, Topic.SUB_ORDERS, "sub_order.created", **whole, warehouse_id="central", lines=lines),
        load_record(3, Topic.SUB_ORDERS, "sub_order.split", **whole, children=children),
        *(
            load_record(10 + number, Topic.SUB_ORDERS, "sub_order.shipped", sub_order_id=name)
            for number, name in enumerate(names)
        ),
    ]
