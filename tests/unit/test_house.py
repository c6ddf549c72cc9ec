"""How the repository is laid out: what a reader may rely on when looking for a test, a module or a rule."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("worker", "schemas", "deploy", "tests")
NAME_CHARACTERS_MAX = 70
LINES_MAX = 400
FUNCTION_LINES_MAX = 60

MIRRORS_NO_MODULE = {
    "tests/unit/demo/test_story_through_the_rules.py": "the demo's data and the ledger together",
    "tests/unit/deploy/test_alerts.py": "deploy/prometheus",
    "tests/unit/deploy/test_versions.py": "what is pinned in more than one file",
    "tests/unit/schemas/test_generated_files.py": "schemas/json and schemas/asyncapi.yaml",
    "tests/unit/stream/kafka/test_producer_records.py": "records of worker/stream/kafka/producer.py",
    "tests/unit/stream/test_task_states.py": "the states of worker/stream/task.py",
    "tests/unit/test_house.py": "the repository as a whole",
    "tests/unit/docs/test_extending.py": "docs/extending.md",
    "tests/unit/docs/test_links.py": "links in all pages",
    "tests/unit/docs/test_shape.py": "the shape of all pages",
    "tests/unit/docs/test_snippets.py": "snippets in all pages",
    "tests/unit/verification/test_moving_system.py": "verification while the worker goes on",
}
"""Unit tests whose subject is no module of their name, and what it is instead."""

MODULES_OF_ANY_NAME = {"__init__.py": "packages", "__main__.py": "programs"}

SHARED_NAMES = {"ledger.py"}
"""The ledger as rules (`domain`) and as what the role of that name does with a record (`processors`)."""


class Function(NamedTuple):
    """A function, with the number of its lines."""

    name: str
    line: int
    lines: int


def sources(*folders: str) -> Iterator[Path]:
    """The Python files of these folders, from the repository's root."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT)


@cache
def functions(path: Path) -> tuple[Function, ...]:
    """All functions of a file, also those inside of others."""
    return tuple(
        Function(node.name, node.lineno, (node.end_lineno or node.lineno) - node.lineno + 1)
        for node in ast.walk(ast.parse((ROOT / path).read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def test_the_name_of_a_test_has_at_most_70_characters() -> None:
    long = [
        f"{path}: {function.name}"
        for path in sources("tests")
        if path.name.startswith("test_")
        for function in functions(path)
        if function.name.startswith("test_") and len(function.name) > NAME_CHARACTERS_MAX
    ]
    assert not long, "\n".join(long)


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_file_has_at_most_400_lines(folder: str) -> None:
    long = {str(path): count for path in sources(folder) if (count := _lines(path)) > LINES_MAX}
    assert not long, long


@pytest.mark.parametrize("folder", PACKAGES)
def test_a_function_has_at_most_60_lines(folder: str) -> None:
    long = [
        f"{path}:{function.line} {function.name}"
        for path in sources(folder)
        for function in functions(path)
        if function.lines > FUNCTION_LINES_MAX
    ]
    assert not long, "\n".join(long)


def test_no_two_modules_of_the_worker_have_the_same_name() -> None:
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in sources("worker"):
        # A command is named like what it runs.
        if path.name not in MODULES_OF_ANY_NAME and not path.is_relative_to("worker/cli/commands"):
            by_name[path.name].append(str(path))
    shared = {name: paths for name, paths in by_name.items() if len(paths) > 1}
    assert shared.keys() <= SHARED_NAMES, shared


def test_a_unit_test_lies_where_its_module_lies() -> None:
    """`tests/unit/stream/test_feed.py` tests `worker/stream/feed.py`, as an example."""
    strays = []
    for path in sources("tests/unit"):
        if path.name.startswith("test_") and str(path) not in MIRRORS_NO_MODULE:
            inside = path.relative_to("tests/unit")
            module = inside.with_name(inside.name.removeprefix("test_"))
            places = (Path("worker") / module, module, Path("tests") / module)
            if not any((ROOT / place).exists() or (ROOT / place.with_suffix("")).is_dir() for place in places):
                strays.append(str(path))
    assert not strays, "\n".join(strays)


def test_every_exception_names_something_that_is_there() -> None:
    for path in MIRRORS_NO_MODULE:
        assert (ROOT / path).exists(), path


def _lines(path: Path) -> int:
    return len((ROOT / path).read_text().splitlines())
