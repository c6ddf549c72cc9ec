"""The table of movements, with ids as long as those of marketplaces are."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from schemas.outputs import StockMoved
from worker.cli.journal import JournalExcerpt, print_movements

WAREHOUSE, SKU = "1020005000412345", "HOODIE-BLACK-XXL-2026-SPRING"
ORDER, SUB_ORDER = "39268230-0002", "39268230-0002-3"

Shown = Callable[..., list[str]]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shown:
    """The lines of the table of one movement, on a terminal of 80 columns."""
    movement = StockMoved(
        event_id="sub-orders.events.v1/3/1742001/12",
        account_id="ozon-seller-1204877",
        occurred_at="2026-05-01T10:00:00.000Z",
        movement="release",
        warehouse_id=WAREHOUSE,
        sku=SKU,
        quantity=12,
        frozen_delta=-12,
        on_hand_delta=0,
        on_hand=None,
        frozen=1_000_014,
        available=None,
        order_id=ORDER,
        sub_order_id=SUB_ORDER,
    )

    def show(*, of_order: bool) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("TERM", "dumb")
        print_movements(JournalExcerpt([movement]), of_order=of_order)
        return capsys.readouterr().out.splitlines()

    return show


def test_movements_fit_80_columns_with_every_id_whole(shown: Shown) -> None:
    for of_order in (False, True):
        lines = shown(of_order=of_order)
        assert max(map(len, lines)) <= 80
        words = " ".join(lines).split()
        asked = {f"{WAREHOUSE}/{SKU}"} if of_order else {ORDER}
        assert {*asked, SUB_ORDER, "1000014"} <= set(words)


def test_what_was_asked_for_is_not_repeated(shown: Shown) -> None:
    text = "\n".join(shown(of_order=False))
    assert WAREHOUSE not in text
    assert SKU not in text
    assert ORDER in text


def test_stock_that_was_never_counted_has_no_balance_on_hand(shown: Shown) -> None:
    assert "+0 = null" in "\n".join(shown(of_order=False))
