"""The decoder: which records are events, which are refused, with which code and in which words."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgspec
import pytest

from schemas.catalogue import TYPES
from schemas.decoding import _DECODE, Refused, decode, id_and_time_of, order_of
from schemas.inputs import (
    Count,
    InputEvent,
    Line,
    OrderCreated,
    OrderLine,
    StockCounted,
    SubOrderCancelled,
    SubOrderSplit,
)
from schemas.outputs import Output
from schemas.topics import LEDGER, Topic

COMMON = {"event_id": "e-1", "account_id": "a-1", "occurred_at": "2026-03-04T05:06:07.123Z"}
OF_SUB_ORDER = {**COMMON, "order_id": "o-1", "sub_order_id": "o-1-1"}
CREATED: dict[str, Any] = {
    **COMMON,
    "type": "order.created",
    "order_id": "o-1",
    "lines": [{"sku": "s-1", "quantity": 2}],
}
SPLIT: dict[str, Any] = {
    **OF_SUB_ORDER,
    "type": "sub_order.split",
    "children": [{"sub_order_id": "o-1-2", "lines": [{"sku": "s-1", "quantity": 1}]}],
}
COUNTED: dict[str, Any] = {
    **COMMON,
    "type": "stock.counted",
    "origin": "erp",
    "snapshot_id": "n-1",
    "part": 1,
    "parts": 1,
    "warehouse_id": "w-1",
    "as_of": "2026-03-04T05:00:00+03:00",
    "counts": [{"sku": "s-1", "on_hand": -3}],
}
ADJUSTED: dict[str, Any] = {**COMMON, "type": "stock.adjusted", "warehouse_id": "w-1", "sku": "s-1", "delta": 3}
TRANSFERRED = {**CREATED, "type": "stock.transferred", "from_warehouse_id": "a", "to_warehouse_id": "b"}
DISCARDED: dict[str, Any] = {
    **COMMON,
    "type": "dead_letter.discarded",
    "order_id": "o-1",
    "dead_letter_id": "orders.events.v1/0/7",
}


def written(fields: dict[str, Any], **changes: object) -> bytes:
    return json.dumps({**fields, **changes}, ensure_ascii=False).encode()


def refusal(topic: Topic, value: bytes | None) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(topic, value)
    return caught.value


# What is taken.


def test_an_event_is_read_in_its_normal_form() -> None:
    decoded = decode(Topic.ORDERS, written(CREATED, occurred_at="2026-03-04T08:06:07.1239+03:00", source="ozon"))
    assert decoded.event == OrderCreated(
        event_id="e-1",
        account_id="a-1",
        occurred_at="2026-03-04T05:06:07.123Z",
        order_id="o-1",
        lines=[OrderLine("s-1", 2)],
    )
    assert decoded.occurred_at_ms == 1_772_600_767_123
    assert decoded.as_of_ms == 0


def test_a_count_has_its_as_of_in_milliseconds_and_no_stated_default() -> None:
    decoded = decode(Topic.STOCK, written(COUNTED, absent="unknown"))
    assert isinstance(decoded.event, StockCounted)
    assert decoded.event.absent is None
    assert decoded.event.as_of == "2026-03-04T02:00:00.000Z"
    assert decoded.as_of_ms == decoded.occurred_at_ms - (3 * 3600 + 6 * 60 + 7) * 1000 - 123
    assert decoded.event.counts == [Count("s-1", -3)]


def test_null_means_absent() -> None:
    value = written({**OF_SUB_ORDER, "type": "sub_order.cancelled", "reason": None, "lines": None, "source": None})
    event = decode(Topic.SUB_ORDERS, value).event
    assert isinstance(event, SubOrderCancelled)
    assert (event.reason, event.lines, event.source) == (None, None, None)


def test_unknown_fields_are_ignored_whatever_they_hold() -> None:
    plain = decode(Topic.ORDERS, written(CREATED))
    extra = b'{"x":[1e999,-0.0,{"y":"\\u0000\x7f"}],"z":' + b"9" * 5000 + b"," + written(CREATED)[1:]
    assert decode(Topic.ORDERS, extra) == plain


@pytest.mark.parametrize(
    "repeated",
    [
        '"order_id":5,"order_id":"o-1"',
        '"order_id":"other","order_id":"o-1"',
        '"order_id":"","order\\u005fid":"o-1"',
        '"order_id":"o-1","lines":[],"lines":[{"sku":"s-1","quantity":2}]',
        '"order_id":"o-1","type":"order.created"',
        '"type":"order.cancelled","order_id":"o-1","type":"order.created"',
        '"type":7,"type":"nonsense","order_id":"o-1","type":"order.created"',
    ],
)
def test_of_a_repeated_key_the_last_counts(repeated: str) -> None:
    once = json.loads(f"{{{repeated}}}")
    others = json.dumps({name: value for name, value in CREATED.items() if name not in once})[1:-1]
    for fields in (f"{{{repeated},{others}}}", f"{{{others},{repeated}}}"):
        assert decode(Topic.ORDERS, fields.encode()) == decode(Topic.ORDERS, written(CREATED))


def test_a_good_value_does_not_excuse_a_bad_one_that_repeats_its_key() -> None:
    value = written(CREATED)[:-1] + b',"order_id":"o-1","order_id":5}'
    assert refusal(Topic.ORDERS, value).code == "invalid"


def test_repeated_skus_are_two_lines_but_for_counts() -> None:
    lines = [{"sku": "s-1", "quantity": 1}, {"sku": "s-1", "quantity": 2}]
    event = decode(Topic.SUB_ORDERS, written({**OF_SUB_ORDER, "type": "sub_order.cancelled", "lines": lines})).event
    assert isinstance(event, SubOrderCancelled)
    assert event.lines == [Line("s-1", 1), Line("s-1", 2)]


@pytest.mark.parametrize("text", ["a/b%2F", "заказ-7", "訂單", "x y", '"\\', "\u00a0", "\u2028", "😀" * 128, "x" * 128])
def test_ids_hold_any_code_points_but_control_characters(text: str) -> None:
    for ensure_ascii in (True, False):
        value = json.dumps({**CREATED, "order_id": text}, ensure_ascii=ensure_ascii).encode()
        event = decode(Topic.ORDERS, value).event
        assert isinstance(event, OrderCreated)
        assert event.order_id == text


def test_texts_that_are_no_ids_may_hold_control_characters() -> None:
    decode(Topic.STOCK, written(ADJUSTED, reason="line one\nline two\x7f\x85"))
    decode(Topic.STOCK, written(ADJUSTED, source="\x00"))


# What is refused, and why.


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "The record has no value."),
        (b"", "The value is not JSON"),
        (b"{", "The value is not JSON"),
        (b"\xff", "The value is not UTF-8"),
        (b"\xef\xbb\xbf{}", "The value is not JSON"),
        ("{}".encode("utf-16"), "The value is not UTF-8"),
        (b"null", "not an object"),
        (b"[]", "not an object"),
        (b'"x"', "not an object"),
        (b"{} {}", "The value is not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b'{"x":"\\ud800"}', "lone surrogate"),
        (b'{"\\udc00":1}', "lone surrogate"),
        (b'{"x":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"x":NaN}', "NaN"),
        (b'{"x":-Infinity}', "-Infinity"),
        (b'{"x":01}', "not JSON"),
        (b'{"x":"\n"}', "not JSON"),
        (b"{'x':1}", "not JSON"),
    ],
)
def test_what_is_not_a_utf_8_json_object_is_undecodable(value: bytes | None, told: str) -> None:
    found = refusal(Topic.ORDERS, value)
    assert (found.code, told in found.message) == ("undecodable", True), found.message


@pytest.mark.parametrize(
    "broken", [b'"\xff"', b'"\\ud800"', b'"\xed\xa0\x80"', b"NaN", b"[" * 100_000 + b"]" * 100_000, b'"\\q"', b"tru"]
)
@pytest.mark.parametrize("name", ["comment", "reason", "order_id"])
def test_a_broken_field_anywhere_makes_the_record_undecodable(broken: bytes, name: str) -> None:
    field = b'"' + name.encode() + b'":' + broken
    for good in (
        written({**COMMON, "type": "order.cancelled", "order_id": "o-1"}),
        written(CREATED, lines=[]),
        written({"type": "nonsense"}),
        b'{"type":5}',
    ):
        assert refusal(Topic.ORDERS, good[:-1] + b"," + field + b"}").code == "undecodable"
        assert refusal(Topic.ORDERS, b"{" + field + b"," + good[1:]).code == "undecodable"


@pytest.mark.parametrize(
    ("tag", "told"),
    [
        (None, "The field type is missing."),
        (5, "The field type is not a string."),
        (["order.created"], "The field type is not a string."),
        ("", 'The field type says "", which is not known.'),
        ("order.paid", 'The field type says "order.paid", which is not known.'),
        ("Order.Created", 'The field type says "Order.Created", which is not known (did you mean order.created?).'),
        ("stock.moved", 'The field type says "stock.moved", which belongs to stock.movements.v1.'),
        ("stock.counted", 'The field type says "stock.counted", which belongs to stock.events.v1.'),
    ],
)
def test_a_type_of_another_topic_is_unknown_even_if_the_fields_are_bad(tag: object, told: str) -> None:
    for value in (written(CREATED, type=tag), written(CREATED, type=tag, lines=7)):
        found = refusal(Topic.ORDERS, value)
        assert (found.code, found.message) == ("unknown_type", told)
    untyped = {name: value for name, value in CREATED.items() if name != "type"}
    assert refusal(Topic.ORDERS, written(untyped)).code == "unknown_type"


def test_every_type_belongs_to_one_topic_only() -> None:
    for topic in (Topic.SUB_ORDERS, Topic.STOCK, Topic.COMMANDS):
        assert refusal(topic, written(CREATED)).code == "unknown_type"


@pytest.mark.parametrize(
    ("topic", "fields", "changes", "told"),
    [
        (Topic.ORDERS, CREATED, {"order_id": ""}, "The field order_id must have at least 1 character."),
        (
            Topic.ORDERS,
            CREATED,
            {"order_id": "x" * 129},
            "The field order_id must have at most 128 characters.",
        ),
        (Topic.ORDERS, CREATED, {"order_id": None}, "The field order_id is null, and must be a text."),
        (Topic.ORDERS, CREATED, {"order_id": 7}, "The field order_id is a whole number, and must be a text."),
        (Topic.ORDERS, CREATED, {"order_id": "a\tb"}, "The field order_id holds the control character U+0009."),
        (Topic.ORDERS, CREATED, {"account_id": "\x7f"}, "The field account_id holds the control character U+007F."),
        (Topic.ORDERS, CREATED, {"event_id": "a\x85"}, "The field event_id holds the control character U+0085."),
        (Topic.ORDERS, CREATED, {"lines": None}, "The field lines is null, and must be a list."),
        (Topic.ORDERS, CREATED, {"lines": []}, "The field lines must have at least 1 entry."),
        (Topic.ORDERS, CREATED, {"lines": [{"sku": "s"}]}, "The field lines[0].quantity is missing."),
        (
            Topic.ORDERS,
            CREATED,
            {"lines": [{"sku": "s", "quantity": 1}, {"sku": "s", "quantity": 1.0}]},
            "The field lines[1].quantity is a number with a fraction, and must be a whole number.",
        ),
        (
            Topic.ORDERS,
            CREATED,
            {"lines": [{"sku": "s\x9f", "quantity": 1}]},
            "The field lines[0].sku holds the control character U+009F.",
        ),
        (Topic.ORDERS, CREATED, {"source": 1}, "The field source is a whole number, and must be a text."),
        (
            Topic.ORDERS,
            CREATED,
            {"occurred_at": "2026-03-04T05:06:07"},
            "The field occurred_at is not an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z.",
        ),
        (Topic.ORDERS, CREATED, {"occurred_at": 0}, "The field occurred_at is a whole number, and must be a text."),
        (
            Topic.SUB_ORDERS,
            SPLIT,
            {"children": [SPLIT["children"][0], SPLIT["children"][0]]},
            "The field children[1].sub_order_id is that of another child.",
        ),
        (
            Topic.SUB_ORDERS,
            SPLIT,
            {"sub_order_id": "o-1-2"},
            "The field children[0].sub_order_id is the parent's own.",
        ),
        (
            Topic.SUB_ORDERS,
            SPLIT,
            {"children": [{"sub_order_id": "x", "lines": [{"sku": "\n", "quantity": 1}]}]},
            "The field children[0].lines[0].sku holds the control character U+000A.",
        ),
        (Topic.STOCK, COUNTED, {"part": 2}, "The field part is 2, more than the field parts, 1."),
        (
            Topic.STOCK,
            COUNTED,
            {"counts": [{"sku": "s", "on_hand": 1}, {"sku": "s", "on_hand": 1}]},
            'The field counts[1].sku repeats "s": a count has each SKU once.',
        ),
        (
            Topic.STOCK,
            COUNTED,
            {"as_of": "yesterday"},
            "The field as_of is not an RFC 3339 time with an offset, such as 2026-01-31T09:30:00Z.",
        ),
        (Topic.STOCK, COUNTED, {"absent": "gone"}, 'The field absent is "gone", and must be one of unknown, zero.'),
        (Topic.STOCK, ADJUSTED, {"delta": 0}, "The field delta is 0."),
        (
            Topic.STOCK,
            TRANSFERRED,
            {"to_warehouse_id": "a"},
            "The field to_warehouse_id is the same as from_warehouse_id.",
        ),
        (
            Topic.COMMANDS,
            DISCARDED,
            {"dead_letter_id": "x\x00"},
            "The field dead_letter_id holds the control character U+0000.",
        ),
    ],
)
def test_an_invalid_field_is_named_in_a_sentence(
    topic: Topic, fields: dict[str, Any], changes: dict[str, object], told: str
) -> None:
    found = refusal(topic, written(fields, **changes))
    assert (found.code, found.message) == ("invalid", told)


@pytest.mark.parametrize(
    "digits", ["1.0", "1e0", "10E-1", "true", '"1"', "null", "0", "-1", "1000000001", "9" * 30, "9" * 5000]
)
def test_a_quantity_is_an_integer_from_1_to_a_billion(digits: str) -> None:
    value = written(CREATED).replace(b'"quantity": 2', f'"quantity": {digits}'.encode())
    found = refusal(Topic.ORDERS, value)
    assert found.code == "invalid"
    assert "lines[0].quantity" in found.message


def test_a_message_stays_short_whatever_the_record_holds() -> None:
    long = "я" * 1_000_000
    for value in (written(CREATED, type=long), written(COUNTED, absent=long), written(COUNTED, origin=long)):
        topic = Topic.ORDERS if b"order.created" in value else Topic.STOCK
        assert len(refusal(topic, value).message) < 500


# What can be read of a record that may be refused.


def test_a_refused_record_still_has_its_order_event_id_and_time() -> None:
    value = written(CREATED, lines=[], type=None, occurred_at="2026-01-31T09:30:00+01:00")
    assert order_of(value, b"a-1") == ("a-1", "o-1")
    assert id_and_time_of(value) == ("e-1", "2026-01-31T08:30:00.000Z")


@pytest.mark.parametrize("bad", [None, "", 7, "2026-02-30T00:00:00Z", "2026-01-31", [], "\x00"])
def test_a_time_that_is_none_is_not_read(bad: object) -> None:
    assert id_and_time_of(written(CREATED, occurred_at=bad)) == ("e-1", None)


@pytest.mark.parametrize("key", [None, b"", b"a-2", b"\xff"])
def test_a_record_belongs_to_no_order_if_its_key_is_not_its_account(key: bytes | None) -> None:
    assert order_of(written(CREATED), key) is None


@pytest.mark.parametrize("bad", [None, "", 7, "x" * 129, "a\x00"])
def test_a_record_belongs_to_no_order_if_its_ids_are_not_valid(bad: object) -> None:
    assert order_of(written(CREATED, order_id=bad), b"a-1") is None
    assert id_and_time_of(written(CREATED, event_id=bad))[0] is None
    key = bad.encode() if isinstance(bad, str) else b"a-1"
    assert order_of(written(CREATED, account_id=bad), key) is None


@pytest.mark.parametrize("value", [None, b"", b"[]", b"\xff", b"{", b"[" * 100_000, b'{"event_id":"\\ud800"}'])
def test_nothing_is_read_of_an_undecodable_record(value: bytes | None) -> None:
    assert order_of(value, b"a-1") is None
    assert id_and_time_of(value) == (None, None)


def test_the_event_of_a_split_keeps_the_order_of_its_children() -> None:
    children = [{"sub_order_id": name, "lines": [{"sku": "s", "quantity": 1}]} for name in ("c", "a", "b")]
    event = decode(Topic.SUB_ORDERS, written(SPLIT, children=children)).event
    assert isinstance(event, SubOrderSplit)
    assert [child.sub_order_id for child in event.children] == ["c", "a", "b"]


# Closed sets.


def test_every_input_topic_is_decoded() -> None:
    assert _DECODE.keys() == set(LEDGER.inputs)


def test_every_time_of_an_event_is_read() -> None:
    # A field that the decoder does not bring into its normal form would be compared as it is spelled.
    times = {(kind, field) for kind in get_args(InputEvent) for field in _times_of(kind)}
    assert {(kind, field) for kind, field in times if field != "occurred_at"} == {(StockCounted, "as_of")}


def _times_of(kind: type) -> set[str]:
    schema = msgspec.json.schema(kind)["$defs"][kind.__name__]["properties"]
    return {name for name, described in schema.items() if "date-time" in str(described)}


def test_every_output_is_carried_by_a_topic() -> None:
    assert {kind for topic in LEDGER.outputs for kind in TYPES.get(topic, {}).values()} == set(get_args(Output))
