"""`stockfreeze topics republish`: write levels and statuses anew, after one of their topics was made anew."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from schemas.topics import Topic
from worker.cli.asking import ask, open_stopped_system
from worker.cli.bars import ReadingBar
from worker.cli.context import json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.administration.republishing import RewrittenPartition


@click.command(
    "republish",
    short_help="Write levels and statuses anew.",
    epilog=examples(
        "stockfreeze topics republish",
        "stockfreeze topics republish --json",
    ),
)
@json_option
@with_settings
def command(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Write the level of every stock key and the status of every order anew, from the state.

    Use it after a topic of levels or statuses was lost and created again, because it has only later changes. Stop all
    workers first. State and journal stay as they are. Orders that have left by retention get no status, because the
    state keeps only their ids. You may run it again at any time.
    """
    done = ask(_republish(settings), settings)
    if as_json:
        print_json({"partitions": [each._asdict() for each in done]})
        return 0
    print_table("Written", ("partition", "levels", "statuses"), done)
    click.echo(
        f"topics: {sum(each.levels for each in done)} levels and {sum(each.statuses for each in done)} statuses "
        "written anew. Start the workers."
    )
    return 0


async def _republish(settings: Settings) -> list[RewrittenPartition]:
    from worker.administration.republishing import Republisher
    from worker.inspection.state_reader import processors

    levels = settings.topic(Topic.LEVELS)
    async with open_stopped_system(settings) as (cluster, partition_count):
        ids = await cluster.ids([settings.topic(topic) for topic in Topic])
        new_processor = processors(partition_count, settings.topic_prefix, settings.policies())
        republisher = Republisher(settings.engine_config(), settings.topic_prefix, ids, new_processor)
        try:
            with ReadingBar() as bar:
                return [
                    await republisher.republish(number, partition_count, partial(_show, bar, levels, number))
                    for number in range(partition_count)
                ]
        finally:
            await republisher.close()


def _show(bar: ReadingBar, topic: str, partition: int, written: int, total: int) -> None:
    bar(topic, partition, 0, written, total)
