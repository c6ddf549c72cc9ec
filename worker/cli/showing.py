"""How the commands show an answer: JSON for programs, tables for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

PIPED_WIDTH = 200
"""Columns of a table that does not go to a terminal: what reads it there should not find cells cut."""

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def examples(*commands: str) -> str:
    """The end of a command's help: calls of it, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def print_json(data: object) -> None:
    """Print a value (dataclasses, named tuples' dicts, enums, plain values) as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2))


def console() -> Console:
    """Where tables go: stdout, without markup, as wide as the terminal."""
    return Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a title. Numbers stand right; None is shown as `-`."""
    held = [list(row) for row in rows]
    table = Table(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(columns):
        is_number = bool(held) and all(isinstance(row[index], int) or row[index] is None for row in held)
        table.add_column(name, justify="right" if is_number else "left", overflow="fold")
    for row in held:
        table.add_row(*(cell if isinstance(cell, Text) else Text(_shown(cell)) for cell in row))
    console().print(table)


def visible(text: str) -> str:
    """A text with its control characters, but for tabs and line ends, as escapes.

    What somebody sent must not move the cursor of the terminal that it is looked at in.
    """
    return _CONTROL_CHARACTER.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _shown(cell: object) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return visible(str(cell))
