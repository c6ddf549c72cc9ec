"""From outputs to the bytes of a record.

Most of what is written are movements, levels and statuses, several of them an event. They are put together here from
fragments that the caller has encoded once and keeps (a stock key, an account), which costs less than making the types.
Everything else is encoded from its type. Both ways write the same bytes for the same output: tests hold them equal.

A fragment is JSON already: of a string with its quotes (`json_string`), of a stock key (`stock_json`), of an order
`,"order_id":…` and perhaps `,"sub_order_id":…`, or nothing; `envelope_of` makes the one that all outputs of a cause
share. A source (`topic/partition/offset`) is bare, as topics need no escaping; so are times, in their normal spelling,
and statuses. Source and running number make the `event_id`. Texts that are encoded once at the end, rather than bytes:
formatting texts takes less than two thirds of the time, once it is compiled.
"""

# Their arguments are an output's fields in order; keywords would cost a part of what the templates save.
# ruff: noqa: FBT001, PLR0913, PLR0917

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, unquote

import msgspec

from schemas.outputs import Output, UnitRow

_encode: Final = msgspec.json.Encoder().encode

_SAFE_PARTS: Final = re.compile("[A-Za-z0-9._~/-]*")


def encode(output: Output) -> bytes:
    """Encodes any output from its type."""
    return _encode(output)


def json_string(text: str) -> str:
    """Encodes a string as JSON, with its quotes."""
    return _encode(text).decode()


def stock_json(warehouse_id: str, sku: str) -> str:
    """The fields that name a stock key."""
    return f'"warehouse_id":{json_string(warehouse_id)},"sku":{json_string(sku)}'


def envelope_of(account: str, occurred_at: str, cause: str | None) -> str:
    """The fields that all outputs of one cause share; `account` and `cause` are JSON strings."""
    last = "" if cause is None else f',"cause":{cause}'
    return f',"account_id":{account},"occurred_at":"{occurred_at}"{last}'


def moved(
    source: str,
    number: int,
    envelope: str,
    movement: str,
    stock: str,
    quantity: int,
    frozen_delta: int,
    on_hand_delta: int,
    on_hand: int | None,
    frozen: int,
    available: int | None,
    order: str,
) -> bytes:
    """Encodes a `StockMoved`; `stock` and `order` are fragments."""
    on_hand_json = "null" if on_hand is None else str(on_hand)
    available_json = "null" if available is None else str(available)
    return (
        f'{{"type":"stock.moved","event_id":"{source}/{number}"{envelope},"movement":"{movement}",{stock},'
        f'"quantity":{quantity},"frozen_delta":{frozen_delta},"on_hand_delta":{on_hand_delta},'
        f'"on_hand":{on_hand_json},"frozen":{frozen},"available":{available_json}{order}}}'
    ).encode()


def level_changed(
    source: str,
    number: int,
    envelope: str,
    stock: str,
    on_hand: int | None,
    frozen: int,
    available: int | None,
    publishable: int | None,
    as_of: str | None,
) -> bytes:
    """Encodes a `StockLevelChanged`; `stock` is a fragment."""
    on_hand_json = "null" if on_hand is None else str(on_hand)
    available_json = "null" if available is None else str(available)
    publishable_json = "null" if publishable is None else str(publishable)
    as_of_json = "null" if as_of is None else f'"{as_of}"'
    return (
        f'{{"type":"stock.level_changed","event_id":"{source}/{number}"{envelope},{stock},'
        f'"on_hand":{on_hand_json},"frozen":{frozen},"available":{available_json},'
        f'"publishable":{publishable_json},"as_of":{as_of_json}}}'
    ).encode()


def status_changed(
    source: str,
    number: int,
    envelope: str,
    order_id: str,
    status: str,
    placed: bool,
    eligible: bool,
    sub_orders: Mapping[str, str],
    units: Iterable[tuple[str | None, str, str, int, int, int]],
) -> bytes:
    """Encodes an `OrderStatusChanged`; `order_id` is a JSON string, `units` have the fields of a `UnitRow`."""
    placed_json, eligible_json = "true" if placed else "false", "true" if eligible else "false"
    head = (
        f'{{"type":"order.status_changed","event_id":"{source}/{number}"{envelope},"order_id":{order_id},'
        f'"status":"{status}","placed":{placed_json},"eligible":{eligible_json},"sub_orders":'
    )
    # What is nested is made by the encoder: rows are many, and it writes them in one go. Their fields are handed over
    # one by one because a row that is handed over whole is copied into a list first, once this is compiled.
    rows = _encode(
        [
            UnitRow(sub_order_id, warehouse_id, sku, unshipped, shipped, cancelled)
            for sub_order_id, warehouse_id, sku, unshipped, shipped, cancelled in units
        ]
    )
    return b"".join((head.encode(), _encode(sub_orders), b',"units":', rows, b"}"))


def key_of(*parts: str) -> bytes:
    """Joins the parts of a record's key with `/`, percent-encoding all but `A-Za-z0-9-._~`: contract section 1."""
    joined = "/".join(parts)
    if joined.count("/") == len(parts) - 1 and _SAFE_PARTS.fullmatch(joined):
        return joined.encode()
    return "/".join([quote(part, safe="") for part in parts]).encode()


def parts_of(key: bytes) -> tuple[str, ...]:
    """Takes a key of `key_of` apart. Raises ValueError if it is not UTF-8."""
    text = key.decode()
    parts = text.split("/")
    return tuple([unquote(part, errors="strict") for part in parts] if "%" in text else parts)
