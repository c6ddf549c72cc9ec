"""Laws of the encoders: the fast ones write what the types would write, and keys come apart as they were made."""

from __future__ import annotations

from typing import get_args
from urllib.parse import quote

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import UNSET

from schemas.encoding import (
    encode,
    envelope_of,
    json_string,
    key_of,
    level_changed,
    moved,
    parts_of,
    status_changed,
    stock_json,
)
from schemas.outputs import (
    Movement,
    OrderStatus,
    OrderStatusChanged,
    Output,
    StockLevelChanged,
    StockMoved,
    SubOrderStatus,
    UnitRow,
)

texts = st.text(st.characters(exclude_categories=["Cs"]))
event_ids = st.from_regex(r"[A-Za-z0-9._-]+/[0-9]+/[0-9]+/(0|[1-9][0-9]*)", fullmatch=True)
times = st.just("2026-03-04T05:06:07.123Z")
integers = st.integers(-(2**62), 2**62)
outputs = msgspec.json.Decoder[Output](Output)


def split_event_id(event_id: str) -> tuple[str, int]:
    source, _, number = event_id.rpartition("/")
    return source, int(number)


def optional(text: str | None) -> str | None:
    return None if text is None else json_string(text)


@given(
    envelope=st.tuples(event_ids, texts, times, st.none() | texts),
    movement=st.sampled_from(get_args(Movement)),
    stock=st.tuples(texts, texts),
    amounts=st.tuples(integers, integers, integers, st.none() | integers, integers, st.none() | integers),
    order=st.just(()) | st.tuples(texts) | st.tuples(texts, texts),
)
def test_a_movement_is_written_as_its_type_would_write_it(
    envelope: tuple[str, str, str, str | None],
    movement: Movement,
    stock: tuple[str, str],
    amounts: tuple[int, int, int, int | None, int, int | None],
    order: tuple[str, ...],
) -> None:
    event_id, account, occurred_at, cause = envelope
    names = ("order_id", "sub_order_id")
    source, number = split_event_id(event_id)
    value = moved(
        source,
        number,
        envelope_of(json_string(account), occurred_at, optional(cause)),
        movement,
        stock_json(*stock),
        *amounts,
        "".join(f',"{name}":{json_string(part)}' for name, part in zip(names, order, strict=False)),
    )
    quantity, frozen_delta, on_hand_delta, on_hand, frozen, available = amounts
    event = StockMoved(
        event_id=event_id,
        account_id=account,
        occurred_at=occurred_at,
        cause=UNSET if cause is None else cause,
        movement=movement,
        warehouse_id=stock[0],
        sku=stock[1],
        quantity=quantity,
        frozen_delta=frozen_delta,
        on_hand_delta=on_hand_delta,
        on_hand=on_hand,
        frozen=frozen,
        available=available,
        **dict(zip(names, order, strict=False)),
    )
    assert value == encode(event)
    assert outputs.decode(value) == event


@given(
    envelope=st.tuples(event_ids, texts, times, st.none() | texts),
    stock=st.tuples(texts, texts),
    amounts=st.tuples(st.none() | integers, integers, st.none() | integers, st.none() | integers),
    as_of=st.none() | times,
)
def test_a_level_is_written_as_its_type_would_write_it(
    envelope: tuple[str, str, str, str | None],
    stock: tuple[str, str],
    amounts: tuple[int | None, int, int | None, int | None],
    as_of: str | None,
) -> None:
    event_id, account, occurred_at, cause = envelope
    source, number = split_event_id(event_id)
    value = level_changed(
        source,
        number,
        envelope_of(json_string(account), occurred_at, optional(cause)),
        stock_json(*stock),
        *amounts,
        as_of,
    )
    on_hand, frozen, available, publishable = amounts
    event = StockLevelChanged(
        event_id=event_id,
        account_id=account,
        occurred_at=occurred_at,
        cause=UNSET if cause is None else cause,
        warehouse_id=stock[0],
        sku=stock[1],
        on_hand=on_hand,
        frozen=frozen,
        available=available,
        publishable=publishable,
        as_of=as_of,
    )
    assert value == encode(event)
    assert outputs.decode(value) == event


@given(
    envelope=st.tuples(event_ids, texts, times, st.none() | texts),
    order_id=texts,
    status=st.sampled_from(get_args(OrderStatus)),
    flags=st.tuples(st.booleans(), st.booleans()),
    sub_orders=st.dictionaries(texts, st.sampled_from(get_args(SubOrderStatus)), max_size=4),
    places=st.lists(st.tuples(st.integers(0, 4), texts, texts, integers, integers, integers), max_size=4),
)
def test_a_status_is_written_as_its_type_would_write_it(
    envelope: tuple[str, str, str, str | None],
    order_id: str,
    status: OrderStatus,
    flags: tuple[bool, bool],
    sub_orders: dict[str, SubOrderStatus],
    places: list[tuple[int, str, str, int, int, int]],
) -> None:
    owners = [None, *sub_orders]
    units = [UnitRow(owners[row[0] % len(owners)], *row[1:]) for row in places]
    event_id, account, occurred_at, cause = envelope
    source, number = split_event_id(event_id)
    value = status_changed(
        source,
        number,
        envelope_of(json_string(account), occurred_at, optional(cause)),
        json_string(order_id),
        status,
        *flags,
        sub_orders,
        [msgspec.structs.astuple(unit) for unit in units],
    )
    event = OrderStatusChanged(
        event_id=event_id,
        account_id=account,
        occurred_at=occurred_at,
        cause=UNSET if cause is None else cause,
        order_id=order_id,
        status=status,
        placed=flags[0],
        eligible=flags[1],
        sub_orders=sub_orders,
        units=units,
    )
    assert value == encode(event)
    assert outputs.decode(value) == event


@given(st.lists(texts, min_size=1, max_size=4))
@example(["a/b", "c%2Fd", "мск", ""])
def test_a_key_comes_apart_into_the_parts_it_was_made_of(parts: list[str]) -> None:
    key = key_of(*parts)
    assert parts_of(key) == tuple(parts)
    assert key == "/".join(quote(part, safe="-._~") for part in parts).encode()


@given(st.lists(texts, min_size=2, max_size=2), st.lists(texts, min_size=2, max_size=2))
@example(["a/b", "c"], ["a", "b/c"])
@example(["a%2Fb", "c"], ["a/b", "c"])
def test_different_parts_make_different_keys(one: list[str], other: list[str]) -> None:
    assert (key_of(*one) == key_of(*other)) == (one == other)
