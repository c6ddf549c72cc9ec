"""What the pages show can be used: events are valid, Python parses, commands and make targets exist."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from schemas.catalogue import TOPIC_OF
from schemas.decoding import decode
from schemas.topics import LEDGER
from tests.unit.docs.pages import DOCS, PAGES, ROOT, blocks, name_of, text_of
from worker.cli.main import main

EVENT = re.compile(r'^\{"type": .*\}$', re.MULTILINE)
VARIABLES = {"${DAY}": "2026-11-30", "$NOW": "2026-11-30T12:00:00Z"}
COMMAND = re.compile(r"^(?:\$ )?(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?stockfreeze(?: (.*))?$")
CODE = re.compile(r"`((?:stockfreeze|make) [^`]+)`")
PLACEHOLDER = re.compile(r"\b[A-Z][A-Z_]+\b")


def events(page: Path) -> list[str]:
    """The events in a page's blocks, with the shell's variables filled in."""
    found = [event for block in blocks(text_of(page)) for event in EVENT.findall(block.text)]
    for variable, value in VARIABLES.items():
        found = [event.replace(variable, value) for event in found]
    return found


def lines_of_shell(page: Path) -> Iterator[str]:
    """The lines of a page that a reader could type: those of blocks, and code within the text."""
    text = text_of(page)
    for block in blocks(text):
        if block.language in ("", "sh"):
            yield from block.text.splitlines()
    yield from (" ".join(code.split()) for code in CODE.findall(text))


@pytest.mark.parametrize("page", [page for page in PAGES if events(page)], ids=name_of)
def test_every_event_is_valid(page: Path) -> None:
    for event in events(page):
        topic = TOPIC_OF[json.loads(event)["type"]]
        assert topic in LEDGER.inputs
        assert decode(topic, event.encode()).event.account_id == "acme"


def test_the_pages_for_beginners_show_events() -> None:
    assert [name_of(page) for page in PAGES if events(page)] == ["README.md", "docs/connect-erp.md", "docs/tutorial.md"]


def test_every_python_snippet_parses() -> None:
    snippets = [block.text for page in PAGES for block in blocks(text_of(page)) if block.language == "python"]
    assert len(snippets) >= 4
    for snippet in snippets:
        ast.parse(snippet)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists_with_its_options(page: Path) -> None:
    for line in lines_of_shell(page):
        found = COMMAND.match(line.strip())
        if found is None or (found[1] or "").startswith("at "):  # the first line of `status`
            continue
        words = shlex.split(re.sub(r" (<<|\||#).*", "", found[1] or ""))
        assert_is_command([word for word in words if word not in ("[OPTIONS]", "…")], line)


def assert_is_command(words: list[str], line: str) -> None:
    """Hold the words of a call against the commands: the name must exist, and so must each option."""
    command: click.Command = main
    context = click.Context(main)
    while words and isinstance(command, click.Group) and not words[0].startswith("-"):
        name, *words = words
        found = command.get_command(context, name)
        assert found is not None, line
        command = found
    known = {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
    assert {word for word in words if word.startswith("--")} <= known, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_target_of_make_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of(ROOT / "Makefile"), re.MULTILINE))
    for line in lines_of_shell(page):
        found = re.match(r"^(?:\$ )?make ([a-z-]+)", line.strip())
        assert found is None or found[1] in targets, line


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_that_a_page_runs_exists(page: Path) -> None:
    for module in re.findall(r"python -m ([\w.]+)", text_of(page)):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file() or module == "pip", module


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_file_of_the_code_that_a_page_names_exists(page: Path) -> None:
    for name in re.findall(r"`((?:worker|schemas|tests|deploy)/[\w./-]*)`(?!\s+\(\*planned)", text_of(page)):
        assert (ROOT / name).exists(), name


def test_every_module_that_the_design_names_exists() -> None:
    modules = [path.as_posix() for folder in ("worker", "schemas") for path in (ROOT / folder).rglob("*.py")]
    for name in re.findall(r"`([\w/]+\.py)`", text_of(DOCS / "design.md")):
        assert any(module.endswith(f"/{name}") for module in modules), name


def test_no_page_names_a_path_of_somebodys_machine() -> None:
    for page in [*PAGES, *DOCS.rglob("*.svg")]:
        assert re.findall(r"/(?:home|root|Users|work)/\w+", text_of(page)) == []
