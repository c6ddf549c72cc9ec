"""`stockfreeze dead-letters`: what could not be applied, and what an operator can do about it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.topics import INPUTS, Topic
from worker.cli.asking import Asked, ask, asked
from worker.cli.context import Refusal, json_option, with_settings
from worker.cli.showing import examples, print_json, print_table, visible
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.edges.dead_letters import DeadLetter, Sender
    from worker.edges.topic_reader import Record

CODE = click.Choice(DEAD_LETTER_CODES)
SHOWN_MAX = 100
HELD_MAX = 50
"""Dead letters whose values, up to 8 MiB each, are held at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A dead letter and whether it holds its order back (None: it is not of an order)."""

    letter: DeadLetter
    pending: bool | None


@click.group()
def command() -> None:
    """List, show, replay or discard what could not be applied.

    A dead letter's id is `source-topic/partition/offset`. One that belongs to an order is pending, and keeps the order
    from the archive, until its replay is accepted or it is discarded.
    """


@command.command(
    "list",
    epilog=examples(
        "stockfreeze dead-letters list --pending",
        "stockfreeze dead-letters list --account acme --code invalid --json",
    ),
)
@click.option("--code", type=CODE, metavar="CODE", help="Only those refused with this code, such as conflict.")
@click.option("--account", metavar="ACCOUNT", help="Only those whose key is this account.")
@click.option("--topic", metavar="TOPIC", help="Only those from this input topic, with or without the prefix.")
@click.option("--pending", is_flag=True, help="Only those that hold an order back.")
@click.option("--limit", type=click.IntRange(min=1), default=SHOWN_MAX, show_default=True, help="The last N of them.")
@json_option
@with_settings
def list_(
    settings: Settings,
    *,
    code: str | None,
    account: str | None,
    topic: str | None,
    pending: bool,
    limit: int,
    as_json: bool,
) -> int:
    """List dead letters, the latest last."""
    sources = None if topic is None else {topic, settings.topic_prefix + topic} & _inputs_of(settings)
    if sources is not None and not sources:
        raise click.UsageError(f"there is no input topic {topic}; the inputs are {', '.join(INPUTS)}")
    wanted = [
        entry
        for entry in ask(_list(settings))
        if (code is None or entry.letter.code == code)
        and (account is None or entry.letter.account_id == account)
        and (sources is None or entry.letter.source_topic in sources)
        and (not pending or entry.pending)
    ]
    wanted.sort(key=lambda entry: entry.letter.written_at)
    shown = wanted[-limit:]
    if as_json:
        print_json([_as_data(entry) for entry in shown])
        return 0
    rows = [
        (
            entry.letter.id,
            entry.letter.code,
            entry.letter.error,
            entry.letter.order_id,
            entry.letter.written_at,
            entry.pending,
        )
        for entry in shown
    ]
    print_table("Dead letters", ("id", "code", "error", "order", "written", "pending"), rows)
    click.echo(f"dead-letters: {len(shown)} of {len(wanted)} shown.")
    return 0


@command.command(
    "show",
    epilog=examples(
        "stockfreeze dead-letters show orders.events.v1/3/1742",
    ),
)
@click.argument("dead_letter_id", metavar="ID")
@json_option
@with_settings
def show(settings: Settings, *, dead_letter_id: str, as_json: bool) -> int:
    """Show a dead letter: why it was refused, its headers, key and value."""
    entry, record = ask(_show(settings, dead_letter_id))
    if entry is None or record is None:
        return _unknown([dead_letter_id])
    if as_json:
        print_json(_as_data(entry) | _content_of(record))
        return 0
    letter = entry.letter
    print_table(
        letter.id,
        ("", ""),
        [
            ("code", letter.code),
            ("error", letter.error),
            ("account", letter.account_id),
            ("order", letter.order_id),
            ("pending", entry.pending),
            ("recorded", letter.source_timestamp),
            ("refused", letter.written_at),
            ("lies at", f"{record.topic}/{record.partition}/{record.offset}"),
            *((f"header {name}", (value or b"").decode(errors="replace")) for name, value in record.headers),
            ("key", None if record.key is None else record.key.decode(errors="replace")),
        ],
    )
    click.echo(visible(_pretty(record.value)))
    return 0


@command.command(
    "replay",
    epilog=examples(
        "stockfreeze dead-letters replay orders.events.v1/3/1742",
        "stockfreeze dead-letters replay --code future",
        "stockfreeze dead-letters replay --all",
    ),
)
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "all_", is_flag=True, help="All that are not known to be settled.")
@click.option("--code", type=CODE, metavar="CODE", help="Of those, the ones refused with this code.")
@json_option
@with_settings
def replay(settings: Settings, *, ids: tuple[str, ...], all_: bool, code: str | None, as_json: bool) -> int:
    """Send originals again, to where they came from.

    Key, value and headers are the original's, with the header `replay-of` and a new timestamp. What is refused again
    keeps its id. `--all` and `--code` leave out those of orders that are not pending: they were accepted or discarded.
    """
    if bool(ids) == (all_ or code is not None):
        raise click.UsageError("give either ids, or --all or --code")
    sent, too_large, unknown = ask(_replay(settings, ids, code))
    if as_json:
        print_json({"sent": sent, "too_large": too_large, "unknown": unknown})
        return int(bool(too_large or unknown))
    by_topic = {
        topic: sum(id_.rsplit("/", 2)[0] == topic for id_ in sent)
        for topic in sorted({id_.rsplit("/", 2)[0] for id_ in sent})
    }
    told = ", ".join(f"{count} to {topic}" for topic, count in by_topic.items())
    for id_ in too_large:
        click.echo(
            f"stockfreeze: {id_} is larger than its topic takes, with the header replay-of: "
            "raise max.message.bytes there for as long as it is sent, or discard it.",
            err=True,
        )
    click.echo(f"dead-letters: {len(sent)} sent again{': ' if told else ''}{told}.")
    return _unknown(unknown) or int(bool(too_large))


@command.command(
    "discard",
    epilog=examples(
        "stockfreeze dead-letters discard --yes orders.events.v1/3/1742",
    ),
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Needed: what is discarded is never applied, unless it is replayed later.")
@json_option
@with_settings
def discard(settings: Settings, *, ids: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Give dead letters up, so that they no longer keep their orders from the archive.

    Only a pending one that belongs to an order can be discarded: others hold nothing back.
    """
    if not yes:
        raise click.UsageError("what is discarded is given up; say --yes if that is meant")
    sent, refused, unknown = ask(_discard(settings, ids))
    if as_json:
        print_json({"sent": sent, "not_pending": refused, "unknown": unknown})
    else:
        for id_ in refused:
            click.echo(f"dead-letters: {id_} holds no order back, so there is nothing to discard.", err=True)
        click.echo(
            f"dead-letters: {len(sent)} given up; a worker must read that from {settings.topic(Topic.COMMANDS)} before "
            "`dead-letters list --pending` shows it."
        )
    way_out = " If its record was deleted, a dead_letter.discarded with that id in the commands topic gives it up."
    return _unknown([] if as_json else unknown, way_out) or int(bool(refused or unknown))


