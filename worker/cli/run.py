"""`stockfreeze run`: the worker, until it is told to stop."""

from __future__ import annotations

import click

from worker.cli.context import Refusal, with_settings
from worker.edges.pages import AddressInUse
from worker.settings import Settings, settings_table


class RunCommand(click.Command):
    """A command whose help lists all settings."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Write the settings, each with its default and meaning."""
        with formatter.section("Settings, from the environment or (in lower case, without prefix) from the file"):
            formatter.write_dl([(row.name, _described(row.default, row.description)) for row in settings_table()])


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

    try:
        return run_worker(settings)
    except AddressInUse as error:
        raise Refusal(str(error)) from error
