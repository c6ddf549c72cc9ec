"""`stockfreeze demo`: watch real orders go through a real worker on this machine."""

from __future__ import annotations

from pathlib import Path

import click

from worker.cli.context import CommandError
from worker.cli.showing import examples

EXIT_TERMINATED = 143
"""The exit code of a terminated command in shells: 128 plus the number of SIGTERM."""

PIPED_WIDTH = 120


@click.command(epilog=examples("stockfreeze demo", "stockfreeze demo --bootstrap-servers 127.0.0.1:9092 --stay"))
@click.option(
    "--bootstrap-servers",
    metavar="HOST:PORT",
    help="A Kafka to use instead of the embedded broker. The demo creates topics of its own there, and deletes them at "
    "the end. The other connection settings come from the environment, as for `run`.",
)
@click.option("--events", type=click.IntRange(100, 1_000_000), help="About how many events [default: the whole slice].")
@click.option("--seed", type=int, default=1, show_default=True, help="Another seed gives another story.")
@click.option("--stay", is_flag=True, help="Keep everything up at the end, until Ctrl-C, and print its addresses.")
@click.option("--svg", "picture", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
def command(bootstrap_servers: str | None, events: int | None, seed: int, stay: bool, picture: Path | None) -> int:  # noqa: FBT001 # click passes flags by name
    """Watch real orders go through a worker on this machine.

    The demo starts an embedded broker and a worker, and sends them a few days of orders of a real shop. Sub-orders,
    carriers and counts are derived from these orders. Some events come late, twice, too early or broken. At the end it
    compares the worker's results with its own arithmetic, and runs `stockfreeze verify`.

    Exit code 0: everything agrees. 1: something differs.
    """
    import asyncio
    import sys

    from rich.console import Console

    from worker.demo.broker import BrokerUnavailable
    from worker.demo.play import Options, play
    from worker.demo.system import DemoFailed
    from worker.settings import SettingsError

    console = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
    options = Options(bootstrap_servers, events, seed, stay, picture)
    try:
        return 0 if asyncio.run(play(options, console)) else 1
    except asyncio.CancelledError:
        return EXIT_TERMINATED
    except (BrokerUnavailable, SettingsError) as error:
        raise CommandError(str(error)) from error
    except DemoFailed as error:
        click.echo(f"stockfreeze demo: {error}", err=True)
        return 1
