"""The last movements of a stock key or an order, from the end of the journal backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def print_movements(movements: Sequence[StockMoved]) -> None:
    """Print movements as a table, the newest first."""
    print_table(
        "Last movements",
        (
            "occurred at",
            "movement",
            "warehouse",
            "sku",
            "quantity",
            "frozen",
            "on hand",
            "order",
            "sub-order",
            "source",
        ),
        [
            (
                movement.occurred_at,
                movement.movement,
                movement.warehouse_id,
                movement.sku,
                movement.quantity,
                f"{movement.frozen_delta:+} = {movement.frozen}",
                f"{movement.on_hand_delta:+} = {'null' if movement.on_hand is None else movement.on_hand}",
                movement.order_id or None,
                movement.sub_order_id or None,
                movement.event_id,
            )
            for movement in movements
        ],
    )
