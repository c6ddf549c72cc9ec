"""Laws of the decoder: whatever the bytes, an event or a refusal; limits exact; spelling without effect."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.decoding import Refused, decode, id_and_time_of, order_of
from schemas.identity import identity_of
from schemas.times import read_time, time_text
from schemas.topics import LEDGER, Topic

COMMON = {"event_id": "e-1", "account_id": "a-1", "occurred_at": "2026-03-04T05:06:07.123Z"}
CREATED: dict[str, Any] = {
    **COMMON,
    "type": "order.created",
    "order_id": "o-1",
    "lines": [{"sku": "s-1", "quantity": 2}],
}
AMENDED: dict[str, Any] = {**CREATED, "type": "order.amended", "revision": 1}
CANCELLED: dict[str, Any] = {**COMMON, "type": "order.cancelled", "order_id": "o-1"}
SPLIT: dict[str, Any] = {**COMMON, "type": "sub_order.split", "order_id": "o-1", "sub_order_id": "o-1-1"}
COUNTED: dict[str, Any] = {
    **COMMON,
    "type": "stock.counted",
    "origin": "wms",
    "snapshot_id": "n-1",
    "part": 1,
    "parts": 10**9,
    "warehouse_id": "w-1",
    "as_of": "2026-03-04T05:00:00Z",
    "counts": [{"sku": "s-1", "on_hand": 3}],
}
ADJUSTED: dict[str, Any] = {**COMMON, "type": "stock.adjusted", "warehouse_id": "w-1", "sku": "s-1", "delta": 3}
DISCARDED: dict[str, Any] = {**COMMON, "type": "dead_letter.discarded", "order_id": "o-1", "dead_letter_id": "t/0/1"}

topics = st.sampled_from(LEDGER.inputs)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=10
)
field_names = st.sampled_from([*CREATED, *AMENDED, *COUNTED, *ADJUSTED, "children", "sub_order_id", "x"])


def written(fields: object, *, ensure_ascii: bool = False) -> bytes:
    return json.dumps(fields, ensure_ascii=ensure_ascii).encode()


def decode_or_refuse(topic: Topic, value: bytes | None) -> str:
    """The code of the refusal or "taken"; anything else that is raised fails the test."""
    order_of(value, b"a-1")
    id_and_time_of(value)
    try:
        identity_of(decode(topic, value).event)
    except Refused as caught:
        refused = caught
    else:
        return "taken"
    assert refused.message.endswith(".")
    assert refused.message.encode()
    return refused.code


def is_taken(topic: Topic, fields: object) -> bool:
    code = decode_or_refuse(topic, written(fields))
    assert code in {"taken", "invalid"}
    return code == "taken"


@given(topics, st.binary())
def test_any_bytes_are_an_event_or_refused(topic: Topic, value: bytes) -> None:
    assert decode_or_refuse(topic, value) != "taken"


@given(topics, json_values)
def test_any_json_is_an_event_or_refused(topic: Topic, document: object) -> None:
    code = decode_or_refuse(topic, written(document))
    assert code == ("unknown_type" if isinstance(document, dict) else "undecodable")


@given(
    fields=st.sampled_from([CREATED, AMENDED, COUNTED, ADJUSTED, SPLIT]),
    name=field_names,
    value=json_values,
    ensure_ascii=st.booleans(),
)
def test_any_value_in_any_field_is_an_event_or_refused(
    fields: dict[str, Any], name: str, value: object, *, ensure_ascii: bool
) -> None:
    for topic in LEDGER.inputs:
        code = decode_or_refuse(topic, written({**fields, name: value}, ensure_ascii=ensure_ascii))
        assert code in {"taken", "invalid", "unknown_type"}


@given(st.data())
def test_an_event_with_some_bytes_changed_is_an_event_or_refused(data: st.DataObject) -> None:
    whole = written(data.draw(st.sampled_from([CREATED, COUNTED, ADJUSTED])), ensure_ascii=True)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 20)))
    value = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    code = decode_or_refuse(Topic.ORDERS, value)
    assert (code == "undecodable") == (not is_json_object(value)), value


def is_json_object(value: bytes) -> bool:
    """An oracle built otherwise than the decoder: the standard library's parser and a look at every string it read."""
    try:
        text = value.decode()
        document = json.loads(text, parse_constant=lambda name: [][len(name)])
        json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, IndexError):
        return False
    # A repeated key hides what its first value held, so look at the escapes as well: pairs stand side by side.
    escapes = re.sub(r"\\\\", "", text)
    lone = re.sub(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", escapes)
    return isinstance(document, dict) and re.search(r"\\u[dD][89a-fA-F]", lone) is None


@given(st.lists(st.tuples(st.sampled_from([*CREATED, "reason", "source"]), json_values), min_size=1, max_size=6))
def test_repeated_keys_mean_what_their_last_values_mean(pairs: list[tuple[str, object]]) -> None:
    spelled = [*CREATED.items(), *pairs, *[item for item in CREATED.items() if item[0] != pairs[0][0]]]
    value = ("{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in spelled) + "}").encode()
    last = written(dict(spelled))
    code = decode_or_refuse(Topic.ORDERS, value)
    assert code == decode_or_refuse(Topic.ORDERS, last)
    if code == "taken":
        assert decode(Topic.ORDERS, value) == decode(Topic.ORDERS, last)


@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=140), ensure_ascii=st.booleans())
@example(text="", ensure_ascii=False)
@example(text="😀" * 128, ensure_ascii=True)
@example(text="😀" * 129, ensure_ascii=True)
@example(text="\x80", ensure_ascii=False)
@example(text="\xa0", ensure_ascii=False)
def test_an_id_is_1_to_128_code_points_without_control_characters(text: str, *, ensure_ascii: bool) -> None:
    good = 1 <= len(text) <= 128 and not any(ord(sign) < 0x20 or 0x7F <= ord(sign) <= 0x9F for sign in text)
    places: list[tuple[Topic, dict[str, Any]]] = [
        (Topic.ORDERS, {**CREATED, "account_id": text}),
        (Topic.ORDERS, {**CREATED, "lines": [{"sku": "s", "quantity": 1, "warehouse_id": text}]}),
        (Topic.STOCK, {**COUNTED, "counts": [{"sku": text, "on_hand": 1}]}),
        (Topic.STOCK, {**ADJUSTED, "sku": text}),
    ]
    for topic, fields in places:
        code = decode_or_refuse(topic, written(fields, ensure_ascii=ensure_ascii))
        assert code == ("taken" if good else "invalid")


