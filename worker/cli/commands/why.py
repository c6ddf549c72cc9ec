"""`stockfreeze why`: which orders hold the frozen units of a SKU, and what moved them last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from worker.cli.answering import QuestionRouter
from worker.cli.asking import ask, open_system
from worker.cli.context import json_option, with_settings
from worker.cli.journal import JournalExcerpt, as_data, last_movements, movements_options, print_movements
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.web.answers import HoldersAnswer

HOLDERS_SHOWN = 20
ALL_HOLDERS = 1_000_000


@click.command(
    epilog=examples(
        "stockfreeze why acme main SKU-1",
        "stockfreeze why acme main SKU-1 --all",
        "stockfreeze why acme main SKU-1 --movements 50 --look-back 0 --json",
    )
)
@click.argument("account")
@click.argument("warehouse")
@click.argument("sku")
@click.option("--all", "all_", is_flag=True, help=f"All holders; without it, the {HOLDERS_SHOWN} greatest.")
@movements_options
@json_option
@with_settings
def command(
    settings: Settings,
    *,
    account: str,
    warehouse: str,
    sku: str,
    all_: bool,
    movements: int,
    look_back: int,
    as_json: bool,
) -> int:
    """Show the stock of SKU in WAREHOUSE of ACCOUNT, the orders that hold its frozen units, and its last movements.

    The worker that has the account answers. Without one, the state is read from the topics. Either way, the level is
    the published one.

    Exit code 1: nothing is known of the SKU there.
    """
    limit = ALL_HOLDERS if all_ else HOLDERS_SHOWN
    answer, moved = ask(_why(settings, (account, warehouse, sku), limit, movements, look_back))
    if answer is None:
        click.echo(
            f"stockfreeze: nothing is known of SKU {sku} in warehouse {warehouse} of account {account}.", err=True
        )
        return 1
    if as_json:
        print_json(as_data(answer) | as_data(moved))
        return 0
    level = answer.level
    print_table(
        f"{account} / {warehouse} / {sku}",
        ("on hand", "frozen", "available", "publishable", "counted as of"),
        [(level.on_hand, level.frozen, level.available, level.publishable, level.as_of)],
    )
    print_table(
        "Held by",
        ("order", "sub-order", "units"),
        [(held.order_id, held.sub_order_id or "(not covered)", held.open) for held in answer.held_by],
    )
    shown = sum(held.open for held in answer.held_by)
    if shown < level.frozen:
        click.echo(
            f"why: {shown} of {level.frozen} frozen units are shown; {answer.orders_holding} orders hold some "
            "(--all shows them)."
        )
    print_movements(moved, of_order=False)
    return 0


async def _why(
    settings: Settings, key: tuple[str, str, str], limit: int, movements: int, look_back: int
) -> tuple[HoldersAnswer | None, JournalExcerpt]:
    from schemas.encoding import json_string
    from worker.web.queries import HoldersQuestion

    account, warehouse, sku = key
    async with open_system(settings) as system:
        answer = await QuestionRouter(system).of_account(HoldersQuestion(account, warehouse, sku, limit), account)
        if answer is None:
            return None, JournalExcerpt()
        moved = await last_movements(
            system,
            answer.partition,
            json_string(sku),
            lambda movement: (movement.account_id, movement.warehouse_id, movement.sku) == key,
            count=movements,
            look_back=look_back,
        )
        return answer, moved
