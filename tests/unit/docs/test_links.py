"""Links of all pages lead somewhere, within the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.unit.docs.pages import DOCS, PAGES, ROOT, anchors, links, name_of, text_of


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in links(text_of(page)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(text_of(target)), link


def test_the_index_links_every_page_once() -> None:
    index = [(DOCS / link).resolve() for link in links(text_of(DOCS / "README.md"))]
    themes = set((DOCS / "decisions").glob("*.md")) - {DOCS / "decisions" / "README.md"}  # these have an index
    assert sorted(path for path in index if DOCS in path.parents) == sorted(
        page for page in DOCS.rglob("*.md") if page != DOCS / "README.md" and page not in themes
    )


def test_the_index_of_decisions_links_each_of_them() -> None:
    folder = DOCS / "decisions"
    linked = {(folder / link).resolve() for link in links(text_of(folder / "README.md"))}
    assert set(folder.glob("*.md")) - {folder / "README.md"} <= linked


def test_every_picture_is_in_use() -> None:
    linked = {(page.parent / link).resolve() for page in PAGES for link in links(text_of(page))}
    assert {path for path in DOCS.iterdir() if path.suffix in (".png", ".svg")} <= linked


@pytest.mark.parametrize("folder", ["deploy", "schemas", "tests", "worker"])
def test_every_page_that_the_code_names_exists(folder: str) -> None:
    sources = [path for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".yaml")]
    named = {name for path in sources for name in re.findall(r"docs/[\w/-]+\.md", text_of(path))}
    assert [name for name in named if not (ROOT / name).is_file()] == []
