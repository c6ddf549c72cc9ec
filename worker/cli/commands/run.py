"""`stockfreeze run`: the worker, until a signal stops it."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import click

from worker.cli.context import CommandError, with_settings
from worker.cli.showing import examples

if TYPE_CHECKING:
    from worker.settings import Settings


class RunCommand(click.Command):
    """A command whose help lists all settings, and that a signal may stop before it has begun."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Handle SIGTERM from the start, then run.

        The imports take a second. Without a handler, the kernel drops the signal for process 1 of a container.
        """
        signal.signal(signal.SIGTERM, _leave)
        return super().invoke(ctx)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and the settings, each with its default and meaning."""
        from worker.settings import settings_table

        super().format_epilog(ctx, formatter)
        with formatter.section("Settings, from the environment or (in lower case, without prefix) from the file"):
            formatter.write_dl([(row.name, _described(row.default, row.description)) for row in settings_table()])


def _leave(_number: int, _frame: object) -> None:
    """Leave immediately, because nothing has begun. A module that is being imported could catch an exception."""
    os._exit(0)


def _described(default: str, description: str) -> str:
    text = description.replace("`", "")
    return f"{text} [{default}]" if default else text


@click.command(
    cls=RunCommand,
    epilog=examples("stockfreeze run", "stockfreeze run --config stockfreeze.toml", "stockfreeze run --roles ledger"),
)
@click.option("--roles", metavar="ROLES", help="What to do, separated by commas, instead of the setting ROLES.")
@with_settings
def command(settings: Settings, *, roles: str | None) -> int:
    """Run the worker until SIGTERM or SIGINT.

    It logs to stderr, and serves health, metrics and queries over HTTP at WEB_HOST:WEB_PORT.
    """
    from worker.settings import SettingsError

    try:
        settings = settings if roles is None else settings.with_roles(roles)
    except SettingsError as error:
        raise CommandError(str(error)) from error

    from worker.app import run_worker
    from worker.web.server import AddressInUse

    try:
        return run_worker(settings)
    except AddressInUse as error:
        raise CommandError(str(error)) from error
