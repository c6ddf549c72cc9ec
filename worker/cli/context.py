"""The options that all commands share, and the error that ends one: one sentence on stderr, exit code 2.

A command gets its settings from `with_settings`. It returns its exit code: 0, or 1 when it found something wrong. It
raises `CommandError` where it cannot do what was asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import click

if TYPE_CHECKING:
    from worker.settings import Settings

Arguments = ParamSpec("Arguments")

_CONFIG_KEY = "stockfreeze.config"


class CommandError(click.ClickException):
    """A command cannot do what was asked. The message is one sentence for the user; the exit code is 2."""

    exit_code = 2


def _remember_config(context: click.Context, _parameter: click.Parameter, value: Path | None) -> Path | None:
    """Keep the file for the command; `--config` of a command overrides that of `stockfreeze` itself."""
    if value is not None:
        context.meta[_CONFIG_KEY] = value
    return value


config_option = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    expose_value=False,
    callback=_remember_config,
    help="TOML file with settings; the environment (STOCKFREEZE_…) goes before it.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def with_settings(command: Callable[Concatenate[Settings, Arguments], int]) -> Callable[Arguments, int]:
    """Give a command `--config`, and the settings as its first argument; wrong settings raise CommandError."""

    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> int:
        return command(load(), *args, **kwargs)

    return config_option(update_wrapper(wrapper, command))


def config_file() -> Path | None:
    """Return the file that the running command was given with `--config`."""
    file: Path | None = click.get_current_context().meta.get(_CONFIG_KEY)
    return file


def load() -> Settings:
    """Load the settings from `--config` and the environment. Raises CommandError where one is wrong."""
    # Imported here, as it takes a good part of a second that `--help` need not wait for.
    from worker.configuration import load_settings
    from worker.settings import SettingsError

    try:
        return load_settings(config_file(), os.environ)
    except SettingsError as error:
        raise CommandError(str(error)) from error
