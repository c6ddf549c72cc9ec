"""`stockfreeze why`: which orders hold the frozen units of a SKU, and what moved them last."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from worker.cli.asking import ask, asked
from worker.cli.context import json_option, with_settings
from worker.cli.journal import last_movements, print_movements
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from schemas.outputs import StockMoved
    from worker.domain.views import Holding, StockView


@click.command(
    epilog=examples(
        "stockfreeze why acme main SKU-1",
        "stockfreeze why acme main SKU-1 --movements 50 --json",
    )
)
@click.argument("account")
@click.argument("warehouse")
@click.argument("sku")
@click.option(
    "--movements", type=click.IntRange(min=0), default=10, show_default=True, metavar="N", help="The last N movements."
)
@json_option
@with_settings
def command(settings: Settings, *, account: str, warehouse: str, sku: str, movements: int, as_json: bool) -> int:
    """Show the stock of SKU in WAREHOUSE of ACCOUNT, the orders that hold its frozen units, and its last movements.

    Read from the state and the journal as they are now; exit code 1 if nothing is known of the SKU there.
    """
    level, holdings, moved = ask(_why(settings, (account, warehouse, sku), movements))
    if level is None:
        click.echo(
            f"stockfreeze: nothing is known of SKU {sku} in warehouse {warehouse} of account {account}.", err=True
        )
        return 1
    if as_json:
        print_json({"level": asdict(level), "held_by": [asdict(held) for held in holdings], "movements": moved})
        return 0
    print_table(
        f"{account} / {warehouse} / {sku}",
        ("on hand", "frozen", "available", "publishable", "counted as of"),
        [(level.on_hand, level.frozen, level.available, level.publishable, level.as_of)],
    )
    print_table(
        "Held by",
        ("order", "sub-order", "units"),
        [(held.order_id, held.sub_order_id or "(not covered)", held.open) for held in holdings],
    )
    print_movements(moved, asked_for=("warehouse", "sku"))
    return 0


async def _why(
    settings: Settings, key: tuple[str, str, str], movements: int
) -> tuple[StockView | None, list[Holding], list[StockMoved]]:
    account, warehouse, sku = key
    async with asked(settings) as system:
        partition = system.partition_of(account)
        ledger = (await system.state_of(partition)).ledger
        levels = ledger.stock_of(account, warehouse, sku)
        if not levels:
            return None, [], []
        moved = await last_movements(
            system,
            partition,
            lambda movement: (movement.account_id, movement.warehouse_id, movement.sku) == key,
            movements,
        )
        return levels[0], ledger.holders_of(account, warehouse, sku), moved
