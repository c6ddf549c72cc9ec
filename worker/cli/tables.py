"""How rows become lines of a terminal: what stands beside each other, what goes below, where a line is broken.

Apart from the printing, so that tests can look at every width. Two rules: nothing is cut, and a line is broken only
between words, so that an id can be copied from any table. What has no room in a row stands below it, with its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.cells import cell_len

GAP: Final = "  "
INDENT: Final = "    "


def table_lines(
    columns: Sequence[str], rows: Sequence[Sequence[str | None]], *, right: Sequence[bool], width: int | None
) -> list[str]:
    """The header and the rows. None is shown as `-`; columns that are `right` stand at their right edge.

    The columns come from the left for as long as they fit into `width` (None: any width). The others stand below their
    row, where they have a value. Only what is longer than a line by itself is longer than `width`.
    """
    widths = [
        max(cell_len(name), *(cell_len(_shown(row[index])) for row in rows)) if rows else cell_len(name)
        for index, name in enumerate(columns)
    ]
    beside = _that_fit(widths, width)
    below = [index for index in range(len(columns)) if index not in beside]

    def line(cells: Sequence[str | None]) -> str:
        padded = [_padded(_shown(cells[index]), widths[index], right=right[index]) for index in beside]
        return GAP.join(padded).rstrip()

    lines = [line(columns)]
    for row in rows:
        lines.append(line(row))
        named = [f"{columns[index]}: {cell}" for index in below if (cell := row[index])]
        lines.extend(_flowing(named, width))
    return lines


def field_lines(fields: Sequence[tuple[str, str | None]], *, width: int | None) -> list[str]:
    """Names with their values, a name a line; what is longer than the line goes on below the value's beginning."""
    column = max((cell_len(name) for name, _ in fields), default=0)
    return [
        line
        for name, value in fields
        for line in _wrapped(
            _shown(value), width, first=_padded(name, column, right=False) + GAP, rest=" " * column + GAP
        )
    ]


def _that_fit(widths: Sequence[int], width: int | None) -> list[int]:
    """The columns that stand beside each other. The first one always does: it names the row."""
    beside, used = [0], widths[0]
    for index, needed in enumerate(widths[1:], start=1):
        if width is None or used + len(GAP) + needed <= width:
            beside.append(index)
            used += len(GAP) + needed
    return beside


def _flowing(named: Sequence[str], width: int | None) -> Iterator[str]:
    """Several to a line while they fit; one that is longer begins a line and goes on in the next."""
    line = ""
    for text in named:
        longer = f"{line}{GAP}{text}" if line else INDENT + text
        if width is None or cell_len(longer) <= width:
            line = longer
            continue
        if line:
            yield line
        *whole, line = _wrapped(text, width, first=INDENT, rest=INDENT + GAP)
        yield from whole
    if line:
        yield line


def _wrapped(text: str, width: int | None, *, first: str, rest: str) -> list[str]:
    """A text in lines that are broken between words alone."""
    if width is None or cell_len(first + text) <= width:
        return [first + text]
    # Not by textwrap, which counts characters: a Chinese one is two columns wide.
    word, *words = text.split(" ")
    lines = [first + word]
    for word in words:
        longer = f"{lines[-1]} {word}"
        if cell_len(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(rest + word)
    return lines


def _shown(cell: str | None) -> str:
    return "-" if cell is None else cell


def _padded(text: str, width: int, *, right: bool) -> str:
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank
