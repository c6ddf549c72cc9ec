"""Orders as objects and as records."""

from __future__ import annotations

import msgspec
import pytest

from tests.state_fixture import CURRENT, read
from worker.domain.order.rows import decode_order, encode_order
from worker.domain.order.state import Claim, OrderState

RECORDS = [value for key, value in read(CURRENT).records if key.startswith("order/") and value is not None]
"""Between them they use every field: `test_state_fixture` sees to it."""


@pytest.mark.parametrize("record", RECORDS)
def test_an_order_that_was_thawed_freezes_to_the_same_record(record: bytes) -> None:
    assert encode_order(decode_order(record)) == record


def test_what_is_known_until_the_flush_alone_is_in_no_record() -> None:
    order = decode_order(RECORDS[0])
    assert (order.record, order.changed, order.sizeable) == (RECORDS[0], False, False)
    order.changed = order.sizeable = True
    assert encode_order(order) == RECORDS[0]


def test_a_new_order_has_no_record_and_knows_nothing() -> None:
    order = OrderState(3)
    assert (order.record, order.status, order.known, order.lines) == (None, 3, False, None)
    assert decode_order(encode_order(order)).status == 3


def test_orders_share_nothing_that_can_change() -> None:
    first, second = OrderState(), OrderState()
    first.dead_letters.append("t/0/1")
    first.claims["w"] = {"k": Claim()}
    first.claims["w"]["k"].moves.append(1)
    assert not second.dead_letters
    assert not second.claims
    assert not Claim().moves


def test_a_record_that_lacks_a_field_is_not_taken_for_an_order() -> None:
    fields = msgspec.msgpack.decode(RECORDS[0])
    with pytest.raises(msgspec.ValidationError):
        decode_order(msgspec.msgpack.encode(fields[:-1]))


@pytest.mark.parametrize(
    "other", [Claim(2), Claim(1, 1), Claim(1, 0, 1), Claim(1, 0, 0, [5, 1]), Claim(1, 0, 0, [], [5, 1])]
)
def test_claims_that_differ_not_only_in_moves_do_not_ask_the_same(other: Claim) -> None:
    assert not Claim(1).asks_as(other)


def test_claims_that_differ_in_their_moves_ask_the_same() -> None:
    assert Claim(1, moves=[5, 1]).asks_as(Claim(1))
