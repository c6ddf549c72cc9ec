"""The pages of the documentation as tests read them: their files, headings, links and blocks of code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[3]
DOCS = ROOT / "docs"
README = ROOT / "README.md"
PAGES = [*sorted(ROOT.glob("*.md")), ROOT / "schemas" / "README.md", *sorted(DOCS.rglob("*.md"))]
"""Every page that a reader may follow a link from."""

_BLOCK = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block of code: the language after the fence and the text."""

    language: str
    text: str


def name_of(page: Path) -> str:
    """A page's path in the repository, as tests are named by it."""
    return page.relative_to(ROOT).as_posix()


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    return [Block(language, block) for _, language, block in _BLOCK.findall(text)]


def prose(text: str) -> str:
    """A page without its blocks of code."""
    return _BLOCK.sub("", text)


def links(text: str) -> list[str]:
    """The targets of a page's links and pictures."""
    return _LINK.findall(prose(text))


def headings(text: str) -> list[str]:
    return _HEADING.findall(prose(text))


def anchors(text: str) -> set[str]:
    """The anchors that a Markdown page gives its headings: lower case, no marks, dashes for spaces."""
    found: set[str] = set()
    for heading in headings(text):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", plain).strip().lower().replace(" ", "-")
        number = 0
        while (unique := f"{name}-{number}" if number else name) in found:
            number += 1
        found.add(unique)
    return found


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level or above. Raises LookupError where it is missing."""
    found = re.search(rf"^(#+) {re.escape(heading)}$", text, re.MULTILINE)
    if found is None:
        raise LookupError(f"there is no heading {heading!r}")
    rest = text[found.end() :]
    end = re.search(rf"^#{{1,{len(found[1])}}} ", rest, re.MULTILINE)
    return rest if end is None else rest[: end.start()]
