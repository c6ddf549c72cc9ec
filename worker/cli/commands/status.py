"""`stockfreeze status`: how the system is doing, on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING

import click

from worker.cli.asking import ask
from worker.cli.commands.drift import print_summaries
from worker.cli.context import json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.cli.wording import counted
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.cli.surveying import Survey

PARTITIONS_SHOWN = 12
"""With more, those that need no attention are left out."""


@click.command(
    epilog=examples(
        "stockfreeze status",
        "stockfreeze status --json | jq .partitions",
    )
)
@json_option
@with_settings
def command(settings: Settings, *, as_json: bool) -> int:
    """Show workers, partitions and their lag, open orders, dead letters, counts, and the alerts that hold.

    Lag counts the offsets of the inputs that the group has not committed; its age is that of the oldest unread record.
    The workers answer for their partitions. The state of any other partition is read from the topics.

    Exit code 1: a partition is not being processed.
    """
    from worker.cli.surveying import survey

    found = ask(survey(settings))
    if as_json:
        named = {field.name: getattr(found, field.name) for field in fields(found)}
        print_json(named | {"summaries": [event.fields for event in found.summaries]})
    else:
        _print(settings, found)
    return 0 if found.ok else 1


def _print(settings: Settings, found: Survey) -> None:
    print_table(
        f"{settings.app_id} at {settings.bootstrap_servers}",
        ("worker", "partitions", "ready", "problem"),
        [(one.url or one.host, _ranges(one.partitions), one.ready, one.problem) for one in found.workers],
    )
    shown = [line for line in found.partitions if len(found.partitions) <= PARTITIONS_SHOWN or not line.is_well]
    if shown:
        print_table(
            "Partitions" if len(shown) == len(found.partitions) else "Partitions that need attention",
            ("partition", "state", "lag", "oldest", "open orders", "oversold", "dead letters"),
            [
                (
                    line.partition,
                    line.state,
                    line.lag,
                    None if line.oldest_unread_seconds is None else _age(line.oldest_unread_seconds),
                    line.orders_open,
                    line.oversold,
                    line.dead_letters_pending,
                )
                for line in shown
            ],
        )
    for line in shown:
        if line.reason is not None:
            click.echo(f"partition {line.partition}: {line.reason}")
    if found.summaries:
        print_summaries("Last counts (times in UTC)", found.summaries, with_account=True)
    for sentence in _sentences(found):
        click.echo(sentence)


def _sentences(found: Survey) -> list[str]:
    lines = found.partitions
    orders, keys = sum(line.orders_open for line in lines), sum(line.stock_keys for line in lines)
    oldest = max((line.oldest_unread_seconds or 0 for line in lines), default=0)
    lag = sum(line.lag for line in lines)
    sentences = [
        f"lag: {counted(lag, 'record')}{f', the oldest {_age(oldest)} old' if lag else ''}.",
        f"orders: {orders} open; {counted(keys, 'stock key')}, {sum(line.oversold for line in lines)} oversold.",
        f"dead letters pending: {_told(found.dead_letters)}.",
        f"alerts that hold: {_told(found.alerts)}.",
    ]
    if not found.ok:
        bad = [line.partition for line in lines if not line.is_processed]
        sentences.append(f"status: not processed: partitions {_ranges(bad)}.")
    return sentences


def _told(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "none"


def _ranges(numbers: Sequence[int]) -> str:
    """Ascending numbers such as `0-3, 7`."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in spans) or "none"


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"
