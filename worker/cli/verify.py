"""`stockfreeze verify`: the judge. Whether journal, levels, statuses, dead letters and state agree."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from worker.cli.asking import ask, asked
from worker.cli.context import json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.edges.verification.partition import PartitionReport

OUTCOMES = ("applied", "duplicate", "stale", "dead_lettered", "gaps")


@click.command(
    epilog=examples(
        "stockfreeze verify",
        "stockfreeze verify --json | jq .findings",
    )
)
@json_option
@with_settings
def command(settings: Settings, as_json: bool) -> int:  # noqa: FBT001 # click passes flags by name
    """Check that nothing was lost and nothing doubled, on the topics of a running or stopped system.

    Per partition: the journal's sums, the levels, the state and the open units of the orders are equal for every stock
    key; every movement's balance follows from the one before; every status record is what the state says; outcomes and
    gaps add up to the offsets consumed, the group's offsets agree, and so does the number of dead letters. A running
    system is judged as of one offset of its state. Nothing is written and nobody is disturbed.

    Exit code 0: all agrees. 1: something differs, and is printed. 2: it could not be judged.
    """
    reports = ask(_verify(settings))
    data = _as_data(reports)
    if as_json:
        print_json(data)
    else:
        _print(data)
    return 0 if data["ok"] else 1


async def _verify(settings: Settings) -> list[PartitionReport]:
    from worker.edges.verification.partition import System, verify_partition

    async with asked(settings) as system:
        verified = System(
            app_id=settings.app_id,
            prefix=settings.topic_prefix,
            partition_count=system.partition_count,
            new_processor=system.new_processor,
        )
        return [
            await verify_partition(system.cluster, system.reader, verified, partition)
            for partition in range(system.partition_count)
        ]


def _as_data(reports: list[PartitionReport]) -> dict[str, Any]:
    from worker.edges.verification.findings import merged

    counts, examples = merged(report.findings for report in reports)
    outcomes: Counter[str] = Counter()
    for report in reports:
        outcomes.update(report.outcomes)
    return {
        "ok": not counts,
        "partitions": len(reports),
        "orders": sum(report.orders for report in reports),
        "stock_keys": sum(report.stock_keys for report in reports),
        "movements": sum(report.movements for report in reports),
        "dead_letters": sum(report.dead_letters for report in reports),
        "records": {name: outcomes[name] for name in OUTCOMES},
        "unsettled": sum(report.unsettled for report in reports),
        "found": counts,
        "findings": examples,
        "by_partition": [
            {
                "partition": report.partition,
                "rounds": report.rounds,
                "orders": report.orders,
                "stock_keys": report.stock_keys,
                "movements": report.movements,
                "dead_letters": report.dead_letters,
                "unsettled": report.unsettled,
                "records": report.outcomes,
                "found": sum(report.findings.counts.values()),
            }
            for report in reports
        ],
    }


def _print(data: dict[str, Any]) -> None:
    print_table(
        "What was read",
        (
            "partition",
            "orders",
            "stock keys",
            "movements",
            "dead letters",
            *(name.replace("_", " ") for name in OUTCOMES),
            "wrong",
        ),
        [
            (
                part["partition"],
                part["orders"],
                part["stock_keys"],
                part["movements"],
                part["dead_letters"],
                *(part["records"].get(name, 0) for name in OUTCOMES),
                part["found"],
            )
            for part in data["by_partition"]
        ],
    )
    if data["findings"]:
        print_table(
            "What differs",
            ("check", "partition", "what", "where", "how"),
            [(f.check.value, f.partition, f.subject, f.place, f.message) for f in data["findings"]],
        )
    click.echo(_sentence(data))


def _sentence(data: dict[str, Any]) -> str:
    if not data["ok"]:
        kinds = ", ".join(f"{count} of {check}" for check, count in data["found"].items())
        shown = (
            ""
            if sum(data["found"].values()) == len(data["findings"])
            else f"; {len(data['findings'])} of them are shown"
        )
        return f"verify: {sum(data['found'].values())} differences ({kinds}){shown}."
    unsettled = (
        f" ({data['unsettled']} changed faster than they could be read and were not judged)"
        if data["unsettled"]
        else ""
    )
    return (
        f"verify: nothing lost, nothing doubled: {data['movements']} movements of {data['stock_keys']} keys "
        f"in {data['partitions']} partitions agree with the state{unsettled}."
    )
