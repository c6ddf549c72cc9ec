"""A year of real sales, read as invoices: what the demo's orders are made of.

The data set is "Online Retail" (Daqing Chen, UCI Machine Learning Repository, 2015, doi 10.24432/C5BW33, CC BY 4.0). It
knows invoices, goods, customers and countries, but no sellers, warehouses, sub-orders or shipments. What is read into
it, by rules of our own:

- **Seller** (the account that owns the stock): customers outside Europe are served by `overseas`, those of the
  continent by `europe`; the British ones are shared by `london`, `leeds`, `bath` and `exeter`, by the CRC-32 of the
  customer (of the invoice, for guests).
- **SKU**: the first four characters of the StockCode, a product family. The sample names nearly every full code once,
  so that no two orders would ever meet over one stock key.
- **Goods** are rows whose StockCode has at least four digits; the others are postage, fees and samples and are left
  out.
- An invoice is one **order**; `C…` invoices are **cancellations**; negative quantities without a `C` (`damaged`,
  `smashed`, `?`) are **write-offs**.
- **Warehouse**: by the CRC-32 of the SKU one of `central`, `north`, `south`; three lines of ten (by the CRC-32 of
  invoice and SKU) name none and so lie in the account's default warehouse.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import groupby
from pathlib import Path
from zlib import crc32

SLICE = Path(__file__).parent / "data" / "online-retail-slice.csv"
WAREHOUSES = ("central", "north", "south")

_CONTINENT = frozenset(
    {
        "Austria",
        "Belgium",
        "Cyprus",
        "Denmark",
        "EIRE",
        "Finland",
        "France",
        "Germany",
        "Greece",
        "Iceland",
        "Italy",
        "Lithuania",
        "Malta",
        "Netherlands",
        "Norway",
        "Poland",
        "Portugal",
        "Spain",
        "Sweden",
        "Switzerland",
    }
)
_BRITISH = frozenset({"United Kingdom", "Channel Islands"})
_BRITISH_SELLERS = ("london", "leeds", "bath", "exeter")


class RowKind(Enum):
    """An invoice of the data set."""

    SALE = "sale"
    CANCELLATION = "cancellation"
    WRITE_OFF = "write_off"


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice: its goods by SKU with positive quantities, in the order of its rows.

    `at_ms` is the shop's local time read as UTC.
    """

    number: str
    kind: RowKind
    seller: str
    customer: str
    at_ms: int
    goods: tuple[tuple[str, int], ...]


def read_invoices(path: Path = SLICE) -> list[Invoice]:
    """The invoices of a file in the data set's CSV form, in its order; those without goods are left out.

    Raises OSError, KeyError or ValueError.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return list(_invoices(csv.DictReader(file)))


def warehouse_of(sku: str) -> str:
    """The warehouse that keeps a SKU."""
    return WAREHOUSES[crc32(sku.encode()) % len(WAREHOUSES)]


def names_warehouse(invoice: str, sku: str) -> bool:
    """Return whether the order's lines of this SKU name a warehouse."""
    return crc32(f"{invoice}/{sku}".encode()) % 10 >= 3


def _invoices(rows: Iterable[dict[str, str]]) -> Iterable[Invoice]:
    for number, group in groupby(rows, key=lambda row: row["InvoiceNo"]):
        of_invoice = list(group)
        goods = [(row["StockCode"][:4], int(row["Quantity"])) for row in of_invoice if _is_goods(row["StockCode"])]
        if not goods:
            continue
        first = of_invoice[0]
        yield Invoice(
            number=number,
            kind=_kind(number, goods[0][1]),
            seller=_seller(first),
            customer=first["CustomerID"],
            at_ms=int(datetime.fromisoformat(first["InvoiceDate"]).replace(tzinfo=UTC).timestamp() * 1000),
            goods=tuple((sku, abs(quantity)) for sku, quantity in goods if quantity),
        )


def _is_goods(stock_code: str) -> bool:
    return sum(character.isdigit() for character in stock_code) >= 4


def _kind(number: str, quantity: int) -> RowKind:
    if number.startswith("C"):
        return RowKind.CANCELLATION
    return RowKind.SALE if quantity > 0 else RowKind.WRITE_OFF


def _seller(row: dict[str, str]) -> str:
    if row["Country"] in _BRITISH:
        customer = row["CustomerID"]
        known = customer.strip("0.") != ""
        return _BRITISH_SELLERS[crc32((customer if known else row["InvoiceNo"]).encode()) % len(_BRITISH_SELLERS)]
    return "europe" if row["Country"] in _CONTINENT else "overseas"
