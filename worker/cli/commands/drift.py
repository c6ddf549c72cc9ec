"""`stockfreeze drift`: where counts differ from the books of an account."""

from __future__ import annotations

import click

from schemas.topics import Topic
from worker.cli.asking import ask, open_system
from worker.cli.context import json_option, with_settings
from worker.cli.output_events import Fields, OutputEvent, last_events
from worker.cli.showing import examples, print_json, print_table
from worker.cli.since import Since
from worker.cli.wording import counted, to_the_minute
from worker.settings import Settings

SHOWN = 50
SHOWN_MAX = 100_000
SUSPECTS_SHOWN = 2


@click.command(
    epilog=examples(
        "stockfreeze drift acme",
        "stockfreeze drift acme --since 24h",
        "stockfreeze drift acme --since 2026-11-22T06:00:00Z --json",
    )
)
@click.argument("account")
@click.option(
    "--since", "since_ms", type=Since(), metavar="TIME", help="Only what was found since: a time, a day, 24h, 7d."
)
@click.option(
    "--limit", type=click.IntRange(1, SHOWN_MAX), default=SHOWN, show_default=True, help="The last N of each."
)
@json_option
@with_settings
def command(settings: Settings, *, account: str, since_ms: int | None, limit: int, as_json: bool) -> int:
    """List the drifts of ACCOUNT that counts have found, and the summaries of its snapshots, the newest first.

    A drift is a count less the expected one: the previous count and the movements since. Its suspects are orders that
    may explain it.
    """
    drifts, summaries = ask(_drift(settings, account, since_ms, limit))
    if as_json:
        print_json({"drifts": [event.fields for event in drifts], "summaries": [event.fields for event in summaries]})
        return 0
    print_table(
        f"Drifts of {account} (times in UTC)",
        ("counted as of", "origin", "where", "expected", "counted", "drift", "suspects"),
        [_row(event.fields) for event in drifts],
    )
    print_summaries("Snapshots (times in UTC)", summaries, with_account=False)
    click.echo(f"drift: {counted(len(drifts), 'drift')} and {counted(len(summaries), 'snapshot')}.")
    return 0


async def _drift(
    settings: Settings, account: str, since_ms: int | None, limit: int
) -> tuple[list[OutputEvent], list[OutputEvent]]:
    async with open_system(settings) as system:
        partitions = [system.partition_of(account)]

        async def last(kind: str) -> list[OutputEvent]:
            def wanted(fields: Fields) -> bool:
                return fields.get("account_id") == account and fields.get("type") == kind

            return await last_events(system, Topic.DRIFT, partitions, wanted, count=limit, since_ms=since_ms)

        return await last("drift.detected"), await last("drift.summary")


def print_summaries(title: str, summaries: list[OutputEvent], *, with_account: bool) -> None:
    """Print summaries of snapshots as a table."""
    columns = ("counted as of", "origin", "warehouse", "checked", "drifted", "error rate")
    print_table(
        title,
        (*columns[:1], *(("account",) if with_account else ()), *columns[1:]),
        [
            (
                to_the_minute(event.fields.get("as_of")),
                *((event.fields.get("account_id"),) if with_account else ()),
                event.fields.get("origin"),
                event.fields.get("warehouse_id"),
                event.fields.get("skus_checked"),
                event.fields.get("skus_drifted"),
                f"{event.fields.get('error_rate', 0):.2%}",
            )
            for event in summaries
        ],
    )


def _row(fields: Fields) -> tuple[object, ...]:
    suspects = list(dict.fromkeys(str(suspect.get("order_id")) for suspect in fields.get("suspects", [])))
    more = f" and {len(suspects) - SUSPECTS_SHOWN} more" if len(suspects) > SUSPECTS_SHOWN else ""
    reserved = " reserved" if fields.get("measure") == "reserved" else ""
    return (
        to_the_minute(fields.get("as_of")),
        f"{fields.get('origin')}{reserved}",
        f"{fields.get('warehouse_id')}/{fields.get('sku')}",
        fields.get("expected"),
        fields.get("actual"),
        f"{fields.get('drift', 0):+}",
        ", ".join(suspects[:SUSPECTS_SHOWN]) + more or None,
    )
