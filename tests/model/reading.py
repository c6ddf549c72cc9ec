"""Bytes to events: what a record holds, or the code it is refused with (contract sections 1 and 2).

An event is a plain dict of its known fields. Times are integers, milliseconds of the Unix epoch in UTC; absent and
null are both "not in the dict", and so is a stated default (`absent: unknown`), because content is compared on
exactly this form. `source` is dropped.

Choices: a number written with a fraction or an exponent is not a JSON integer, whatever its value. A leap second is
not accepted.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from typing import Any, NoReturn

Event = dict[str, Any]

BILLION = 10**9
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

ORDERS = "orders.events.v1"
SUB_ORDERS = "sub-orders.events.v1"
STOCK = "stock.events.v1"
COMMANDS = "commands.v1"


class Refusal(Exception):
    """The record cannot be applied: `code` is one of the contract's."""

    def __init__(self, code: str, field: str = "") -> None:
        super().__init__(f"{code} {field}")
        self.code = code


def murmur2(data: bytes) -> int:
    """MurmurHash2 with the seed and the sign handling of the Java client's default partitioner."""
    mask, m = 0xFFFFFFFF, 0x5BD1E995
    h = (0x9747B28C ^ len(data)) & mask
    whole = len(data) // 4 * 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little") * m & mask
        k = (k ^ (k >> 24)) * m & mask
        h = (h * m & mask) ^ k
    tail = data[whole:]
    if tail:
        h = (h ^ int.from_bytes(tail, "little")) * m & mask
    h = (h ^ (h >> 13)) * m & mask
    return h ^ (h >> 15)


def partition_of(account_id: str, partition_count: int) -> int:
    return (murmur2(account_id.encode()) & 0x7FFFFFFF) % partition_count


def parse(value: bytes | None) -> dict[str, Any]:
    """The JSON object in a value; raises Refusal("undecodable")."""

    def no_constant(name: str) -> NoReturn:
        raise ValueError(name)

    if value is None:
        raise Refusal("undecodable", "no value")
    try:
        tree = json.loads(value.decode("utf-8"), parse_constant=no_constant)
        json.dumps(tree, ensure_ascii=False).encode("utf-8")  # a lone surrogate cannot be encoded
    except (ValueError, RecursionError) as error:
        raise Refusal("undecodable", str(error)) from error
    if not isinstance(tree, dict):
        raise Refusal("undecodable", "not an object")
    return tree


def is_id(value: object, longest: int = 128) -> bool:
    if not isinstance(value, str) or not 1 <= len(value) <= longest:
        return False
    return not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F for c in value)


EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
TIME = re.compile(r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII)


def time_ms(value: object) -> int:
    """An RFC 3339 time with an offset, in milliseconds; further digits are cut off."""
    found = TIME.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        raise ValueError(value)
    date, clock, fraction, _, sign, hours, minutes = found.groups()
    at = dt.datetime.fromisoformat(f"{date}T{clock}+00:00")
    offset_ms = 0
    if sign:
        if int(hours) > 23 or int(minutes) > 59:
            raise ValueError(value)
        offset_ms = (int(hours) * HOUR_MS + int(minutes) * MINUTE_MS) * (-1 if sign == "-" else 1)
    whole = (at - EPOCH) // dt.timedelta(milliseconds=1)
    return whole + int(((fraction or "") + "000")[:3]) - offset_ms


def _text(value: object) -> object:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError(value)
    return value


def _id(value: object) -> object:
    if not is_id(value):
        raise ValueError(value)
    return value


def _dead_letter_id(value: object) -> object:
    if not isinstance(value, str) or not is_id(value, 512):
        raise ValueError(value)
    return value


def _whole(lowest: int, highest: int = BILLION, *, zero: bool = True) -> Callable[[object], object]:
    def read(value: object) -> object:
        if type(value) is not int or not lowest <= value <= highest or (value == 0 and not zero):
            raise ValueError(value)
        return value

    return read


def _one_of(*names: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, str) or value not in names:
            raise ValueError(value)
        return value

    return read


def _boolean(value: object) -> object:
    if value is not True and value is not False:
        raise ValueError(value)
    return value


Fields = dict[str, Callable[[object], object]]


def _object(fields: Fields) -> Callable[[object], object]:
    """Fields whose name ends in `?` may be absent or null."""

    def read(value: object) -> object:
        if not isinstance(value, dict):
            raise ValueError(value)  # noqa: TRY004 -- a bad value, like all others here
        known = {}
        for name, reader in fields.items():
            plain = name.rstrip("?")
            if value.get(plain) is not None:
                known[plain] = reader(value[plain])
            elif not name.endswith("?"):
                raise ValueError(plain)
        return known

    return read


def _list(entry: Callable[[object], object], least: int, most: int) -> Callable[[object], object]:
    def read(value: object) -> object:
        if not isinstance(value, list) or not least <= len(value) <= most:
            raise ValueError(value)
        return [entry(item) for item in value]

    return read


