"""`stockfreeze dead-letters replay|discard`: send dead letters again, or give them up.

Both commands show what they are about to do and ask. Then they do it, and wait a while for the worker to read it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import groupby
from typing import TYPE_CHECKING, Final

import click

from schemas.topics import Topic
from worker.cli.asking import OpenSystem, ask, open_system
from worker.cli.confirming import confirm, require_terminal, yes_option
from worker.cli.context import CommandError, json_option, with_settings
from worker.cli.dead_letter_choice import Choice, LetterEntry, all_entries, choosing, find_entries, inputs_of
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.dead_letters import DeadLetter, Place, Sender
    from worker.inspection.fates import Fate

HELD_MAX = 50
"""Dead letters that are held in memory together; each may have up to 8 MiB."""
PREVIEW_MAX = 20
HOPELESS: Final = frozenset({"wrong_partition", "key_mismatch"})
"""Codes that a replay cannot change, because it has the same key and goes to the same partition."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request to replay or discard: ids, or a choice among what is pending or open."""

    settings: Settings
    ids: tuple[str, ...]
    choice: Choice
    yes: bool
    wait_seconds: float


@dataclass
class Done:
    """The dead letters that were chosen, and the outcome of each, by id."""

    chosen: list[LetterEntry] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    hopeless: int = 0
    """The number left out, because a replay can only be refused again."""
    sent: dict[str, Place] = field(default_factory=dict)
    marked: list[str] = field(default_factory=list)
    too_large: list[str] = field(default_factory=list)
    fates: dict[str, Fate] = field(default_factory=dict)

    @property
    def code(self) -> int:
        """The exit code; a record that is refused again counts as sent."""
        return int(bool(self.unknown or self.too_large))


def settling(command: Callable[[Request, bool], int]) -> Callable[..., int]:
    """Give `replay` and `discard` their common arguments, as a checked request, and whether to print JSON."""

    @wraps(command)
    def wrapper(  # the options of a command
        settings: Settings,
        *,
        ids: tuple[str, ...],
        all_: bool,
        choice: Choice,
        yes: bool,
        wait_seconds: float,
        as_json: bool,
    ) -> int:
        if bool(ids) == (all_ or not choice.is_empty):  # both, or neither
            raise click.UsageError("give either ids, or --all or filters")
        choice.check(settings)
        require_terminal(yes=yes)
        return command(Request(settings, ids, choice, yes, wait_seconds), as_json)

    options = (
        click.argument("ids", metavar="[ID]...", nargs=-1),
        click.option("--all", "all_", is_flag=True, help="All that are pending or open."),
        choosing("Of those, the ones"),
        yes_option,
        click.option(
            "--wait",
            "wait_seconds",
            type=click.FloatRange(min=0, max=3600),
            default=10.0,
            show_default=True,
            metavar="SECONDS",
            help="Wait at most so long for the worker to read what was sent.",
        ),
        json_option,
        with_settings,
    )
    decorated: Callable[..., int] = wrapper
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


@click.command(
    "replay",
    short_help="Send the original records again.",
    epilog=examples(
        "stockfreeze dead-letters replay orders.events.v1/3/1742",
        "stockfreeze dead-letters replay --code future --account acme",
        "stockfreeze dead-letters replay --all --yes --wait 60",
    ),
)
@settling
def replay(request: Request, as_json: bool) -> int:  # noqa: FBT001 # as `settling` passes it
    """Send the original records again, to where they came from, and show the outcome.

    A replay has the original's key, value and headers, the header `replay-of`, and a new timestamp. One that is refused
    again keeps its id and does not count for the breaker. `--all` and filters choose among what is pending or open, the
    oldest first. They leave out `wrong_partition` and `key_mismatch`, because a replay cannot change these, unless
    `--code` names them.
    """
    done = ask(_replay(request))
    if as_json:
        print_json(_as_data(done))
        return done.code
    _print_left_out(done)
    for id_ in done.too_large:
        click.echo(
            f"stockfreeze: {id_} is larger than its topic takes, with the header replay-of: "
            "raise the topic's max.message.bytes, replay it, and set the old value again, or discard it.",
            err=True,
        )
    by_topic = Counter(place.topic for place in done.sent.values())
    counts = ", ".join(f"{count} to {topic}" for topic, count in sorted(by_topic.items()))
    click.echo(f"dead-letters: {len(done.sent)} sent again{': ' if counts else ''}{counts}.")
    _print_fates(done, "accepted")
    return done.code


@click.command(
    "discard",
    short_help="Give dead letters up.",
    epilog=examples(
        "stockfreeze dead-letters discard orders.events.v1/3/1742",
        "stockfreeze dead-letters discard --code undecodable --account acme --since 1d --yes",
    ),
)
@settling
def discard(request: Request, as_json: bool) -> int:  # noqa: FBT001 # as `settling` passes it
    """Give dead letters up: a discarded one is never applied, unless it is replayed later.

    A pending one no longer keeps its order from the archive. Any other gets a mark in the dead-letter topic, that it is
    dealt with.
    """
    done = ask(_discard(request))
    if as_json:
        print_json(_as_data(done))
        return done.code
    way_out = " If the dead letter was deleted from its topic, send a dead_letter.discarded with that id to give it up."
    _print_left_out(done, way_out)
    click.echo(f"dead-letters: {len(done.sent)} given up, {len(done.marked)} marked as dealt with.")
    _print_fates(done, "read by the worker")
    return done.code


