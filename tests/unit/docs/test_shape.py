"""The shape of the pages: sizes, and one entry for each thing of a closed set."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.unit.docs.pages import DOCS, PAGES, README, ROOT, blocks, headings, links, name_of, prose, section, text_of

README_BYTES_MAX = 8192
LINE_CHARACTERS_MAX = 100
TABLE_CHARACTERS_MAX = 110
KEPT_AS_IT_IS = {"docs/contract.md", "schemas/README.md"}
"""Pages whose wording, line ends included, is fixed elsewhere."""


def test_the_readme_is_short() -> None:
    assert README.stat().st_size <= README_BYTES_MAX


def test_the_readme_shows_two_commands_and_a_picture() -> None:
    text = text_of(README)
    assert [line.split("  ")[0] for line in blocks(text)[0].text.splitlines()] == ["make demo", "make test"]
    assert "docs/demo.svg" in links(text)


@pytest.mark.parametrize("page", [page for page in PAGES if name_of(page) not in KEPT_AS_IT_IS], ids=name_of)
def test_lines_and_tables_are_of_a_sane_length(page: Path) -> None:
    for line in prose(text_of(page)).splitlines():
        if line.startswith("!["):  # the description of a picture is for those who cannot see it
            continue
        longest = TABLE_CHARACTERS_MAX if line.startswith("|") else LINE_CHARACTERS_MAX
        assert len(line) <= longest or " " not in line.strip("- "), line


def test_every_alert_has_an_entry_in_operations_and_no_other() -> None:
    rules = yaml.safe_load(text_of(ROOT / "deploy" / "alerts.yaml"))["groups"][0]["rules"]
    entries = headings(section(text_of(DOCS / "operations.md"), "Alerts"))
    assert entries == [rule["alert"] for rule in rules]


def test_the_glossary_has_each_term_once_in_order() -> None:
    terms = re.findall(r"^- \*\*(.+?)\*\*:", text_of(DOCS / "glossary.md"), re.MULTILINE)
    assert len(terms) >= 40
    assert terms == sorted(set(terms))


def test_the_contract_ends_with_the_choices() -> None:
    assert headings(text_of(DOCS / "contract.md"))[-1] == "Choices where the contract is silent"
