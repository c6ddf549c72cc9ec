"""`stockfreeze alerts`: list the last alerts, or those that hold now."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemas.topics import Topic
from worker.cli.answering import QuestionRouter
from worker.cli.asking import OpenSystem, ask, open_system
from worker.cli.context import json_option, with_settings
from worker.cli.output_events import Fields, OutputEvent, last_events
from worker.cli.showing import examples, print_json, print_table
from worker.cli.wording import to_the_minute
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.web.answers import AlertAnswer

SHOWN = 20
SHOWN_MAX = 10_000
SEVERITIES = ("critical", "warning", "info")
"""The most severe first."""


@click.command(
    epilog=examples(
        "stockfreeze alerts --open",
        "stockfreeze alerts --open --account acme --json",
        "stockfreeze alerts --limit 200",
    )
)
@click.option("--open", "open_", is_flag=True, help="List alerts whose condition holds now.")
@click.option("--account", metavar="ACCOUNT", help="Only those of this account.")
@click.option("--limit", type=click.IntRange(1, SHOWN_MAX), default=SHOWN, show_default=True, help="At most so many.")
@json_option
@with_settings
def command(settings: Settings, *, open_: bool, account: str | None, limit: int, as_json: bool) -> int:
    """List the last alerts, the newest first, or with --open those that hold now, the worst first.

    The workers answer which alerts hold. Without one, the state of a partition is read from the topics. An alert
    `conflict` is about one record, so it never holds.
    """
    if open_:
        rows, counts = ask(_open(settings, account, limit))
        if as_json:
            print_json({"alerts": rows, "counts": counts})
        else:
            print_open(rows, counts)
        return 0
    events = ask(_last(settings, account, limit))
    if as_json:
        print_json([event.fields for event in events])
        return 0
    print_table(
        "Last alerts (times in UTC)",
        ("occurred at", "alert", "account", "about"),
        [
            (
                to_the_minute(event.fields.get("occurred_at")),
                f"{event.fields.get('alert')}{' cleared' if event.fields.get('type') == 'alert.cleared' else ''}",
                event.fields.get("account_id"),
                about(event.fields),
            )
            for event in events
        ],
    )
    click.echo(f"alerts: the last {len(events)}; --open lists those that hold now.")
    return 0


async def _last(settings: Settings, account: str | None, limit: int) -> list[OutputEvent]:
    async with open_system(settings) as system:
        partitions = range(system.partition_count) if account is None else [system.partition_of(account)]

        def wanted(fields: Fields) -> bool:
            return account is None or fields.get("account_id") == account

        return await last_events(system, Topic.ALERTS, partitions, wanted, count=limit)


async def _open(settings: Settings, account: str | None, limit: int) -> tuple[list[AlertAnswer], dict[str, int]]:
    async with open_system(settings) as system:
        return await alerts_that_hold(system, QuestionRouter(system), account, limit)


async def alerts_that_hold(
    system: OpenSystem, answers: QuestionRouter, account: str | None, limit: int
) -> tuple[list[AlertAnswer], dict[str, int]]:
    """Find up to `limit` alerts that hold, the most severe first, and count all of them by name."""
    from worker.web.queries import PartitionQuestion

    rows: list[AlertAnswer] = []
    counts: dict[str, int] = {}
    for partition in range(system.partition_count) if account is None else [system.partition_of(account)]:
        answer = await answers.of_partition(PartitionQuestion(partition, limit, account), partition)
        if answer is not None:
            rows += answer.alerts
            for name, count in answer.counts.items():
                counts[name] = counts.get(name, 0) + count
    rows.sort(key=lambda row: (SEVERITIES.index(row.severity), row.alert, row.account_id, row.order_id or ""))
    return rows[:limit], dict(sorted(counts.items()))


def print_open(rows: list[AlertAnswer], counts: dict[str, int]) -> None:
    """Print alerts that hold as a table, and how many there are in all."""
    from msgspec.structs import asdict

    print_table(
        "Alerts that hold",
        ("alert", "severity", "account", "about", "available"),
        [(row.alert, row.severity, row.account_id, about(asdict(row)), row.available) for row in rows],
    )
    total = sum(counts.values())
    shown = "" if total == len(rows) else f"; {len(rows)} are shown"
    named = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"alerts: {named} hold{shown}." if total else "alerts: none holds.")


def about(fields: Fields) -> str:
    """Name what an alert is about, by those of its ids that it has."""
    names = ("order_id", "sub_order_id", "warehouse_id", "sku", "return_id", "origin", "snapshot_id")
    return " / ".join(str(fields[name]) for name in names if fields.get(name) is not None)
