"""`stockfreeze topics accept`: read an input that was made anew, as another generation of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from schemas.topics import LEDGER
from worker.cli.asking import ask, open_stopped_system
from worker.cli.confirming import confirm, yes_option
from worker.cli.context import CommandError, json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.stream.start.accepting import Acceptance


@dataclass(frozen=True)
class _Wanted:
    """A request to accept a topic, by its full name and the place to read it from."""

    settings: Settings
    topic: str
    start: str


@click.command(
    "accept",
    short_help="Read an input that was made anew.",
    epilog=examples(
        "stockfreeze topics accept orders.events.v1 --from beginning",
        "stockfreeze topics accept orders.events.v1 --from end --yes --json",
    ),
)
@click.argument("topic", metavar="INPUT")
@click.option(
    "--from",
    "start",
    type=click.Choice(["beginning", "end"]),
    required=True,
    help="Which of the new topic's records are read: all, or those that are written from now on.",
)
@yes_option
@json_option
@with_settings
def command(settings: Settings, topic: str, start: str, yes: bool, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Accept INPUT, which was deleted and made anew or lost records, as the topic to read.

    A worker stops where an input is not the topic that it read before. Stop all workers, and accept the new topic. From
    its beginning is always safe, because known events are duplicates. From its end, its records up to now are never
    read. State and journal stay as they are.

    Event ids that derive from the new topic carry its generation (orders.events.v1~2/0/17/1), because offsets begin
    anew.
    Partitions that fit stay as they are. After an interruption, run it again.
    """
    wanted = _Wanted(settings, _input_of(settings, topic), start)
    found = ask(_judge(wanted, accepting=False), settings)
    if not found:
        raise CommandError(f"every partition of {wanted.topic} is what the state knows: there is nothing to accept")
    if not as_json:
        _print(f"{wanted.topic}, from its {start}", found)
    confirm(f"Accept {_partitions(found)}, from the {start} of the topic?", yes=yes)
    accepted = ask(_judge(wanted, accepting=True), settings)
    if as_json:
        print_json({"topic": wanted.topic, "from": start, "accepted": [_as_data(each) for each in accepted]})
        return 0
    generations = ", ".join(f"~{number}" for number in sorted({each.generation for each in accepted}))
    click.echo(
        f"topics: {_partitions(accepted)} of {wanted.topic} accepted. Start the workers; event ids that derive from "
        f"it have {generations} after the topic's name."
    )
    return 0


def _input_of(settings: Settings, name: str) -> str:
    names = [settings.topic(topic) for topic in LEDGER.inputs]
    for full in (name, f"{settings.topic_prefix}{name}"):
        if full in names:
            return full
    raise CommandError(f"{name} is no input of this system: its inputs are {', '.join(names)}")


async def _judge(wanted: _Wanted, *, accepting: bool) -> list[Acceptance]:
    """Find the partitions that do not fit, and accept them if `accepting`."""
    from worker.stream.start.accepting import Acceptor, Start

    settings, topic = wanted.settings, wanted.topic
    async with open_stopped_system(settings) as (cluster, partition_count):
        topic_id = (await cluster.ids([topic])).get(topic)
        acceptor = Acceptor(settings.engine_config(), topic, topic_id, Start(wanted.start))
        step = acceptor.accept if accepting else acceptor.look
        try:
            judged = [await step(partition, partition_count) for partition in range(partition_count)]
        finally:
            await acceptor.close()
    return [each for each in judged if each is not None]


def _partitions(of: Sequence[Acceptance]) -> str:
    return f"{len(of)} partition{'s' if len(of) > 1 else ''}"


def _print(title: str, found: Sequence[Acceptance]) -> None:
    print_table(
        title,
        ("partition", "read up to", "begins at", "never read", "what was found"),
        [(each.partition, each.read_to, each.begins_at, each.unread, each.found) for each in found],
    )


def _as_data(acceptance: Acceptance) -> dict[str, Any]:
    return {
        "partition": acceptance.partition,
        "found": acceptance.found,
        "read_to": acceptance.read_to,
        "begins_at": acceptance.begins_at,
        "unread": acceptance.unread,
        "generation": acceptance.generation,
    }
