"""Asking before a command changes what cannot be changed back."""

from __future__ import annotations

import sys

import click

from worker.cli.context import Refusal

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


def confirm(question: str, *, yes: bool) -> None:
    """Go on where `yes` is given, or somebody at a terminal says so; else raise Refusal or click.Abort."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Refusal("nothing was changed, as nobody can be asked here: run it again with --yes")
    click.confirm(question, abort=True, err=True)
