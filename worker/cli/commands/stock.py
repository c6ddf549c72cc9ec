"""`stockfreeze stock`: the levels of an account, page by page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click

from worker.cli.answering import QuestionRouter
from worker.cli.asking import ask, open_system
from worker.cli.context import json_option, with_settings
from worker.cli.journal import as_data
from worker.cli.showing import examples, print_json, print_table
from worker.cli.wording import counted
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.web.answers import LevelsAnswer
    from worker.web.queries import LevelsQuestion

SHOWN = 100
PAGE_MAX = 10_000


@click.command(
    epilog=examples(
        "stockfreeze stock acme",
        "stockfreeze stock acme --oversold",
        "stockfreeze stock acme --warehouse main --below 5 --json",
    )
)
@click.argument("account")
@click.option("--warehouse", metavar="WAREHOUSE", help="Only the levels of this warehouse.")
@click.option("--sku", metavar="SKU", help="Only the levels of this SKU.")
@click.option("--below", type=int, metavar="N", help="Only where less than N is available.")
@click.option("--oversold", "below", flag_value=0, type=int, help="Only where more is frozen than is on hand.")
@click.option("--limit", type=click.IntRange(1, PAGE_MAX), default=SHOWN, show_default=True, help="Levels of a page.")
@click.option("--after", metavar="NEXT", help="The page after this warehouse/sku, which the page before prints.")
@json_option
@with_settings
def command(
    settings: Settings,
    *,
    account: str,
    warehouse: str | None,
    sku: str | None,
    below: int | None,
    limit: int,
    after: str | None,
    as_json: bool,
) -> int:
    """List the levels of ACCOUNT by warehouse and SKU, a page at a time.

    The worker that has the account answers. Without one, the state is read from the topics. Either way, the levels are
    the published ones.

    Exit code 1: nothing is known of the account's stock.
    """
    from worker.web.queries import LevelsQuestion, cursor_of

    if after is not None:
        try:
            cursor_of(after)
        except ValueError as error:
            raise click.UsageError(f"--after: {error}") from error
    question = LevelsQuestion(account, limit, warehouse, sku, below, after)
    answer = ask(_stock(settings, question))
    if answer is None:
        click.echo(f"stockfreeze: nothing is known of stock of account {account}.", err=True)
        return 1
    if as_json:
        print_json(as_data(answer))
        return 0
    print_table(
        f"Stock of {account}",
        ("warehouse", "sku", "on hand", "frozen", "available", "publishable"),
        [
            (level.warehouse_id, level.sku, level.on_hand, level.frozen, level.available, level.publishable)
            for level in answer.levels
        ],
    )
    more = f"; the next page: --after {shlex.quote(answer.next)}" if answer.next is not None else ""
    click.echo(f"stock: {counted(len(answer.levels), 'level')}{more}.")
    return 0


async def _stock(settings: Settings, question: LevelsQuestion) -> LevelsAnswer | None:
    async with open_system(settings) as system:
        return await QuestionRouter(system).of_account(question, question.account_id)
