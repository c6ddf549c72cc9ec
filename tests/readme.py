"""The tables of the README that are made from the code. `python -m tests.readme` writes them anew.

Each stands between two markers, `<!-- settings -->` and `<!-- /settings -->`; `tests/unit/test_readme.py` compares.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click

from worker.cli.main import main
from worker.ops.metrics import METRICS
from worker.settings import ENVIRONMENT_PREFIX, settings_table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def tables() -> dict[str, str]:
    """Each generated table by the name of its markers, as Markdown."""
    return {
        "settings": _table(
            ("name", "default", "meaning"),
            (
                (_code(row.name.removeprefix(ENVIRONMENT_PREFIX)), _code(row.default), row.description)
                for row in settings_table()
            ),
        ),
        "metrics": _table(
            ("name", "kind", "labels", "meaning"),
            (
                (
                    _code(spec.exposed_name),
                    spec.kind,
                    ", ".join(_code(label) for label in spec.labels),
                    spec.help,
                )
                for spec in METRICS
            ),
        ),
        "commands": _table(
            ("command", "what it does"),
            ((_code(usage), command.get_short_help_str(200)) for usage, command in _commands("stockfreeze", main)),
        ),
    }


def between_markers(text: str, name: str) -> str:
    """What stands between the markers of a table. Raises ValueError where the markers are not there."""
    match = _markers(name).search(text)
    if match is None:
        raise ValueError(f"the README has no markers {name}")
    return match[2].strip()


def renewed(text: str) -> str:
    """The README with all its tables made anew."""
    for name, table in tables().items():
        text = _markers(name).sub(lambda match, table=table: f"{match[1]}\n{table}\n{match[3]}", text)  # type: ignore[misc] # the default binds the loop's value
    return text


def _markers(name: str) -> re.Pattern[str]:
    return re.compile(rf"(<!-- {name} -->)(.*?)(<!-- /{name} -->)", re.DOTALL)


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            sub_command = command.get_command(context, name)
            if sub_command is not None:
                yield from _commands(f"{path} {name}", sub_command)
        return
    arguments = [
        parameter.make_metavar(context) for parameter in command.params if isinstance(parameter, click.Argument)
    ]
    yield " ".join([path, *arguments]), command


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
