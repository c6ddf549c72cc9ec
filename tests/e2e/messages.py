"""Records of an account as its integration would write them: good ones, and one or more of everything that is bad."""

from __future__ import annotations

import json
import time
from typing import Final, NamedTuple

from schemas.dead_letters import DeadLetterCode
from schemas.topics import Topic
from tests.e2e.system import Message
from worker.demo.schedule import HOUR_MS, MINUTE_MS, rfc3339

HOURS_AGO: Final = 2


def message(topic: Topic, kind: str, account_id: str, event_id: str, **fields: object) -> Message:
    """An event, of some hours ago unless `occurred_at` is given."""
    moment = rfc3339(int(time.time() * 1000) - HOURS_AGO * HOUR_MS)
    common = {"type": kind, "event_id": event_id, "account_id": account_id, "occurred_at": moment}
    return Message(topic, account_id.encode(), json.dumps(common | fields, ensure_ascii=False).encode())


def order(kind: str, account_id: str, event_id: str, order_id: str, **fields: object) -> Message:
    return message(Topic.ORDERS, f"order.{kind}", account_id, event_id, order_id=order_id, **fields)


def sub_order(kind: str, account_id: str, event_id: str, order_id: str, sub_order_id: str, **fields: object) -> Message:
    return message(
        Topic.SUB_ORDERS,
        f"sub_order.{kind}",
        account_id,
        event_id,
        order_id=order_id,
        sub_order_id=sub_order_id,
        **fields,
    )


def command(kind: str, account_id: str, event_id: str, order_id: str, **fields: object) -> Message:
    return message(Topic.COMMANDS, kind, account_id, event_id, order_id=order_id, **fields)


def count(account_id: str, event_id: str, warehouse_id: str, on_hand: dict[str, int], **fields: object) -> Message:
    """A snapshot of one part, of a day ago."""
    fields_of_count: dict[str, object] = {
        "origin": "erp",
        "snapshot_id": event_id,
        "part": 1,
        "parts": 1,
        "warehouse_id": warehouse_id,
        "as_of": rfc3339(int(time.time() * 1000) - 24 * HOUR_MS),
        "counts": [{"sku": sku, "on_hand": units} for sku, units in on_hand.items()],
    }
    return message(Topic.STOCK, "stock.counted", account_id, event_id, **fields_of_count | fields)


def rewritten(given: Message, old: str, new: str) -> Message:
    """The message with a part of its text replaced: for JSON that no encoder writes."""
    assert given.value is not None
    assert given.value.count(old.encode()) == 1
    return given._replace(value=given.value.replace(old.encode(), new.encode(errors="surrogatepass")))


class Bad(NamedTuple):
    """A bad record, the code it must be refused with, and what the sentence must name."""

    message: Message
    code: DeadLetterCode
    names: str = ""


def bad_records(account_id: str, elsewhere: str, *, known: Message) -> list[Bad]:
    """Bad records in the account's partition; `elsewhere` is an account of another one, `known` an `order.created` of 5
    units that was sent before.

    Each is of an order of its own that is not known otherwise, but for the conflict.
    """
    now_ms = int(time.time() * 1000)
    lines = [{"sku": "A", "quantity": 1}]

    def bad_order(name: str, **fields: object) -> Message:
        return order("created", account_id, f"bad {name}", f"bad {name}", **{"lines": lines} | fields)

    def with_quantity(name: str, quantity: str) -> Message:
        return rewritten(bad_order(name, lines=[{"sku": "A", "quantity": 12345}]), "12345", quantity)

    plain = bad_order("plain")
    deep = "[" * 100_000 + "]" * 100_000
    return [
        Bad(plain._replace(value=None), "undecodable", "value"),
        *(
            Bad(plain._replace(value=value), "undecodable", "value")
            for value in (b"", b"\xff\xfe", b"not JSON", b"[1,2]", b'"text"', b"null", deep.encode())
        ),
        Bad(rewritten(bad_order("deep", note="N"), '"N"', deep), "undecodable", "deep"),
        Bad(rewritten(bad_order("nan", note="N"), '"N"', "NaN"), "undecodable", "NaN"),
        Bad(rewritten(bad_order("infinity", note="N"), '"N"', "-Infinity"), "undecodable", "Infinity"),
        Bad(rewritten(bad_order("surrogate", note="N"), '"N"', '"\\ud800"'), "undecodable", "surrogate"),
        Bad(rewritten(bad_order("truncated", note="N"), '"N"}', '"N"'), "undecodable", "JSON"),
        Bad(rewritten(bad_order("type"), '"order.created"', '"order.teleported"'), "unknown_type", "type"),
        Bad(rewritten(bad_order("number"), '"order.created"', "7"), "unknown_type", "type"),
        Bad(rewritten(bad_order("none"), '"type"', '"kind"'), "unknown_type", "type"),
        Bad(bad_order("elsewhere")._replace(topic=Topic.SUB_ORDERS), "unknown_type", Topic.ORDERS),
        Bad(with_quantity("64 bits", str(2**64 + 1)), "invalid", "lines[0].quantity"),
        Bad(with_quantity("digits", "9" * 5000), "invalid", "lines[0].quantity"),
        Bad(with_quantity("float", "1.0"), "invalid", "lines[0].quantity"),
        Bad(with_quantity("boolean", "true"), "invalid", "lines[0].quantity"),
        Bad(with_quantity("zero", "0"), "invalid", "lines[0].quantity"),
        Bad(bad_order("10 000 lines", lines=lines * 10_000), "invalid", "lines"),
        Bad(bad_order("no lines", lines=[]), "invalid", "lines"),
        Bad(bad_order("control", lines=[{"sku": "A\u0007", "quantity": 1}]), "invalid", "lines[0].sku"),
        Bad(rewritten(bad_order("raw control", note="N"), '"N"', '"\x07"'), "undecodable", "JSON"),
        Bad(order("cancelled", account_id, "bad \u0085", "bad id"), "invalid", "event_id"),
        Bad(order("cancelled", account_id, "bad long", "x" * 129), "invalid", "order_id"),
        Bad(order("cancelled", account_id, "bad reason", "bad reason", reason="x" * 1_000_000), "invalid", "reason"),
        Bad(count(account_id, "bad count", "w", {"A": 1}, part=2), "invalid", "part"),
        Bad(command("archive.requested", account_id, "bad request", ""), "invalid", "order_id"),
        *(Bad(bad_order(f"key {key!r}")._replace(key=key), "key_mismatch", "key") for key in (None, b"", b"else")),
        Bad(order("created", elsewhere, "bad place", "bad place", lines=lines), "wrong_partition", "account_id"),
        Bad(bad_order("day", occurred_at=rfc3339(now_ms + 25 * HOUR_MS)), "future", "occurred_at"),
        Bad(count(account_id, "soon", "w", {"A": 1}, as_of=rfc3339(now_ms + 20 * MINUTE_MS)), "future", "as_of"),
        Bad(bad_order("old", occurred_at=rfc3339(now_ms - 91 * 24 * HOUR_MS)), "too_late", "occurred_at"),
        Bad(rewritten(known, '"quantity": 5', '"quantity": 77'), "conflict", "event_id"),
    ]
