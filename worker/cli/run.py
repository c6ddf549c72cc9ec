"""`stockfreeze run`: the worker, until it is told to stop."""

from __future__ import annotations

import click

from worker.cli.context import with_settings
from worker.settings import Settings


@click.command()
@with_settings
def command(settings: Settings) -> int:
    """Run the worker."""
    from worker.app import run_worker

    return run_worker(settings)
