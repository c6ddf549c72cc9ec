"""`stockfreeze order`: all that is known about an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import click
import msgspec

from schemas.outputs import OrderStatusChanged
from schemas.topics import Topic
from worker.cli.asking import Asked, ask, asked
from worker.cli.context import json_option, with_settings
from worker.cli.journal import last_movements, print_movements
from worker.cli.showing import examples, print_json, print_table
from worker.domain.views import OrderView
from worker.settings import Settings

if TYPE_CHECKING:
    from schemas.outputs import StockMoved
    from worker.edges.topic_reader import Record


@click.command(
    epilog=examples(
        "stockfreeze order acme 4711",
        "stockfreeze order acme 4711 --json",
    )
)
@click.argument("account")
@click.argument("order")
@click.option(
    "--movements", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="The last N movements."
)
@json_option
@with_settings
def command(settings: Settings, *, account: str, order: str, movements: int, as_json: bool) -> int:
    """Show the status of ORDER of ACCOUNT, its sub-orders and units, pending dead letters and last movements.

    An order that has left the state by retention is shown from its last status record. Exit code 1 for an unknown one.
    """
    view, has_left, moved = ask(_order(settings, account, order, movements))
    if view is None:
        click.echo(f"stockfreeze: nothing is known of order {order} of account {account}.", err=True)
        return 1
    if as_json:
        units = [
            dict(zip(("sub_order_id", "warehouse_id", "sku", "open", "shipped", "cancelled"), row, strict=True))
            for row in view.units
        ]
        print_json(asdict(view) | {"units": units, "left_by_retention": has_left, "movements": moved})
        return 0
    _print(view, has_left=has_left)
    print_movements(moved, asked_for=("order",))
    return 0


async def _order(
    settings: Settings, account: str, order: str, movements: int
) -> tuple[OrderView | None, bool, list[StockMoved]]:
    async with asked(settings) as system:
        partition = system.partition_of(account)
        view = (await system.state_of(partition)).ledger.order_of(account, order)
        has_left = view is None
        if view is None:
            view = await _last_status(system, partition, account, order)
        if view is None:
            return None, False, []
        moved = await last_movements(
            system,
            partition,
            lambda movement: movement.account_id == account and movement.order_id == order,
            movements,
        )
        return view, has_left, moved


async def _last_status(system: Asked, partition: int, account: str, order: str) -> OrderView | None:
    """What the last status record says of an order that is not in the state."""
    from schemas.encoding import key_of

    topic, key = system.settings.topic(Topic.STATUS), key_of(account, order)
    last: list[bytes] = []

    def take(records: Sequence[Record]) -> None:
        last[:] = [record.value for record in records if record.key == key and record.value is not None][-1:] or last

    bounds = await system.reader.bounds(topic, partition)
    await system.reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    if not last:
        return None
    status = msgspec.json.decode(last[0], type=OrderStatusChanged)
    return OrderView(
        account_id=account,
        order_id=order,
        known=True,
        status=status.status,
        placed=status.placed,
        eligible=status.eligible,
        sub_orders=dict(status.sub_orders),
        units=[
            (unit.sub_order_id, unit.warehouse_id, unit.sku, unit.open, unit.shipped, unit.cancelled)
            for unit in status.units
        ],
        dead_letters=[],
    )


def _print(view: OrderView, *, has_left: bool) -> None:
    print_table(
        f"{view.account_id} / {view.order_id}{' (has left the state by retention)' if has_left else ''}",
        ("status", "placed", "eligible for the archive"),
        [(view.status if view.known else None, view.placed, view.eligible)],
    )
    print_table("Sub-orders", ("sub-order", "status"), sorted(view.sub_orders.items()))
    print_table(
        "Units",
        ("sub-order", "sku", "open", "shipped", "cancelled", "warehouse"),
        [(sub_order or "(not covered)", sku, *units, warehouse) for sub_order, warehouse, sku, *units in view.units],
    )
    if view.dead_letters:
        print_table("Pending dead letters", ("id",), [(id_,) for id_ in view.dead_letters])
