"""The last movements of a stock key or an order, from the end of the journal backwards."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from schemas.outputs import StockMoved
from schemas.topics import Topic
from worker.cli.asking import Asked
from worker.cli.showing import print_table

if TYPE_CHECKING:
    from worker.edges.topic_reader import Record

SPAN_OFFSETS = 4_000
COLUMNS = (
    "occurred at",
    "movement",
    "quantity",
    "frozen",
    "on hand",
    "warehouse",
    "sku",
    "order",
    "sub-order",
    "event id",
)

_decode = msgspec.json.Decoder(StockMoved).decode


async def last_movements(
    system: Asked, partition: int, wanted: Callable[[StockMoved], bool], count: int
) -> list[StockMoved]:
    """The last `count` movements of a partition that are `wanted`, the newest first."""
    from worker.edges.topic_reader import read_backwards

    topic = system.settings.topic(Topic.MOVEMENTS)
    found: list[StockMoved] = []

    def take(records: Sequence[Record]) -> bool:
        for record in reversed(records):
            # What is no movement at all is for `verify` to tell.
            with suppress(msgspec.DecodeError):
                movement = _decode(record.value or b"")
                if wanted(movement):
                    found.append(movement)
        return len(found) >= count

    if count:
        bounds = await system.reader.bounds(topic, partition)
        await read_backwards(system.reader, topic, partition, bounds=bounds, span=SPAN_OFFSETS, take=take)
    return found[:count]


def print_movements(movements: Sequence[StockMoved], *, asked_for: Collection[str]) -> None:
    """Print movements as a table, the newest first, without the columns that were `asked_for`."""
    rows = [_row_of(movement) for movement in movements]
    columns = [name for name in COLUMNS if name not in asked_for]
    print_table("Last movements", columns, [[row[name] for name in columns] for row in rows])


def _row_of(movement: StockMoved) -> dict[str, object]:
    return {
        "occurred at": movement.occurred_at,
        "movement": movement.movement,
        "quantity": movement.quantity,
        "frozen": f"{movement.frozen_delta:+} = {movement.frozen}",
        "on hand": None if movement.on_hand is None else f"{movement.on_hand_delta:+} = {movement.on_hand}",
        "warehouse": movement.warehouse_id,
        "sku": movement.sku,
        "order": movement.order_id or None,
        "sub-order": movement.sub_order_id or None,
        "event id": movement.event_id,
    }
