"""`stockfreeze topics`: create the topics as they must be, or say what is wrong with those that are there.

`accept` and `republish`, for topics that were made anew, are in modules of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from schemas.topics import INPUTS, Topic
from worker.cli.asking import ask
from worker.cli.commands import topics_accept as accepting
from worker.cli.commands import topics_republish as republishing
from worker.cli.context import CommandError, json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.inspection.admin import Used
    from worker.inspection.cluster import Cluster
    from worker.inspection.topic_reader import TopicReader
    from worker.stream.start.guards import Breach

SETTLE_SECONDS = 0.5
"""Longer than the markers of a transaction take to be written."""


@click.group()
def command() -> None:
    """Create or check the topics, or go on with those that were made anew."""


command.add_command(accepting.command)
command.add_command(republishing.command)


@command.command(
    "create",
    epilog=examples(
        "STOCKFREEZE_PARTITIONS=12 STOCKFREEZE_REPLICATION_FACTOR=3 stockfreeze topics create",
        "stockfreeze topics create --config stockfreeze.toml",
    ),
)
@json_option
@with_settings
def create(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Create the topics that are missing, with PARTITIONS partitions and REPLICATION_FACTOR copies.

    Levels, status and state are compacted; all others keep their records for ever. Outputs may be 8 MiB a record,
    inputs 4 MiB. A write waits for all copies but one. Topics that exist stay as they are; when one of them has another
    partition count, nothing is created and the exit code is 1. Of a system that has worked, the state or the journal is
    never created alone; what to do about other topics that were created beside them is printed.
    """
    existed, other, advice = ask(_create(settings))
    if other:
        click.echo(f"stockfreeze: {_other_counts(settings, existed, other)}", err=True)
        return 1
    created = [name for topic in Topic if (name := settings.topic(topic)) not in existed]
    if as_json:
        print_json(
            {"created": created, "existed": sorted(existed), "partitions": settings.partitions, "advice": advice}
        )
        return 0
    rows = [(name, "existed" if name in existed else "created") for topic in Topic for name in [settings.topic(topic)]]
    print_table(f"Topics with {settings.partitions} partitions", ("topic", "what was done"), rows)
    for sentence in advice:
        click.echo(f"topics: {sentence}")
    return 0


def _other_counts(settings: Settings, existed: set[str], other: dict[str, int]) -> str:
    if len(other) < len(existed) or len(set(other.values())) > 1:  # no PARTITIONS would suit them all
        return "the topics that exist have different partition counts: `stockfreeze topics check` says which are wrong."
    found = ", ".join(f"{name} has {count}" for name, count in other.items())
    if len(other) == len(Topic) and len(set(other.values())) == 1:
        found = f"all topics have {next(iter(other.values()))}"
    return (
        f"PARTITIONS is {settings.partitions}, but {found}: set PARTITIONS to that count, or choose another "
        "TOPIC_PREFIX and APP_ID."
    )