async def _list(settings: Settings) -> list[Entry]:
    async with asked(settings) as system:
        # All partitions, whatever the account: a record that lay in a wrong partition is in the dead letters of that
        # one.
        return [entry for partition in range(system.partition_count) for entry in await _entries(system, partition)]


async def _show(settings: Settings, text: str) -> tuple[Entry | None, Record | None]:
    from worker.edges.dead_letters import read_records

    async with asked(settings) as system:
        found = await _find(system, [text])
        if text not in found:
            return None, None
        [record] = await read_records(system.reader, settings.topic(Topic.DEAD_LETTERS), [found[text].letter])
        return found[text], record


async def _replay(settings: Settings, ids: Sequence[str], code: str | None) -> tuple[list[str], list[str], list[str]]:
    """The ids of those that were sent, that are too large to be, and that are not there."""
    from worker.edges.dead_letters import Sender

    inputs = _inputs_of(settings)
    async with asked(settings) as system, Sender(settings.client_options()) as sender:
        if ids:
            found = await _find(system, ids)
            chosen = list(found.values())
            for entry in chosen:
                if entry.letter.source_topic not in inputs:
                    raise Refusal(
                        f"{entry.letter.id} did not come from an input of this system, so it cannot be sent again"
                    )
        else:
            found = {}
            chosen = [
                entry
                for partition in range(system.partition_count)
                for entry in await _entries(system, partition)
                if entry.pending is not False
                and code in (None, entry.letter.code)
                and entry.letter.source_topic in inputs
            ]
        letters = [entry.letter for entry in chosen]
        too_large = await _send_again(system, sender, letters)
        sent = [letter.id for letter in letters if letter.id not in too_large]
        return sent, too_large, [id_ for id_ in ids if id_ not in found]


