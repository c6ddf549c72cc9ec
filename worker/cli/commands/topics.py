"""`stockfreeze topics`: create the topics with the right configuration, or check those that exist.

`accept` and `republish`, for topics that were made anew, are in modules of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from schemas.topics import LEDGER, Topic
from worker.cli.asking import ask
from worker.cli.commands import topics_accept, topics_republish
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


@click.group(epilog=examples("stockfreeze topics create", "stockfreeze topics check"))
def command() -> None:
    """Create or check the topics, or go on after one was deleted and created again."""


command.add_command(topics_accept.command)
command.add_command(topics_republish.command)


@command.command(
    "create",
    short_help="Create the topics that are missing.",
    epilog=examples(
        "STOCKFREEZE_PARTITIONS=12 STOCKFREEZE_REPLICATION_FACTOR=3 stockfreeze topics create",
        "stockfreeze topics create --config stockfreeze.toml",
    ),
)
@json_option
@with_settings
def create(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Create the topics that are missing, with PARTITIONS partitions and REPLICATION_FACTOR copies.

    Levels, statuses and state are compacted; all others keep their records for ever. A record of an output may have
    8 MiB, of an input 4 MiB. A write waits for all copies but one.

    Topics that exist stay as they are. If one of them has another partition count, nothing is created and the exit code
    is 1. If the system has worked already, a missing state or journal is not created, because the books would be wrong.
    For other topics, the command prints what to do next.
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
        return "the topics that exist have different partition counts: `stockfreeze topics check` shows which."
    found = ", ".join(f"{name} has {count}" for name, count in other.items())
    if len(other) == len(Topic) and len(set(other.values())) == 1:
        found = f"all topics have {next(iter(other.values()))}"
    return (
        f"PARTITIONS is {settings.partitions}, but {found}: set PARTITIONS to that count, or choose another "
        "TOPIC_PREFIX and APP_ID."
    )


@command.command(
    "check",
    short_help="Check topics and their configuration.",
    epilog=examples(
        "stockfreeze topics check",
        "stockfreeze topics check --json",
    ),
)
@json_option
@with_settings
def check(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Check that all topics exist, with equal partition counts and the configuration they need.

    The partition count must also be the one that the state was built with, and the topics those that the state knows.
    Exit code 1 when something is wrong; each line explains what to do.
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
    """Create the missing topics.

    Returns the topics that existed, those that have another partition count, and advice about the new ones.
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
    """Find out whether the system has worked; the group is asked only where the topics do not show it."""
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
    inputs = {settings.topic(topic) for topic in LEDGER.inputs}
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
    recorded, breaches = await _read_state(settings, found, ids)
    return [
        {
            "name": report.facts.name,
            "partitions": report.facts.partition_count,
            "configs": dict(report.facts.configs),
            "problems": [*report.problems, *breaches.get(report.facts.name, ())],
        }
        for report in judge_topics(facts, recorded)
    ]


async def _read_state(
    settings: Settings, found: Mapping[str, int], ids: Mapping[str, bytes]
) -> tuple[dict[int, int], dict[str, list[str]]]:
    """Read the partition count that each partition of the state has recorded, and what does not fit, by topic."""
    from worker.cli.bars import ReadingBar
    from worker.inspection.topic_reader import TopicReader

    recorded: dict[int, int] = {}
    breaches: dict[str, list[str]] = {}
    with ReadingBar() as bar:
        async with TopicReader(settings.client_options(), bar) as reader:
            for partition in range(found.get(settings.topic(Topic.STATE), 0)):
                count, of_partition = await _judged(settings, reader, partition, found, ids)
                if of_partition:
                    # On a running system, the read may have come between two transactions.
                    await asyncio.sleep(SETTLE_SECONDS)
                    count, of_partition = await _judged(settings, reader, partition, found, ids)
                if count is not None:
                    recorded[partition] = count
                for breach in of_partition:
                    breaches.setdefault(breach.topic, []).append(breach.sentence)
    # All partitions have the same way out.
    return recorded, {
        topic: [sentences[0] if len(sentences) == 1 else f"{sentences[0]} (and {len(sentences) - 1} partitions more)"]
        for topic, sentences in breaches.items()
    }


async def _judged(
    settings: Settings, reader: TopicReader, partition: int, found: Mapping[str, int], ids: Mapping[str, bytes]
) -> tuple[int | None, list[Breach]]:
    """Read the partition count that a partition of the state has recorded, and what does not fit the state."""
    from worker.inspection.belonging import Belonging, JournalSeen
    from worker.inspection.state_reader import read_engine_state
    from worker.stream.start.guards import Bounds, Guards

    state, journal = settings.topic(Topic.STATE), settings.topic(Topic.MOVEMENTS)
    engine = await read_engine_state(reader, state, partition)
    inputs = tuple(settings.topic(topic) for topic in LEDGER.inputs)
    if any(found.get(name, 0) <= partition for name in (*inputs, journal)):
        return engine.partition_count, []  # `judge_topics` reports topics that are missing
    bounds = await reader.bounds(journal, partition)
    belonging = Belonging(reader, Guards(partition, inputs, journal, state), ids)
    return engine.partition_count, await belonging.breaches(engine, JournalSeen(Bounds(bounds.start, bounds.end), None))
