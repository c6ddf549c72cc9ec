"""`stockfreeze begin-anew`: delete state and outputs, and read the inputs from their beginning."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from schemas.topics import Topic
from worker.cli.asking import ask, require_no_members
from worker.cli.context import CommandError, json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.administration.beginning_anew import Renewal

AFTERWARDS = (
    "What has expired from the inputs is not known any more: send first counts, and orders that are still open, again.",
    (
        "Consumers of the outputs must forget what they booked from this system, and read the outputs from their "
        "beginning: event ids begin anew, and those of before come again with other content."
    ),
    "Start the workers: they read the inputs from their beginning.",
)


@click.command(
    epilog=examples(
        "stockfreeze begin-anew",
        "stockfreeze begin-anew --confirm stockfreeze",
        "stockfreeze begin-anew --confirm stockfreeze --json",
    )
)
@click.option("--confirm", "confirmed", metavar="SYSTEM", help="The APP_ID of the system that is to begin anew.")
@json_option
@with_settings
def command(settings: Settings, confirmed: str | None, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Delete state and outputs, create them anew, and have the inputs read from their beginning.

    Use it where the state or the journal is lost and no copy can be restored. It deletes the state, all outputs and the
    group's offsets, and creates the topics as they were. The inputs are kept. Stop all workers first.

    Without --confirm it shows what it would delete, and changes nothing (exit code 2). After an interruption, run it
    again.
    """
    renewal, records = ask(_look(settings))
    if not as_json:
        _print(renewal, records)
    if confirmed != settings.app_id:
        asked_for = "" if confirmed is None else f"{confirmed} is not this system: "
        raise CommandError(
            f"{asked_for}nothing was changed: to delete these topics for good, add --confirm {settings.app_id}"
        )
    ask(_begin(settings, renewal, is_silent=as_json))
    if as_json:
        print_json(
            {
                "deleted": renewal.deleted,
                "created": [spec.name for spec in renewal.created],
                "kept": renewal.kept,
                "partitions": renewal.partition_count,
                "advice": AFTERWARDS,
            }
        )
        return 0
    click.echo("begin-anew: done. What is left to do:")
    for sentence in AFTERWARDS:
        click.echo(f"- {sentence}")
    return 0


async def _look(settings: Settings) -> tuple[Renewal, dict[str, int]]:
    """Find out what is to be done, and how many offsets each existing topic has."""
    from worker.administration.beginning_anew import renewal_of
    from worker.inspection.cluster import open_cluster
    from worker.inspection.topic_reader import TopicReader

    names = {topic: settings.topic(topic) for topic in Topic}
    async with open_cluster(settings.client_options()) as cluster:
        counts = await cluster.partition_counts()
        found = {name: counts[name] for name in names.values() if name in counts}
        await cluster.require_visible(name for name in names.values() if name not in found)
        await require_no_members(cluster, settings)
        renewal = renewal_of(names, found, await cluster.as_created(list(found)))
    records = {}
    async with TopicReader(settings.client_options()) as reader:
        for name, count in found.items():
            bounds = [await reader.bounds(name, partition) for partition in range(count)]
            records[name] = sum(of.end - of.start for of in bounds)
    return renewal, records


async def _begin(settings: Settings, renewal: Renewal, *, is_silent: bool) -> None:
    from worker.administration.beginning_anew import begin_anew
    from worker.inspection.cluster import open_cluster

    def report(sentence: str) -> None:
        if not is_silent:
            click.echo(f"begin-anew: {sentence}.")

    async with open_cluster(settings.client_options()) as cluster:
        await require_no_members(cluster, settings)
        await begin_anew(cluster, settings.engine_config(), renewal, report)


def _print(renewal: Renewal, records: dict[str, int]) -> None:
    rows: list[tuple[str, int | None, str]]
    rows = [(name, records[name], "deleted and created anew") for name in renewal.deleted]
    rows += [(name, None, "missing: created") for name in renewal.lacking]
    rows += [(name, records[name], "kept") for name in renewal.kept]
    rows += [
        (spec.name, None, "missing: created")
        for spec in renewal.created
        if spec.name not in (*renewal.deleted, *renewal.lacking)
    ]
    print_table(
        f"Beginning anew, with {renewal.partition_count} partitions", ("topic", "offsets", "what is done"), rows
    )