def lines(number: int) -> list[dict[str, Any]]:
    return [{"sku": "s", "quantity": 1}] * number


def counts(number: int) -> list[dict[str, Any]]:
    return [{"sku": f"s-{count}", "on_hand": 0} for count in range(number)]


def children(number: int) -> list[dict[str, Any]]:
    return [{"sub_order_id": f"c-{child}", "lines": lines(1)} for child in range(number)]


def of_line(**changes: object) -> dict[str, Any]:
    return {"lines": [{"sku": "s", "quantity": 1, **changes}]}


def of_count(**changes: object) -> dict[str, Any]:
    return {"counts": [{"sku": "s", "on_hand": 1, **changes}]}


@pytest.mark.parametrize(
    ("topic", "fields", "taken", "refused"),
    [
        *[
            (topic, fields, [{name: "x"}, {name: "я" * 128}, {name: "😀" * 128}], [{name: ""}, {name: "😀" * 129}])
            for topic, fields, name in [
                (Topic.ORDERS, CREATED, "event_id"),
                (Topic.ORDERS, CREATED, "account_id"),
                (Topic.ORDERS, CREATED, "order_id"),
                (Topic.STOCK, COUNTED, "snapshot_id"),
                (Topic.STOCK, COUNTED, "warehouse_id"),
                (Topic.STOCK, ADJUSTED, "sku"),
            ]
        ],
        (Topic.ORDERS, CREATED, [of_line(sku="x" * 128)], [of_line(sku="x" * 129), of_line(sku="")]),
        (Topic.ORDERS, CREATED, [of_line(warehouse_id="x" * 128)], [of_line(warehouse_id="x" * 129)]),
        (
            Topic.ORDERS,
            CREATED,
            [of_line(quantity=1), of_line(quantity=10**9)],
            [of_line(quantity=0), of_line(quantity=10**9 + 1)],
        ),
        (Topic.ORDERS, CREATED, [{"lines": lines(1)}, {"lines": lines(1000)}], [{"lines": []}, {"lines": lines(1001)}]),
        (Topic.ORDERS, CREATED, [{"source": ""}, {"source": "я" * 1000}], [{"source": "я" * 1001}]),
        (Topic.ORDERS, CANCELLED, [{"reason": ""}, {"reason": "😀" * 1000}], [{"reason": "😀" * 1001}]),
        (
            Topic.ORDERS,
            AMENDED,
            [{"revision": 1}, {"revision": 10**9}],
            [{"revision": 0}, {"revision": 10**9 + 1}, {"revision": None}],
        ),
        (
            Topic.SUB_ORDERS,
            SPLIT,
            [{"children": children(1)}, {"children": children(100)}],
            [{"children": []}, {"children": children(101)}, {"children": None}],
        ),
        (Topic.STOCK, COUNTED, [{"counts": []}, {"counts": counts(5000)}], [{"counts": counts(5001)}]),
        (
            Topic.STOCK,
            COUNTED,
            [of_count(on_hand=10**9), of_count(on_hand=-(10**9)), of_count(on_hand=0)],
            [of_count(on_hand=10**9 + 1), of_count(on_hand=-(10**9) - 1), of_count(on_hand=None)],
        ),
        (
            Topic.STOCK,
            COUNTED,
            [of_count(reserved=0), of_count(reserved=10**9), of_count(reserved=None)],
            [of_count(reserved=-1), of_count(reserved=10**9 + 1)],
        ),
        (
            Topic.STOCK,
            COUNTED,
            [{"part": 1, "parts": 1}, {"part": 10**9}],
            [{"part": 0}, {"parts": 10**9 + 1}, {"part": 3, "parts": 2}],
        ),
        (
            Topic.STOCK,
            ADJUSTED,
            [{"delta": 1}, {"delta": -1}, {"delta": 10**9}, {"delta": -(10**9)}],
            [{"delta": 0}, {"delta": 10**9 + 1}, {"delta": -(10**9) - 1}],
        ),
        (
            Topic.COMMANDS,
            DISCARDED,
            [{"dead_letter_id": "x"}, {"dead_letter_id": "я" * 512}],
            [{"dead_letter_id": ""}, {"dead_letter_id": "я" * 513}],
        ),
    ],
)
def test_limits_hold_exactly(
    topic: Topic, fields: dict[str, Any], taken: list[dict[str, Any]], refused: list[dict[str, Any]]
) -> None:
    for change in taken:
        assert is_taken(topic, {**fields, **change}), change
    for change in refused:
        assert not is_taken(topic, {**fields, **change}), change


OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001  # the offset is drawn apart
    OFFSETS,
    st.integers(0, 12),
    st.sampled_from("Tt "),
)
def test_every_spelling_of_an_instant_is_read_as_that_instant(
    local: datetime, offset_minutes: int, digits: int, separator: str
) -> None:
    fraction = f"{local.microsecond:06}999999"[:digits]
    size = abs(offset_minutes)
    offset = f"{'-' if offset_minutes < 0 else '+'}{size // 60:02}:{size % 60:02}"
    spelled = f"{local.replace(microsecond=0).isoformat(separator)}{'.' if digits else ''}{fraction}{offset}"
    normal, ms = read_time(spelled)
    expected = local.replace(microsecond=int((fraction + "000")[:3]) * 1000) - timedelta(minutes=offset_minutes)
    assert normal == expected.isoformat(timespec="milliseconds") + "Z"
    assert ms == (expected.replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert time_text(ms) == normal


SPELLED = ["2026-03-04T05:06:07.123Z", "2026-03-04 05:06:07z", "2024-02-29t23:59:59.123456+03:30"]


@given(st.data())
def test_whatever_is_taken_as_a_time_is_the_same_instant_to_another_parser(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(SPELLED))
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        text = (
            text[:place] + data.draw(st.text(st.sampled_from("0123456789-:.TWZz+ ,"), max_size=2)) + text[place + 1 :]
        )
    try:
        normal, ms = read_time(text)
    except ValueError:
        return
    assume(":60" not in text)  # msgspec knows no leap seconds
    other = msgspec.convert(re.sub(r"([.][0-9]{6})[0-9]+", r"\1", text).upper(), datetime)
    assert (other - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1) == ms
    assert read_time(normal) == (normal, ms)


@given(st.datetimes(timezones=st.just(UTC)), OFFSETS)
def test_the_spelling_of_times_does_not_change_identity(instant: datetime, offset_minutes: int) -> None:
    instant = min(max(instant, datetime(2, 1, 1, tzinfo=UTC)), datetime(9998, 12, 31, tzinfo=UTC))
    there = instant.astimezone(timezone(timedelta(minutes=offset_minutes)))
    identities = {
        identity_of(decode(Topic.STOCK, written({**ADJUSTED, "occurred_at": time.isoformat()})).event)
        for time in (instant, there)
    }
    assert len(identities) == 1
