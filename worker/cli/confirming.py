"""Asking the user before a command changes what cannot be changed back."""

from __future__ import annotations

import sys

import click

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def require_terminal(*, yes: bool) -> None:
    """Raise UsageError where the command must ask (no `yes`), but stdin is no terminal."""
    if not yes and not sys.stdin.isatty():
        raise click.UsageError("nothing was changed, because there is no terminal to ask at: run it again with --yes")


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless `yes`. Raises click.Abort for any other answer than yes, and UsageError without a terminal."""
    require_terminal(yes=yes)
    if not yes:
        click.confirm(question, abort=True, err=True)
