"""From outputs to the bytes of a record.

Most of what is written are movements, levels and statuses, several of them an event. They are put together here from
fragments that the caller has encoded once and keeps (a stock key, an account), which costs less than making the types.
Everything else is encoded from its type. Both ways write the same bytes for the same output: tests hold them equal.

A fragment is JSON already: of a string with its quotes (`json_string`), of a stock key `"warehouse_id":…,"sku":…`, of
an order `,"order_id":…` and perhaps `,"sub_order_id":…`, or nothing; `envelope_of` makes the one that all outputs of a
cause share. A source (`topic/partition/offset`) is bare, as topics need no escaping; so are times, in their normal
spelling, and statuses. Source and running number make the `event_id`.
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

_MOVED = (
    b'{"type":"stock.moved","event_id":"%b/%d"%b,"movement":"%b",%b,'
    b'"quantity":%d,"frozen_delta":%d,"on_hand_delta":%d,"on_hand":%b,"frozen":%d,"available":%b%b}'
)
_LEVEL_CHANGED = (
    b'{"type":"stock.level_changed","event_id":"%b/%d"%b,%b,'
    b'"on_hand":%b,"frozen":%d,"available":%b,"publishable":%b,"as_of":%b}'
)
_STATUS_CHANGED = (
    b'{"type":"order.status_changed","event_id":"%b/%d"%b,"order_id":%b,'
    b'"status":"%b","placed":%b,"eligible":%b,"sub_orders":%b,"units":%b}'
)
_SAFE_PARTS = re.compile("[A-Za-z0-9._~/-]*")


def encode(output: Output) -> bytes:
    """Encodes any output from its type."""
    return _encode(output)


def json_string(text: str) -> bytes:
    """Encodes a string as JSON, with its quotes."""
    return _encode(text)


def envelope_of(account: bytes, occurred_at: bytes, cause: bytes | None) -> bytes:
    """The fields that all outputs of one cause share; `account` and `cause` are JSON strings."""
    return b',"account_id":%b,"occurred_at":"%b"%b' % (
        account,
        occurred_at,
        b"" if cause is None else b',"cause":' + cause,
    )


def moved(
    source: bytes,
    number: int,
    envelope: bytes,
    movement: bytes,
    stock: bytes,
    quantity: int,
    frozen_delta: int,
    on_hand_delta: int,
    on_hand: int | None,
    frozen: int,
    available: int | None,
    order: bytes,
) -> bytes:
    """Encodes a `StockMoved`; `stock` and `order` are fragments."""
    return _MOVED % (
        source,
        number,
        envelope,
        movement,
        stock,
        quantity,
        frozen_delta,
        on_hand_delta,
        b"null" if on_hand is None else b"%d" % on_hand,
        frozen,
        b"null" if available is None else b"%d" % available,
        order,
    )


def level_changed(
    source: bytes,
    number: int,
    envelope: bytes,
    stock: bytes,
    on_hand: int | None,
    frozen: int,
    available: int | None,
    publishable: int | None,
    as_of: bytes | None,
) -> bytes:
    """Encodes a `StockLevelChanged`; `stock` is a fragment."""
    return _LEVEL_CHANGED % (
        source,
        number,
        envelope,
        stock,
        b"null" if on_hand is None else b"%d" % on_hand,
        frozen,
        b"null" if available is None else b"%d" % available,
        b"null" if publishable is None else b"%d" % publishable,
        b"null" if as_of is None else b'"' + as_of + b'"',
    )


def status_changed(
    source: bytes,
    number: int,
    envelope: bytes,
    order_id: bytes,
    status: bytes,
    placed: bool,
    eligible: bool,
    sub_orders: Mapping[str, str],
    units: Iterable[tuple[str | None, str, str, int, int, int]],
) -> bytes:
    """Encodes an `OrderStatusChanged`; `account`, `cause`, `order_id` are JSON strings, `units` fields of `UnitRow`."""
    return _STATUS_CHANGED % (
        source,
        number,
        envelope,
        order_id,
        status,
        b"true" if placed else b"false",
        b"true" if eligible else b"false",
        _encode(sub_orders),
        _encode([UnitRow(*row) for row in units]),
    )


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