async def _replay(request: Request) -> Done:
    from worker.inspection.dead_letters import Sender
    from worker.inspection.fates import Follower

    settings, ids, choice = request.settings, request.ids, request.choice
    inputs = inputs_of(settings)
    topic, commands = settings.topic(Topic.DEAD_LETTERS), settings.topic(Topic.COMMANDS)
    async with open_system(settings) as system, Sender(settings.client_options()) as sender:
        done = await _choose(system, ids, choice)
        for entry in done.chosen:
            if ids and entry.letter.source_topic not in inputs:
                raise CommandError(
                    f"{entry.letter.id} did not come from an input of this system, so it cannot be sent again"
                )
        done.chosen = [entry for entry in done.chosen if entry.letter.source_topic in inputs]
        if not ids and choice.code is None:
            hopeful = [entry for entry in done.chosen if entry.letter.code not in HOPELESS]
            done.hopeless, done.chosen = len(done.chosen) - len(hopeful), hopeful
        done.chosen = done.chosen[: choice.limit]
        _confirm(done.chosen, "Send them again?", yes=request.yes)
        follower = Follower(system.cluster, system.reader, settings.app_id, topic, commands)
        await follower.begin(sorted({entry.letter.partition for entry in done.chosen}))
        await _send_again(system, sender, done)
        done.fates = await follower.fates(done.sent, request.wait_seconds)
        for entry in done.chosen:
            fate = done.fates.get(entry.letter.id)
            # `pending` is None for a dead letter of no order.
            if entry.pending is not True and fate is not None and fate.outcome == "accepted":
                await sender.settle(entry.letter, "accepted", topic)
    return done


async def _send_again(system: OpenSystem, sender: Sender, done: Done) -> None:
    from worker.inspection.dead_letters import read_records

    topic = system.settings.topic(Topic.DEAD_LETTERS)
    letters = sorted((entry.letter for entry in done.chosen), key=lambda letter: (letter.partition, letter.offset))
    for _, of_partition in groupby(letters, key=lambda letter: letter.partition):
        rest = list(of_partition)
        while rest:
            batch, rest = rest[:HELD_MAX], rest[HELD_MAX:]
            for letter, record in zip(batch, await read_records(system.reader, topic, batch), strict=True):
                place = await sender.replay(letter, record)
                if place is None:
                    done.too_large.append(letter.id)
                else:
                    done.sent[letter.id] = place


async def _discard(request: Request) -> Done:
    from worker.inspection.dead_letters import Sender
    from worker.inspection.fates import Follower

    settings = request.settings
    topic, commands = settings.topic(Topic.DEAD_LETTERS), settings.topic(Topic.COMMANDS)
    async with open_system(settings) as system, Sender(settings.client_options()) as sender:
        done = await _choose(system, request.ids, request.choice)
        done.chosen = done.chosen[: request.choice.limit]
        _confirm(done.chosen, "Give them up?", yes=request.yes)
        follower = Follower(system.cluster, system.reader, settings.app_id, topic, commands)
        await follower.begin(sorted({entry.letter.partition for entry in done.chosen}))
        for entry in done.chosen:
            letter: DeadLetter = entry.letter
            if entry.pending and letter.order is not None:
                done.sent[letter.id] = await sender.discard(letter, letter.order, commands)
            else:
                await sender.settle(letter, "discarded", topic)
                done.marked.append(letter.id)
        done.fates = await follower.fates(done.sent, request.wait_seconds)
    return done


async def _choose(system: OpenSystem, ids: Sequence[str], choice: Choice) -> Done:
    """The entries of the ids, or those that are pending or open and pass the filters, the oldest first."""
    if ids:
        found = await find_entries(system, ids)
        return Done(list(found.values()), [id_ for id_ in ids if id_ not in found])
    entries = [
        entry
        for entry in await all_entries(system)
        if entry.state in ("pending", "open") and choice.takes(entry, system.settings)
    ]
    return Done(sorted(entries, key=lambda entry: entry.letter.written_at))


def _confirm(chosen: Sequence[LetterEntry], question: str, *, yes: bool) -> None:
    """Show what is about to be done, and ask."""
    if yes or not chosen:
        return
    rows = [
        (entry.letter.id, entry.letter.code, entry.letter.account_id, entry.letter.order_id, entry.state)
        for entry in chosen[:PREVIEW_MAX]
    ]
    print_table(f"{len(chosen)} dead letters", ("id", "code", "account", "order", "state"), rows)
    if len(chosen) > PREVIEW_MAX:
        codes = ", ".join(f"{count} {code}" for code, count in Counter(e.letter.code for e in chosen).most_common())
        click.echo(f"and {len(chosen) - PREVIEW_MAX} more; in all {codes}")
    confirm(question, yes=yes)


def _print_left_out(done: Done, way_out: str = "") -> None:
    for id_ in done.unknown:
        click.echo(f"stockfreeze: there is no dead letter {id_}.{way_out}", err=True)
    if done.hopeless:
        click.echo(
            f"dead-letters: {done.hopeless} left out that can only be refused again: correct their producer, "
            "and discard them.",
            err=True,
        )


def _print_fates(done: Done, accepted: str) -> None:
    """Print how many were accepted, refused again or not read yet, and which were refused again."""
    if not done.fates:
        return
    counts = Counter(fate.outcome for fate in done.fates.values())
    named = [
        (counts["accepted"], accepted),
        (counts["refused"], "refused again"),
        (counts["not_read"], "not yet read by a worker"),
    ]
    click.echo(f"dead-letters: {', '.join(f'{count} {name}' for count, name in named if count)}.")
    refused = [(id_, fate.code) for id_, fate in done.fates.items() if fate.outcome == "refused"]
    if refused:
        print_table("Refused again", ("id", "code"), refused)


def _as_data(done: Done) -> dict[str, object]:
    return {
        "sent": list(done.sent),
        "marked": done.marked,
        "too_large": done.too_large,
        "unknown": done.unknown,
        "left_out": done.hopeless,
        "outcomes": {id_: fate._asdict() for id_, fate in done.fates.items()},
    }
