"""Orders of state version 1 are read, go on, and can be taken back."""

from __future__ import annotations

import msgspec
import pytest

from schemas.decoding import decode
from schemas.identity import identity_of
from schemas.topics import Topic
from tests.state_fixture import read
from tests.unit.domain.shop import DUPLICATE, Fields, Shop, body_of, lines, ms
from worker.domain.order.rows import decode_order, encode_order

RECORDS = [value for key, value in read("v1.2").records if key.startswith("order/") and value is not None]


def order_row_1(sub_order_row: tuple[object, ...], identities: bytes = b"") -> bytes:
    """A placed order of 5 of k at w, with the sub-order s, as version 1 wrote it."""
    lines_rank = (0, ms(0), "e")
    head: tuple[object, ...] = (1, {}, True, False, ms(0), ms(0), 8)
    facts: tuple[object, ...] = ({"k": {"w": 5}}, lines_rank, None, {}, identities, [], [], {"s": sub_order_row})
    return msgspec.msgpack.encode((*head, *facts))


def sub_order_row_1(
    shipped_at: int | None = None,
    moved_at: int | None = None,
    marks: int = 0,
    resumed_at: int | None = None,
    cancels: tuple[tuple[int, dict[str, int]], ...] = (),
    returns: dict[str, tuple[object, ...]] | None = None,
) -> tuple[object, ...]:
    given: tuple[object, ...] = ({"k": 5}, "w", None, (ms(1), "e"), [])
    return (8, *given, shipped_at, moved_at, marks, None, resumed_at, cancels, returns or {})


def shop_of(record: bytes) -> Shop:
    shop = Shop()
    shop.state = {b"order/a/o": record}
    return shop.restarted()


@pytest.mark.parametrize("record", RECORDS)
def test_an_order_of_version_1_is_written_as_one_of_today(record: bytes) -> None:
    order = decode_order(record)
    written = encode_order(order)
    assert order.identities_of_1 == len(order.identities)
    assert encode_order(decode_order(written)) == written


def test_what_is_no_order_of_any_version_is_an_error() -> None:
    fields = msgspec.msgpack.decode(RECORDS[0])
    with pytest.raises(msgspec.ValidationError):
        decode_order(msgspec.msgpack.encode(fields[:-1]))
    with pytest.raises(msgspec.ValidationError):
        decode_order(msgspec.msgpack.encode([3, *fields[1:]]))


def test_a_shipment_of_version_1_dates_from_the_earliest_event_of_it() -> None:
    order = decode_order(order_row_1(sub_order_row_1(shipped_at=ms(8), moved_at=ms(4), marks=2, resumed_at=ms(8))))
    assert order.sub_orders["s"].shipped_at == ms(4)


def test_a_shipment_of_version_1_can_be_voided() -> None:
    returned = (True, ms(7), {"k": 1}, (ms(7), "e"), True, (ms(7), "e"), None, None)
    row = sub_order_row_1(shipped_at=ms(3), moved_at=ms(4), marks=1 | 2, resumed_at=ms(7), returns={"r": returned})
    shop = shop_of(order_row_1(row))
    shop.say("sub_order.shipment_voided", 9)
    assert shop.units() == [("s", "w", "k", 5, 0, 0)]
    assert shop.status() == "processing"


def test_a_cancellation_of_version_1_can_be_taken_back() -> None:
    shop = shop_of(order_row_1(sub_order_row_1(marks=8, resumed_at=ms(5), cancels=((ms(3), {"k": 2}),))))
    shop.say("sub_order.cancelled", 3, lines=lines(1))
    assert shop.units() == [("s", "w", "k", 0, 0, 5)]
    shop.say("sub_order.reinstated", 2)
    assert shop.units() == [("s", "w", "k", 3, 0, 2)]
    shop.say("sub_order.reinstated", 3)
    assert shop.units() == [("s", "w", "k", 5, 0, 0)]


def test_a_label_of_version_1_still_ends_a_hold_after_a_void() -> None:
    shop = shop_of(order_row_1(sub_order_row_1(shipped_at=ms(3), resumed_at=ms(6))))
    shop.say("sub_order.on_hold", 5)
    shop.say("sub_order.shipment_voided", 7)
    assert shop.status() == "processing"


@pytest.mark.parametrize(
    ("kind", "since"),
    [
        ("sub_order.created", {"revision": 1, "lines": lines(5)}),
        ("sub_order.shipped", {"carrier": "c", "tracking_number": "t"}),
        ("sub_order.split", {"split_reason": "carrier", "children": [{"sub_order_id": "c", "lines": lines(1)}]}),
    ],
)
def test_an_identity_of_version_1_is_compared_by_the_fields_that_it_knew(kind: str, since: Fields) -> None:
    body = body_of(kind, 2, **since)
    known_then = {name: value for name, value in body.items() if name not in ("revision", "carrier", "split_reason")}
    decoded = decode(Topic.SUB_ORDERS, msgspec.json.encode(known_then))
    shop = shop_of(order_row_1(sub_order_row_1(), b"".join(identity_of(decoded.event))))
    assert shop.send(body).outcome == DUPLICATE
    assert shop.send({**body, "occurred_at": body_of(kind, 3)["occurred_at"]}).code == "conflict"


def test_an_identity_of_today_is_compared_by_all_fields() -> None:
    shop = Shop()
    body = body_of("sub_order.shipped", 2, tracking_number="t")
    shop.send(body)
    assert shop.send({**body, "carrier": "c"}).code == "conflict"
