"""`stockfreeze dead-letters list|show`: records that could not be applied. The module beside replays and discards."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from schemas.topics import LEDGER, Topic
from worker.cli.asking import ask, open_system
from worker.cli.commands.dead_letters_settle import discard, replay
from worker.cli.context import json_option, with_settings
from worker.cli.dead_letter_choice import Choice, LetterEntry, all_entries, choosing, find_entries
from worker.cli.showing import examples, print_fields, print_json, print_table, visible
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.conflicts import First
    from worker.inspection.topic_reader import Record

SHOWN_MAX = 100


@click.group(
    epilog=examples("stockfreeze dead-letters list --pending", "stockfreeze dead-letters replay --code future")
)
def command() -> None:
    """List, show, replay or discard records that could not be applied.

    A dead letter's id is `source-topic/partition/offset`. While it is pending, its order cannot be archived; a replay
    that is accepted, or a discard, ends that. One without an order is open until then, and holds nothing back.
    """


command.add_command(replay)
command.add_command(discard)


@command.command(
    "list",
    short_help="List dead letters, the pending ones first.",
    epilog=examples(
        "stockfreeze dead-letters list --pending",
        "stockfreeze dead-letters list --account acme --code invalid --json",
        "stockfreeze dead-letters list --since 2h --topic orders.events.v1",
    ),
)
@choosing("Only those", limit=SHOWN_MAX)
@click.option("--pending", is_flag=True, help="Only those that hold an order back.")
@json_option
@with_settings
def list_(settings: Settings, *, choice: Choice, pending: bool, as_json: bool) -> int:
    """List dead letters: pending ones, then open ones, then settled ones, each from the latest to the oldest."""
    choice.check(settings)
    wanted = [
        entry
        for entry in ask(_list(settings))
        if choice.takes(entry, settings) and (not pending or entry.state == "pending")
    ]
    wanted.sort(key=lambda entry: entry.letter.written_at, reverse=True)
    wanted.sort(key=lambda entry: entry.rank)
    shown = wanted[: choice.limit]
    if as_json:
        print_json([_as_data(entry) for entry in shown])
        return 0
    rows = [
        (entry.letter.id, entry.letter.code, entry.letter.account_id, entry.letter.order_id, entry.state)
        for entry in shown
    ]
    if rows:
        print_table("Dead letters", ("id", "code", "account", "order", "state"), rows)
    click.echo(f"dead-letters: {len(shown)} of {len(wanted)} shown{_counts(wanted)}.")
    return 0


def _counts(entries: Sequence[LetterEntry]) -> str:
    """Count the entries by state and by code."""
    counts = [
        ", ".join(f"{count} {name}" for name, count in Counter(names).most_common())
        for names in ([entry.state for entry in entries], [entry.letter.code for entry in entries])
    ]
    return f"; {counts[0]}; by code: {counts[1]}" if entries else ""


@command.command(
    "show",
    short_help="Show one with its headers, key and value.",
    epilog=examples(
        "stockfreeze dead-letters show orders.events.v1/3/1742",
    ),
)
@click.argument("dead_letter_id", metavar="ID")
@json_option
@with_settings
def show(settings: Settings, *, dead_letter_id: str, as_json: bool) -> int:
    """Show a dead letter: why it was refused, its headers, key and value.

    For a conflict, it also shows the record that came first and the fields that differ. It reads the input for that.
    """
    entry, record, first = ask(_show(settings, dead_letter_id))
    if entry is None or record is None:
        click.echo(f"stockfreeze: there is no dead letter {dead_letter_id}.", err=True)
        return 1
    if as_json:
        conflict = {} if first is None else {"conflicts_with": first._asdict()}
        print_json(_as_data(entry) | conflict | _content_of(record))
        return 0
    letter = entry.letter
    print_fields(
        letter.id,
        [
            ("code", letter.code),
            ("error", letter.error),
            *([] if first is None else [("conflicts with", f"{first.id}: other {', '.join(first.fields)}")]),
            ("account", letter.account_id),
            ("order", letter.order_id),
            ("state", entry.state),
            ("recorded", letter.source_timestamp),
            ("refused", letter.written_at),
            ("lies at", f"{record.topic}/{record.partition}/{record.offset}"),
            *((f"header {name}", (value or b"").decode(errors="replace")) for name, value in record.headers),
            ("key", None if record.key is None else record.key.decode(errors="replace")),
        ],
    )
    click.echo(visible(_pretty(record.value)))
    return 0


async def _list(settings: Settings) -> list[LetterEntry]:
    async with open_system(settings) as system:
        return await all_entries(system)


async def _show(settings: Settings, text: str) -> tuple[LetterEntry | None, Record | None, First | None]:
    from worker.inspection.conflicts import first_of
    from worker.inspection.dead_letters import read_records

    async with open_system(settings) as system:
        found = await find_entries(system, [text])
        if text not in found:
            return None, None, None
        entry = found[text]
        [record] = await read_records(system.reader, settings.topic(Topic.DEAD_LETTERS), [entry.letter])
        topics = {settings.topic(topic): topic for topic in LEDGER.inputs}
        source = topics.get(entry.letter.source_topic)
        if entry.letter.code != "conflict" or source is None:
            return entry, record, None
        return entry, record, await first_of(system.reader, entry.letter, record, source)


def _as_data(entry: LetterEntry) -> dict[str, Any]:
    return asdict(entry.letter) | {"pending": entry.pending, "state": entry.state}


def _content_of(record: Record) -> dict[str, Any]:
    """Key, value and headers as text; what is not UTF-8 shows as replacement characters."""
    return {
        "headers": [[name, _text(value)] for name, value in record.headers],
        "key": _text(record.key),
        "value": _text(record.value),
    }


def _text(part: bytes | None) -> str | None:
    return None if part is None else part.decode(errors="replace")


def _pretty(value: bytes | None) -> str:
    if value is None:
        return "(no value)"
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return value.decode(errors="backslashreplace")
