"""The last movements of a stock key or an order, from the end of the journal backwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import click
import msgspec

from schemas.outputs import StockMoved
from schemas.topics import Topic
from worker.cli.asking import OpenSystem
from worker.cli.showing import print_table
from worker.cli.wording import to_the_minute

if TYPE_CHECKING:
    from worker.inspection.topic_reader import Record

SPAN_OFFSETS = 4_000
LOOK_BACK = 50_000

Command = TypeVar("Command", bound=Callable[..., Any])

_decode = msgspec.json.Decoder(StockMoved).decode


class JournalExcerpt(msgspec.Struct):
    """Movements, the newest first. `movements_from`: the offset of the journal that was looked back to; None: to its
    beginning, or as far as was needed.
    """

    movements: list[StockMoved] = []
    movements_from: int | None = None


def movements_options(command: Command) -> Command:
    """Give a command `--movements` and `--look-back`."""
    count = click.option(
        "--movements",
        type=click.IntRange(min=0),
        default=10,
        show_default=True,
        metavar="N",
        help="The last N movements.",
    )
    look_back = click.option(
        "--look-back",
        type=click.IntRange(min=0),
        default=LOOK_BACK,
        show_default=True,
        metavar="N",
        help="Look for them in the last N records of the partition's journal; 0: in all of it.",
    )
    return count(look_back(command))


async def last_movements(
    system: OpenSystem,
    partition: int,
    named: str,
    wanted: Callable[[StockMoved], bool],
    *,
    count: int,
    look_back: int,
) -> JournalExcerpt:
    """The last `count` movements of a partition that are `wanted`, among the last `look_back` records (0: all).

    `named` is a text that stands in every one of them, as JSON: what lacks it is not decoded.
    """
    from worker.inspection.topic_reader import read_backwards

    if not count:
        return JournalExcerpt()
    topic, needle = system.settings.topic(Topic.MOVEMENTS), named.encode()
    found: list[StockMoved] = []

    def take(records: Sequence[Record]) -> bool:
        for record in reversed(records):
            if needle not in (record.value or b""):
                continue
            # `verify` reports records that are no movements.
            with suppress(msgspec.DecodeError):
                movement = _decode(record.value or b"")
                if wanted(movement):
                    found.append(movement)
        return len(found) >= count

    bounds = await system.reader.bounds(topic, partition)
    start = max(bounds.start, bounds.stable_end - look_back) if look_back else bounds.start
    searched = bounds._replace(start=start)
    await read_backwards(system.reader, topic, partition, bounds=searched, span=SPAN_OFFSETS, take=take)
    return JournalExcerpt(found[:count], start if len(found) < count and start > bounds.start else None)


def print_movements(moved: JournalExcerpt, *, of_order: bool) -> None:
    """Print movements as a table, the newest first. What was asked for, an order or a stock key, is not repeated."""
    with_sub_orders = any(movement.sub_order_id for movement in moved.movements)
    rows = [
        (
            to_the_minute(movement.occurred_at),
            movement.movement,
            f"{movement.warehouse_id}/{movement.sku}" if of_order else movement.order_id or None,
            *((movement.sub_order_id or None,) if with_sub_orders else ()),
            f"{movement.frozen_delta:+} = {movement.frozen}",
            f"{movement.on_hand_delta:+} = {'null' if movement.on_hand is None else movement.on_hand}",
        )
        for movement in moved.movements
    ]
    named = ("where" if of_order else "order", *(("sub-order",) if with_sub_orders else ()))
    columns = ("occurred at", "movement", *named, "frozen", "on hand")
    print_table("Last movements (times in UTC)", columns, rows)
    if moved.movements_from is not None:
        click.echo(
            f"movements: the journal was searched back to offset {moved.movements_from} only; --look-back 0 searches "
            "all of it."
        )


def as_data(struct: msgspec.Struct) -> dict[str, Any]:
    """A struct as a dictionary, for JSON."""
    return msgspec.structs.asdict(struct)
