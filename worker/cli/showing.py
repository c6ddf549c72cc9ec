"""Printing a command's answer: JSON for programs, tables for people."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

import click
import msgspec
from rich.console import Console
from rich.text import Text

from worker.cli.tables import INDENT, field_lines, table_lines

_CONTROL_CHARACTER = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def examples(*commands: str) -> str:
    """Format the end of a command's help: examples, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def print_json(data: object) -> None:
    """Print a value (dataclasses, named tuples' dicts, enums, plain values) as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2))


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under a title. Numbers are aligned to the right; None is shown as `-`.

    On a terminal, columns without room stand below their row, so the most wanted columns should come first. Elsewhere
    each row is one line.
    """
    held = [list(row) for row in rows]
    right = [_is_number(row[index] for row in held) for index in range(len(columns))]
    header, *lines = table_lines(columns, [[_shown(cell) for cell in row] for row in held], right=right, width=_width())
    _print(title, Text(header, "dim"), *map(Text, lines or [f"{INDENT}none"]))


def print_fields(title: str, fields: Iterable[tuple[str, object]]) -> None:
    """Print what is known of one thing under a title: a name and its value a line; None is shown as `-`."""
    _print(title, *map(Text, field_lines([(name, _shown(value)) for name, value in fields], width=_width())))


def visible(text: str) -> str:
    """A text with its control characters, but for tabs and line ends, as escapes.

    Otherwise a value from a record could move the cursor of the terminal that shows it.
    """
    return _CONTROL_CHARACTER.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _is_number(column: Iterable[object]) -> bool:
    values = [value for value in column if value is not None]
    return bool(values) and all(isinstance(value, int) for value in values)


def _width() -> int | None:
    """Return the columns of the terminal; None: stdout is none, so rows are not broken."""
    return Console().width if sys.stdout.isatty() else None


def _print(title: str, *lines: Text) -> None:
    console = Console(markup=False, highlight=False)
    # The terminal breaks long lines by itself. A line end of ours would become a part of an id that is copied.
    for line in (Text(visible(title), "bold"), *lines):
        console.print(line, soft_wrap=True)
    console.print()


def _shown(cell: object) -> str | None:
    if cell is None:
        return None
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    return visible(str(cell)).replace("\n", "\\n").replace("\t", "\\t")
