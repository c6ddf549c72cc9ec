"""The data set is read by the rules that its module states."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from worker.demo.retail import SLICE, RowKind, read_invoices

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def read(tmp_path: Path, rows: str) -> list[tuple[str, RowKind, str, tuple[tuple[str, int], ...]]]:
    path = tmp_path / "rows.csv"
    path.write_text(HEADER + rows, encoding="utf-8")
    return [(invoice.number, invoice.kind, invoice.seller, invoice.goods) for invoice in read_invoices(path)]


def test_an_invoice_is_a_sale_a_cancellation_or_a_write_off(tmp_path: Path) -> None:
    rows = (
        "1,85123A,HOLDER,6,2010-12-01 08:26:00,2.55,17850.0,Germany\n"
        "1,71053,LANTERN,2,2010-12-01 08:26:00,3.39,17850.0,Germany\n"
        "C2,71053,LANTERN,-1,2010-12-01 09:00:00,3.39,17850.0,Germany\n"
        "3,71053,smashed,-4,2010-12-01 09:30:00,0.0,0.0,Japan\n"
    )
    assert read(tmp_path, rows) == [
        ("1", RowKind.SALE, "europe", (("8512", 6), ("7105", 2))),
        ("C2", RowKind.CANCELLATION, "europe", (("7105", 1),)),
        ("3", RowKind.WRITE_OFF, "overseas", (("7105", 4),)),
    ]


def test_postage_and_fees_are_no_goods(tmp_path: Path) -> None:
    rows = (
        "1,POST,POSTAGE,1,2010-12-01 08:26:00,18.0,12583.0,France\n"
        "2,C2,CARRIAGE,1,2010-12-01 08:26:00,50.0,14911.0,EIRE\n"
        "2,22556,PLASTERS,12,2010-12-01 08:26:00,1.65,14911.0,EIRE\n"
    )
    assert read(tmp_path, rows) == [("2", RowKind.SALE, "europe", (("2255", 12),))]


def test_a_british_customer_buys_from_one_seller_and_guests_from_any(tmp_path: Path) -> None:
    row = "{},22556,PLASTERS,1,2010-12-01 08:26:00,1.65,{},United Kingdom\n"
    of_customer = read(tmp_path, "".join(row.format(number, "17850.0") for number in range(20)))
    assert len({seller for _, _, seller, _ in of_customer}) == 1
    guests = read(tmp_path, "".join(row.format(number, "0.0") for number in range(40)))
    assert {seller for _, _, seller, _ in guests} == {"london", "leeds", "bath", "exeter"}


def test_the_shipped_slice_has_every_kind_and_no_invoice_twice() -> None:
    invoices = read_invoices(SLICE)
    assert len({invoice.number for invoice in invoices}) == len(invoices)
    assert set(Counter(invoice.kind for invoice in invoices)) == set(RowKind)
    assert all(units > 0 for invoice in invoices for _, units in invoice.goods)
