"""Tables on terminals of any width: nothing is cut, no id is broken, and lines fit where they can."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from worker.cli.tables import field_lines, table_lines

COLUMNS = ("when", "units", "order", "sub-order", "event id", "error")
ROW = (
    "2026-05-01T10:00:00.000Z",
    "3",
    "39268230-0002",
    "39268230-0002-3",
    "sub-orders.events.v1/3/1742/1",
    "The SKU HOODIE-BLACK-XXL-2026-SPRING is not on the order, and the order is not known to have been split.",
)
RIGHT = (False, True, False, False, False, False)

ids = st.text(alphabet="abcXYZ019-/._я中", min_size=1, max_size=40)
sentences = st.lists(ids, min_size=1, max_size=12).map(" ".join)
cells = st.none() | ids | sentences


def test_all_columns_stand_beside_each_other_where_they_fit() -> None:
    assert table_lines(("sku", "units"), [("A", "12"), (None, "3")], right=(False, True), width=80) == [
        "sku  units",
        "A       12",
        "-        3",
    ]


def test_what_has_no_room_in_a_row_stands_below_it_with_its_name() -> None:
    assert table_lines(COLUMNS, [ROW], right=RIGHT, width=80) == [
        "when                      units  order          sub-order",
        "2026-05-01T10:00:00.000Z      3  39268230-0002  39268230-0002-3",
        "    event id: sub-orders.events.v1/3/1742/1",
        "    error: The SKU HOODIE-BLACK-XXL-2026-SPRING is not on the order, and the",
        "      order is not known to have been split.",
    ]


def test_what_does_not_go_to_a_terminal_has_a_line_a_row() -> None:
    assert len(table_lines(COLUMNS, [ROW, ROW], right=RIGHT, width=None)) == 3


def test_an_id_longer_than_the_terminal_is_left_whole() -> None:
    long = "S" * 128
    assert table_lines(("sku", "units"), [(long, "1")], right=(False, True), width=80) == ["sku", long, "    units: 1"]


def test_a_value_that_is_not_there_has_no_line_below() -> None:
    assert table_lines(("topic", "what is wrong"), [("t" * 78, None)], right=(False, False), width=80)[1:] == ["t" * 78]


@given(rows=st.lists(st.tuples(cells, cells, cells, cells), max_size=4), width=st.integers(20, 170))
def test_every_word_is_whole_and_only_a_long_word_makes_a_long_line(
    rows: list[tuple[str | None, ...]], width: int
) -> None:
    lines = table_lines(("id", "a", "b", "c"), rows, right=(False,) * 4, width=width)
    words = [word for line in lines for word in line.split()]
    for row in rows:
        for cell in row:
            assert all(word in words for word in (cell or "").split())
    first_column = max([2, *(cell_len(row[0] or "-") for row in rows)])
    for line in lines:
        longest_word = max(map(cell_len, line.split()))
        assert cell_len(line) <= max(width, first_column, len("    b: ") + longest_word)


def test_a_long_value_goes_on_below_its_beginning() -> None:
    lines = field_lines([("code", "invalid"), ("pending", None), ("error", "one two three four")], width=21)
    assert lines == ["code     invalid", "pending  -", "error    one two", "         three four"]


@pytest.mark.parametrize("width", [None, 80])
def test_a_table_without_rows_is_its_header(width: int | None) -> None:
    assert table_lines(("id", "code"), [], right=(False, False), width=width) == ["id  code"]
