"""`stockfreeze send`: check the events of a file, and send them if all are good."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import IO, TYPE_CHECKING

import click

from worker.cli.asking import OpenSystem, ask, open_system
from worker.cli.bars import CountingBar
from worker.cli.context import CommandError, json_option, with_settings
from worker.cli.showing import examples, print_json
from worker.cli.wording import counted
from worker.clock import Clock
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.administration.sending import Checking, LineSender, Sent
    from worker.cli.lines import Checked

WAIT_SECONDS = 60
POLL_SECONDS = 0.5
DAY_MS = 86_400_000
CONFIGS = ("cleanup.policy", "retention.ms", "message.timestamp.type", "message.timestamp.before.max.ms")


@dataclass(slots=True)
class Result:
    """The number of events sent, by topic, and the fate of those with timestamps of their own.

    `unread`: not read by the worker yet. `lost`: deleted by Kafka before they were read. None: not waited for.
    """

    sent: Mapping[str, int]
    unread: int | None = None
    lost: int | None = None
    workers: int | None = None


@click.command(
    epilog=examples(
        "stockfreeze send events.jsonl",
        "stockfreeze send --dry-run events.jsonl",
        "stockfreeze send --as-of-event open-orders.jsonl",
        "zcat events.jsonl.gz | stockfreeze send -",
    )
)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@click.option("--dry-run", is_flag=True, help="Only check; no Kafka is needed.")
@click.option("--as-of-event", is_flag=True, help="Give each record the timestamp of its occurred_at.")
@click.option(
    "--wait",
    type=click.IntRange(min=0),
    default=WAIT_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="With --as-of-event: how long to wait for a worker that reads nothing.",
)
@json_option
@with_settings
def command(settings: Settings, *, file: str, dry_run: bool, as_of_event: bool, wait: int, as_json: bool) -> int:
    """Send the events of FILE, one JSON object a line (- is stdin), each to the topic and partition it belongs to.

    All lines are checked first, as the worker checks them; if one is bad, nothing is sent. A file may be sent again
    within RETENTION_DAYS, because known events are duplicates. --as-of-event takes in open orders that are older than
    the retention. Kafka may delete such old records, so the command waits until the worker has read them.

    Exit code 1: a line is bad, or a record was deleted before it was read.
    """
    from worker.administration.sending import Checking
    from worker.cli.lines import check, opened

    checking = Checking(Clock().now_ms(), as_of_event, settings.policies())
    with opened(file) as lines:
        checked = check(lines, checking)
        if checked.bad_count:
            return _print_bad(checked, as_json=as_json)
        if checked.old:
            click.echo(
                f"send: {counted(checked.old, 'event')} older than RETENTION_DAYS: refused (too_late) unless their "
                "orders are known; --as-of-event takes them in.",
                err=True,
            )
        if dry_run:
            if as_json:
                events = {topic.value: len(times) for topic, times in checked.times_ms.items()}
                print_json({"events": events, "bad": [], "bad_count": 0})
            else:
                click.echo(f"send: {counted(checked.count, 'good event')}; nothing was sent.")
            return 0
        result = ask(_send(settings, lines, checked, checking, wait))
    if as_json:
        print_json(asdict(result))
    else:
        counts = ", ".join(f"{count} to {topic}" for topic, count in result.sent.items())
        click.echo(f"send: {counted(sum(result.sent.values()), 'event')} sent{': ' if counts else ''}{counts}.")
        _print_read(settings, result)
    return int(bool(result.lost))


def _print_bad(checked: Checked, *, as_json: bool) -> int:
    if as_json:
        print_json({"events": {}, "bad": checked.bad, "bad_count": checked.bad_count})
        return 1
    for bad in checked.bad:
        click.echo(f"send: line {bad.line}: {bad.reason}", err=True)
    shown = f", of which {len(checked.bad)} are shown" if checked.bad_count > len(checked.bad) else ""
    click.echo(f"send: {counted(checked.bad_count, 'bad line')}{shown}; nothing was sent.", err=True)
    return 1


def _print_read(settings: Settings, result: Result) -> None:
    if result.lost:
        click.echo(
            f"send: Kafka deleted {result.lost} of them before the worker read them: set retention.ms of the inputs to "
            "-1 and send the file again.",
            err=True,
        )
    if result.unread:
        why = "the worker has not come so far, see `stockfreeze status`" if result.workers else "no worker runs"
        click.echo(f"send: {result.unread} of them are not read yet: {why}.", err=True)
    elif result.unread == 0 and not result.lost:
        click.echo(f"send: the group {settings.app_id} has read them all.")


async def _send(
    settings: Settings, lines: IO[bytes], checked: Checked, checking: Checking, wait_seconds: int
) -> Result:
    from worker.administration.sending import open_sender

    async with open_system(settings) as system:
        if checking.as_of_event:
            await _warn_of_retention(system, checked, checking.now_ms)
        async with open_sender(settings.client_options(), settings.topic_prefix, system.partition_count) as sender:
            with CountingBar("send", "events", checked.count) as bar:
                await _send_lines(lines, checking, sender, bar)
        result = Result(sender.sent.by_topic())
        if checking.as_of_event and wait_seconds:
            await _await_read(system, sender.sent, result, wait_seconds)
        return result


async def _send_lines(lines: IO[bytes], checking: Checking, sender: LineSender, bar: CountingBar) -> None:
    from worker.administration.sending import BadLine
    from worker.cli.lines import lines_of

    for number, value in lines_of(lines):
        try:
            line = checking.check(value)
        except BadLine as why:
            await sender.finish()
            sent = sum(sender.sent.by_topic().values())
            raise CommandError(
                f"the file changed while it was sent: line {number}: {why} {sent} events were sent"
            ) from why
        await sender.send(line)
        bar.advance(1)
    await sender.finish()


async def _warn_of_retention(system: OpenSystem, checked: Checked, now_ms: int) -> None:
    """Warn of records that Kafka may delete immediately. Raises CommandError if it would not keep their timestamps."""
    names = {system.settings.topic(topic): topic for topic in checked.times_ms}
    for name, configs in (await system.cluster.configs(names, CONFIGS)).items():
        times = checked.times_ms[names[name]]
        if configs.get("message.timestamp.type") == "LogAppendTime":
            raise CommandError(f"{name} replaces every timestamp: set its message.timestamp.type to CreateTime")
        before_max_ms = int(configs.get("message.timestamp.before.max.ms", now_ms))
        if now_ms - min(times) > before_max_ms:
            raise CommandError(
                f"{name} refuses old timestamps: raise its message.timestamp.before.max.ms ({before_max_ms})"
            )
        retention_ms = int(configs.get("retention.ms", -1))
        if retention_ms < 0 or "delete" not in configs.get("cleanup.policy", "delete"):
            continue
        at_risk = sum(at_ms < now_ms - retention_ms for at_ms in times)
        if at_risk:
            click.echo(
                f"send: {at_risk} of {len(times)} records for {name} are older than it keeps them (retention.ms "
                f"{retention_ms}, {retention_ms / DAY_MS:.1f} days): Kafka deletes them as soon as it looks. Set its "
                "retention.ms to -1 until the worker has read them.",
                err=True,
            )


async def _await_read(system: OpenSystem, sent: Sent, result: Result, wait_seconds: int) -> None:
    """Wait until the group has read everything, as long as it goes on reading, and note what was deleted unread."""
    from worker.cli.answering import inputs_of
    from worker.inspection.members import workers_of

    clock, group = Clock(), system.settings.app_id
    moved_at = clock.monotonic()
    result.unread, result.lost = sum(result.sent.values()), 0
    while True:
        committed = await system.cluster.committed(group)
        starts = {
            (topic, partition): (await system.reader.bounds(topic, partition)).start
            for topic, partition in sent.offsets
        }
        lost = sent.lost(committed, starts)
        unread = sent.unread(committed) - lost
        result.lost = max(result.lost, lost)
        if unread < result.unread:
            result.unread, moved_at = unread, clock.monotonic()
        if not unread:
            return
        result.workers = len(await workers_of(system.cluster, group, inputs_of(system.settings)))
        if not result.workers or clock.monotonic() - moved_at > wait_seconds:
            return
        await asyncio.sleep(POLL_SECONDS)
