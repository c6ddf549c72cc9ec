"""`stockfreeze run`: the worker, until a signal stops it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import click

from worker.cli.context import CommandError, with_settings

if TYPE_CHECKING:
    from worker.settings import Settings


class RunCommand(click.Command):
    """A command whose help lists all settings, and that leaves with 0 if a signal comes while it imports."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Handle SIGTERM from the start, then run.

        The imports take a second. Without a handler, the kernel drops the signal for process 1 of a container.
        """
        signal.signal(signal.SIGTERM, _leave)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write examples, and the settings with defaults and meanings."""
        from worker.settings import settings_table

        with formatter.section("Examples"):
            formatter.write_text("stockfreeze run")
            formatter.write_text("stockfreeze run --config stockfreeze.toml")
            formatter.write_text("STOCKFREEZE_BOOTSTRAP_SERVERS=kafka:9092 stockfreeze run")

        with formatter.section("Settings, from the environment or (in lower case, without prefix) from the file"):
            formatter.write_dl([(row.name, _described(row.default, row.description)) for row in settings_table()])


def _leave(_number: int, _frame: object) -> None:
    """Leave at once, because nothing has begun. A module that is being imported could catch an exception."""
    os._exit(0)


def _described(default: str, description: str) -> str:
    text = description.replace("`", "")
    return f"{text} [{default}]" if default else text


@click.command(cls=RunCommand)
@with_settings
def command(settings: Settings) -> int:
    """Run the worker until SIGTERM or SIGINT.

    It logs to stderr, and serves health, metrics and queries over HTTP at WEB_HOST:WEB_PORT.
    """
    from worker.app import run_worker
    from worker.web.server import AddressInUse

    try:
        return run_worker(settings)
    except AddressInUse as error:
        raise CommandError(str(error)) from error
