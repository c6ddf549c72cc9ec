"""`stockfreeze run`: the worker, until it is told to stop."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import click

from worker.cli.context import CommandError, with_settings

if TYPE_CHECKING:
    from worker.settings import Settings


class RunCommand(click.Command):
    """A command whose help lists all settings, and that may be told to stop before it has begun."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run. What the worker needs takes a second to import; as process 1 of a container it must hear SIGTERM then,
        or the kernel drops it.
        """
        signal.signal(signal.SIGTERM, _leave)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the settings, each with its default and meaning."""
        from worker.settings import settings_table

        with formatter.section("Settings, from the environment or (in lower case, without prefix) from the file"):
            formatter.write_dl([(row.name, _described(row.default, row.description)) for row in settings_table()])


def _leave(_number: int, _frame: object) -> None:
    """Nothing has begun. Not by an exception: what is just being imported could take it for a failure of its own."""
    os._exit(0)


def _described(default: str, description: str) -> str:
    text = description.replace("`", "")
    return f"{text} [{default}]" if default else text


@click.command(cls=RunCommand)
@with_settings
def command(settings: Settings) -> int:
    """Run the worker until SIGTERM or SIGINT.

    The log goes to stderr; health, metrics and queries are pages of the address WEB_HOST:WEB_PORT.
    """
    from worker.app import run_worker
    from worker.web.server import AddressInUse

    try:
        return run_worker(settings)
    except AddressInUse as error:
        raise CommandError(str(error)) from error