QUANTITY = _whole(1)
LINES = _list(_object({"sku": _id, "quantity": QUANTITY}), 1, 1000)
ORDER_LINES = _list(_object({"sku": _id, "quantity": QUANTITY, "warehouse_id?": _id}), 1, 1000)
CHILDREN = _list(_object({"sub_order_id": _id, "lines": LINES, "warehouse_id?": _id}), 1, 100)
COUNTS = _list(_object({"sku": _id, "on_hand": _whole(-BILLION), "reserved?": _whole(0)}), 0, 5000)
SPLIT_REASON = _one_of("warehouse", "carrier", "compliance", "availability", "seller_rule")
COMMON: Fields = {"event_id": _id, "account_id": _id, "occurred_at": time_ms, "source?": _text}
ORDER: Fields = {**COMMON, "order_id": _id}
SUB_ORDER: Fields = {**ORDER, "sub_order_id": _id}
TRACKED: Fields = {**SUB_ORDER, "tracking_number?": _text, "carrier?": _text}
REASONED: Fields = {**SUB_ORDER, "reason?": _text}

TYPES: dict[str, dict[str, Fields]] = {
    ORDERS: {
        "order.created": {**ORDER, "lines": ORDER_LINES},
        "order.amended": {**ORDER, "revision": QUANTITY, "lines": ORDER_LINES},
        "order.cancelled": {**ORDER, "reason?": _text},
        "order.reinstated": {**ORDER, "reason?": _text},
    },
    SUB_ORDERS: {
        "sub_order.created": {
            **SUB_ORDER,
            "warehouse_id": _id,
            "lines": LINES,
            "revision?": _whole(0),
            "carrier?": _text,
            "split_reason?": SPLIT_REASON,
        },
        "sub_order.split": {**SUB_ORDER, "children": CHILDREN, "split_reason?": SPLIT_REASON},
        "sub_order.label_issued": TRACKED,
        "sub_order.shipped": TRACKED,
        "sub_order.in_transit": TRACKED,
        "sub_order.on_hold": REASONED,
        "sub_order.delivered": REASONED,
        "sub_order.failed_to_deliver": REASONED,
        "sub_order.cancelled": {**REASONED, "lines?": LINES},
        "sub_order.return_started": {**SUB_ORDER, "return_id": _id, "lines?": LINES},
        "sub_order.returned": {
            **SUB_ORDER,
            "return_id": _id,
            "lines?": LINES,
            "restock": _boolean,
            "warehouse_id?": _id,
        },
        "sub_order.withdrawn": REASONED,
        "sub_order.reinstated": REASONED,
        "sub_order.shipment_voided": REASONED,
        "sub_order.return_withdrawn": {**REASONED, "return_id": _id},
    },
    STOCK: {
        "stock.counted": {
            **COMMON,
            "origin": _one_of("erp", "wms", "marketplace"),
            "snapshot_id": _id,
            "part": QUANTITY,
            "parts": QUANTITY,
            "warehouse_id": _id,
            "as_of": time_ms,
            "counts": COUNTS,
            "absent?": _one_of("unknown", "zero"),
        },
        "stock.adjusted": {
            **COMMON,
            "warehouse_id": _id,
            "sku": _id,
            "delta": _whole(-BILLION, zero=False),
            "reason?": _text,
        },
        "stock.transferred": {
            **COMMON,
            "from_warehouse_id": _id,
            "to_warehouse_id": _id,
            "lines": LINES,
            "reason?": _text,
        },
    },
    COMMANDS: {
        "archive.requested": ORDER,
        "dead_letter.discarded": {**ORDER, "dead_letter_id": _dead_letter_id},
    },
}


TAKING_BACK = (
    "order.reinstated",
    "sub_order.withdrawn",
    "sub_order.reinstated",
    "sub_order.shipment_voided",
    "sub_order.return_withdrawn",
)


def read(topic: str, value: bytes | None) -> Event:
    """The event in a value of a topic (name without prefix); raises Refusal: undecodable, unknown_type or invalid."""
    tree = parse(value)
    kind = tree.get("type")
    fields = TYPES[topic].get(kind) if isinstance(kind, str) else None
    if fields is None:
        raise Refusal("unknown_type")
    try:
        event = _object(fields)(tree)
        assert isinstance(event, dict)
        _beyond_fields(event, str(kind))
    except ValueError as error:
        raise Refusal("invalid", str(error)[:200]) from error
    event.pop("source", None)
    if event.get("absent") == "unknown":
        del event["absent"]
    if kind == "sub_order.created" and event.get("revision") == 0:
        del event["revision"]
    return {"type": kind, **event}


def _beyond_fields(event: Event, kind: str) -> None:
    if kind == "stock.counted":
        _distinct([count["sku"] for count in event["counts"]])
        if event["part"] > event["parts"]:
            raise ValueError("part")
    if kind == "stock.transferred" and event["from_warehouse_id"] == event["to_warehouse_id"]:
        raise ValueError("to_warehouse_id")
    if kind == "sub_order.split":
        children = [child["sub_order_id"] for child in event["children"]]
        _distinct([*children, event["sub_order_id"]])


def _distinct(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise ValueError("repeated")


def order_named_by(value: bytes | None, key: bytes | None) -> tuple[str, str] | None:
    """The (account, order) that a record names, as far as it can be read: its dead letter is one of that order."""
    try:
        tree = parse(value)
    except Refusal:
        return None
    account, order = tree.get("account_id"), tree.get("order_id")
    if not is_id(account) or not is_id(order) or key != str(account).encode():
        return None
    return str(account), str(order)
