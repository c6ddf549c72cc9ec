"""`stockfreeze verify`: check that journal, levels, statuses, dead letters and state agree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from worker.cli.asking import ask
from worker.cli.context import json_option, with_settings
from worker.cli.showing import examples, print_json, print_table
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.cli.verifying import Group
    from worker.verification.partition import PartitionReport

MEASURES = ("orders", "stock_keys", "movements", "dead_letters", "unread", "unsettled")
OUTCOMES = ("applied", "duplicate", "stale", "dead_lettered", "gaps")


@click.command(
    epilog=examples(
        "stockfreeze verify",
        "stockfreeze verify --json | jq .findings",
    )
)
@click.option(
    "--processes",
    type=click.IntRange(min=1),
    metavar="N",
    help="How many processes share the partitions; without it, one a processor where there is much to read.",
)
@json_option
@with_settings
def command(settings: Settings, as_json: bool, processes: int | None) -> int:  # noqa: FBT001 # click passes flags by name
    """Check that nothing was lost and nothing doubled, on the topics of a running or stopped system.

    In each partition, these must agree:

    \b
    - for each stock key: journal, level, state, and the open units of orders
    - each movement's balance with the balance before it
    - each status record with the state
    - outcomes and gaps with the offsets consumed, and the group's offsets
    - the number of dead letters with the outcomes
    - the topics with those that the state knows, without lost records

    A running system is judged as of one offset of its state. It reads only, and does not disturb the workers.

    Exit code 0: all agrees. 1: something differs, and is printed. 2: it could not be judged.
    """  # noqa: D301 # click's mark of lines to keep
    from worker.cli.verifying import verify_all

    reports, group = ask(verify_all(settings, processes))
    data = _as_data(reports) | {"group": group._asdict()}
    if as_json:
        print_json(data)
    else:
        _print(data)
        _warn_of_unknown_group(data, group)
    return 0 if data["ok"] else 1


def _as_data(reports: list[PartitionReport]) -> dict[str, Any]:
    from worker.verification.findings import merged

    counts, examples = merged(report.findings for report in reports)
    return {
        "ok": not counts,
        "partitions": len(reports),
        **{name: sum(getattr(report, name) for report in reports) for name in MEASURES},
        "records": {name: sum(report.outcomes.get(name, 0) for report in reports) for name in OUTCOMES},
        "found": counts,
        "findings": examples,
        "by_partition": [
            {
                "partition": report.partition,
                **{name: getattr(report, name) for name in MEASURES},
                "records": report.outcomes,
                "rounds": report.rounds,
                "found": sum(report.findings.counts.values()),
            }
            for report in reports
        ],
    }


def _print(data: dict[str, Any]) -> None:
    shown = [name for name in MEASURES if name != "unsettled" or data["unsettled"]]
    print_table(
        "What was read",
        ["partition", "wrong", *(name.replace("_", " ") for name in shown)],
        [(part["partition"], part["found"], *(part[name] for name in shown)) for part in data["by_partition"]],
    )
    print_table(
        "What became of the input records",
        ["partition", *(name.replace("_", "-") for name in OUTCOMES)],
        [(part["partition"], *(part["records"].get(name, 0) for name in OUTCOMES)) for part in data["by_partition"]],
    )
    if data["findings"]:
        print_table(
            "What differs",
            ("check", "partition", "what", "where", "how"),
            [(f.check.value, f.partition, f.subject, f.place, f.message) for f in data["findings"]],
        )
    click.echo(_sentence(data))


def _warn_of_unknown_group(data: dict[str, Any], group: Group) -> None:
    """Warn where the state has positions but the group has committed nothing: APP_ID may be wrong."""
    if group.known or not any(data["records"].values()):
        return
    others = f"{', '.join(group.others)} has read these inputs" if group.others else "Kafka forgets one without members"
    click.echo(
        f"verify: the group {group.id} is unknown, although the state has positions: is APP_ID right ({others})?",
        err=True,
    )


def _sentence(data: dict[str, Any]) -> str:
    if not data["ok"]:
        count = sum(data["found"].values())
        kinds = ", ".join(f"{number} of {check}" for check, number in data["found"].items())
        shown = "" if count == len(data["findings"]) else f"; {len(data['findings'])} of them are shown"
        return f"verify: {count} difference{'s' if count > 1 else ''} ({kinds}){shown}."
    notes = [
        f"; {data[name]} {meaning}"
        for name, meaning in (
            ("unread", "input offsets are not read yet"),
            ("unsettled", "keys and orders changed faster than they could be read and were not judged"),
        )
        if data[name]
    ]
    return (
        f"verify: nothing lost, nothing doubled: {data['movements']} movements of {data['stock_keys']} keys "
        f"in {data['partitions']} partitions agree with the state{''.join(notes)}."
    )