@command.command(
    "check",
    epilog=examples(
        "stockfreeze topics check",
        "stockfreeze topics check --json",
    ),
)
@json_option
@with_settings
def check(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Check that all topics exist, with equal partition counts and the configuration they need.

    The partition count must also be the one that the state was built with, and topics those that it knows.
    Exit code 1 when something is wrong; each line says what to do.
    """
    reports = ask(_check(settings))
    is_wrong = any(report["problems"] for report in reports)
    if as_json:
        print_json({"ok": not is_wrong, "topics": reports})
        return int(is_wrong)
    print_table(
        "Topics",
        ("topic", "partitions", "cleanup", "record bytes", "what is wrong"),
        [
            (
                report["name"],
                report["partitions"],
                report["configs"].get("cleanup.policy"),
                report["configs"].get("max.message.bytes"),
                "; ".join(report["problems"]) or None,
            )
            for report in reports
        ],
    )
    click.echo("topics: something is wrong, see the table." if is_wrong else "topics: all is well.")
    return int(is_wrong)


async def _create(settings: Settings) -> tuple[set[str], dict[str, int], list[str]]:
    """Create what is missing. Returns the topics that existed, those that have another partition count, and what to do
    about those that are new.
    """
    from worker.inspection.admin import (
        Used,
        advice_after_creation,
        other_partition_counts,
        refusal_to_create,
        spec_of,
    )
    from worker.inspection.cluster import open_cluster

    names = {settings.topic(topic): topic for topic in Topic}
    async with open_cluster(settings.client_options()) as cluster:
        found = {name: count for name, count in (await cluster.partition_counts()).items() if name in names}
        await cluster.require_visible(name for name in names if name not in found)
        if other := other_partition_counts(found, settings.partitions):
            return set(found), other, []
        missing = {topic: name for name, topic in names.items() if name not in found}
        # Where nothing is there, or all, nothing can be in the way.
        used = await _use_of(settings, cluster, missing) if found and missing else Used(frozenset(), has_offsets=False)
        if refusal := refusal_to_create(missing, used):
            raise CommandError(refusal)
        specs = [
            spec_of(topic, name, settings.partitions, settings.replication_factor) for topic, name in missing.items()
        ]
        made_meanwhile, counts = await cluster.create(specs)
    created = {topic: name for topic, name in missing.items() if name not in made_meanwhile}
    other = other_partition_counts(counts, settings.partitions)
    return {*found, *made_meanwhile}, other, advice_after_creation(created, used)


async def _use_of(settings: Settings, cluster: Cluster, missing: Mapping[Topic, str]) -> Used:
    """Whether the system has worked. The group is asked only where it matters."""
    from worker.inspection.admin import BOOKS, Used
    from worker.inspection.topic_reader import TopicReader

    with_records = set()
    async with TopicReader(settings.client_options()) as reader:
        for topic in BOOKS:
            if topic not in missing:
                bounds = [await reader.bounds(settings.topic(topic), number) for number in range(settings.partitions)]
                if any(of.end > 0 for of in bounds):
                    with_records.add(topic)
    is_asked = not with_records and any(topic in missing for topic in BOOKS)
    offsets = await cluster.committed(settings.app_id) if is_asked else {}
    inputs = {settings.topic(topic) for topic in INPUTS}
    return Used(frozenset(with_records), has_offsets=any(topic in inputs for topic, _ in offsets))


async def _check(settings: Settings) -> list[dict[str, Any]]:
    from worker.inspection.admin import CHECKED_CONFIGS, TopicFacts, judge_topics
    from worker.inspection.cluster import open_cluster

    async with open_cluster(settings.client_options()) as cluster:
        found = await cluster.partition_counts()
        present = [name for topic in Topic if (name := settings.topic(topic)) in found]
        hidden = await cluster.hidden(name for topic in Topic if (name := settings.topic(topic)) not in found)
        configs = await cluster.configs(present, CHECKED_CONFIGS)
        ids = await cluster.ids(present)
    facts = [
        TopicFacts(topic, name, found.get(name), configs.get(name, {}), is_hidden=name in hidden)
        for topic in Topic
        for name in [settings.topic(topic)]
    ]
    recorded, breaches = await _said_by_state(settings, found, ids)
    return [
        {
            "name": report.facts.name,
            "partitions": report.facts.partition_count,
            "configs": dict(report.facts.configs),
            "problems": [*report.problems, *breaches.get(report.facts.name, ())],
        }
        for report in judge_topics(facts, recorded)
    ]


async def _said_by_state(
    settings: Settings, found: Mapping[str, int], ids: Mapping[str, bytes]
) -> tuple[dict[int, int], dict[str, list[str]]]:
    """The partition counts that the state was built with, where it has recorded one; and, by topic, in which partitions
    it is not what the state knows.
    """
    from worker.cli.bars import ReadingBar
    from worker.inspection.topic_reader import TopicReader

    recorded: dict[int, int] = {}
    breaches: dict[str, list[str]] = {}
    with ReadingBar() as bar:
        async with TopicReader(settings.client_options(), bar) as reader:
            for partition in range(found.get(settings.topic(Topic.STATE), 0)):
                count, of_partition = await _judged(settings, reader, partition, found, ids)
                if of_partition:
                    # A system that runs may have been caught between two transactions.
                    await asyncio.sleep(SETTLE_SECONDS)
                    count, of_partition = await _judged(settings, reader, partition, found, ids)
                if count is not None:
                    recorded[partition] = count
                for breach in of_partition:
                    breaches.setdefault(breach.topic, []).append(breach.sentence)
    # The way out is one for all partitions.
    return recorded, {
        topic: [sentences[0] if len(sentences) == 1 else f"{sentences[0]} (and {len(sentences) - 1} partitions more)"]
        for topic, sentences in breaches.items()
    }


async def _judged(
    settings: Settings, reader: TopicReader, partition: int, found: Mapping[str, int], ids: Mapping[str, bytes]
) -> tuple[int | None, list[Breach]]:
    """The partition count that a partition of the state was built with, and what does not belong to it."""
    from worker.inspection.belonging import Belonging, JournalSeen
    from worker.inspection.state_reader import read_said
    from worker.stream.start.guards import Bounds, Guards

    state, journal = settings.topic(Topic.STATE), settings.topic(Topic.MOVEMENTS)
    said = await read_said(reader, state, partition)
    inputs = tuple(settings.topic(topic) for topic in INPUTS)
    if any(found.get(name, 0) <= partition for name in (*inputs, journal)):
        return said.partition_count, []  # there is more to be said of topics that are not there
    bounds = await reader.bounds(journal, partition)
    belonging = Belonging(reader, Guards(partition, inputs, journal, state), ids)
    return said.partition_count, await belonging.breaches(said, JournalSeen(Bounds(bounds.start, bounds.end), None))
