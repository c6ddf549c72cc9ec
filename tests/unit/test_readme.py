from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest

from schemas.catalogue import TOPIC_OF
from schemas.decoding import decode
from schemas.topics import LEDGER
from tests.readme import README, ROOT, between_markers, renewed, tables

PAGES = [
    README,
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "docs" / "design.md",
    ROOT / "docs" / "performance.md",
]


@pytest.fixture(scope="module")
def readme() -> str:
    return README.read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["settings", "metrics", "commands"])
def test_a_table_says_what_the_code_says(readme: str, name: str) -> None:
    assert between_markers(readme, name) == tables()[name], "stale: run .venv/bin/python -m tests.readme"


def test_a_table_that_is_stale_is_made_anew() -> None:
    stale = "before\n<!-- metrics -->\n| old |\n<!-- /metrics -->\nafter"
    assert renewed(stale) == f"before\n<!-- metrics -->\n{tables()['metrics']}\n<!-- /metrics -->\nafter"


def test_every_event_shown_is_valid(readme: str) -> None:
    events = [line for block in blocks(readme, "json") for line in block.splitlines()]
    assert len(events) >= 4
    for event in events:
        topic = TOPIC_OF[json.loads(event)["type"]]
        assert topic in LEDGER.inputs
        assert decode(topic, event.encode()).event.account_id == "acme"


def test_every_python_snippet_parses(readme: str) -> None:
    snippets = blocks(readme, "python")
    assert len(snippets) >= 2
    for snippet in snippets:
        ast.parse(snippet)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_file_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_every_anchor_is_a_heading_of_the_readme(readme: str) -> None:
    headings = {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", readme, re.MULTILINE)
    }
    for anchor in re.findall(r"\]\(#([^)]+)\)", readme):
        assert anchor in headings