async def _send_again(system: Asked, sender: Sender, letters: Sequence[DeadLetter]) -> list[str]:
    """Gives the ids of those that are too large to be sent."""
    from worker.edges.dead_letters import read_records

    topic = system.settings.topic(Topic.DEAD_LETTERS)
    ordered = sorted(letters, key=lambda letter: (letter.partition, letter.offset))
    too_large = []
    for _, of_partition in groupby(ordered, key=lambda letter: letter.partition):
        rest = list(of_partition)
        while rest:
            batch, rest = rest[:HELD_MAX], rest[HELD_MAX:]
            for letter, record in zip(batch, await read_records(system.reader, topic, batch), strict=True):
                if not await sender.replay(letter, record):
                    too_large.append(letter.id)
    return too_large


async def _discard(settings: Settings, ids: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
    from worker.edges.dead_letters import Sender

    async with asked(settings) as system, Sender(settings.client_options()) as sender:
        found = await _find(system, ids)
        sent = []
        for id_, entry in found.items():
            if entry.pending and entry.letter.order is not None:
                await sender.discard(entry.letter, entry.letter.order, settings.topic(Topic.COMMANDS))
                sent.append(id_)
        return sent, [id_ for id_ in found if id_ not in sent], [id_ for id_ in ids if id_ not in found]


async def _find(system: Asked, ids: Sequence[str]) -> dict[str, Entry]:
    """The entries of these ids, by id; what is not there is left out."""
    from worker.edges.dead_letters import DeadLetterId

    partitions = set()
    for text in ids:
        try:
            partitions.add(DeadLetterId.parse(text).partition)
        except ValueError as error:
            raise Refusal(str(error)) from error
    wanted = dict.fromkeys(ids)
    found: dict[str, Entry] = {}
    for partition in sorted(partitions & set(range(system.partition_count))):
        found |= {entry.letter.id: entry for entry in await _entries(system, partition, wanted)}
    return {text: found[text] for text in wanted if text in found}


async def _entries(system: Asked, partition: int, wanted: dict[str, None] | None = None) -> list[Entry]:
    """The dead letters of a partition. The state is read only where one of them is of an order."""
    from worker.edges.dead_letters import read_dead_letters

    settings = system.settings
    topic, commands = settings.topic(Topic.DEAD_LETTERS), settings.topic(Topic.COMMANDS)
    letters = [
        letter
        for letter in (await read_dead_letters(system.reader, topic, partition, commands)).values()
        if wanted is None or letter.id in wanted
    ]
    if not any(letter.order for letter in letters):
        return [Entry(letter, None) for letter in letters]
    ledger = (await system.state_of(partition)).ledger

    def is_pending(letter: DeadLetter) -> bool | None:
        if letter.order is None:
            return None
        order = ledger.order_of(*letter.order)
        if order is not None and letter.id in order.dead_letters:
            return True
        return None if letter.code == "too_late" else False

    return [Entry(letter, is_pending(letter)) for letter in letters]


def _inputs_of(settings: Settings) -> set[str]:
    return {settings.topic(topic) for topic in INPUTS}


def _unknown(ids: Sequence[str], way_out: str = "") -> int:
    for id_ in ids:
        click.echo(f"stockfreeze: there is no dead letter {id_}.{way_out}", err=True)
    return int(bool(ids))


def _as_data(entry: Entry) -> dict[str, Any]:
    return asdict(entry.letter) | {"pending": entry.pending}


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
