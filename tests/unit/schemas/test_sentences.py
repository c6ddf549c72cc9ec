"""What is told of a record that is wrong, in words of people who send JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.decoding import Refused, decode
from schemas.topics import Topic

CREATED: dict[str, Any] = {
    "type": "sub_order.created",
    "event_id": "e",
    "account_id": "a",
    "occurred_at": "2026-03-04T05:06:07.123Z",
    "order_id": "o",
    "sub_order_id": "s",
    "warehouse_id": "w",
    "lines": [{"sku": "k", "quantity": 2}],
}


def told(without: str = "", **fields: object) -> str:
    body = {name: value for name, value in (CREATED | fields).items() if name != without}
    with pytest.raises(Refused) as caught:
        decode(Topic.SUB_ORDERS, json.dumps(body).encode())
    return caught.value.message


LINE_OF = "The field lines[0]"
SPLIT_REASON = (
    'The field split_reason is "warehose", and must be one of availability, carrier, compliance, seller_rule, '
    "warehouse (did you mean warehouse?)."
)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"lines": [{"sku": "k", "quantity": 0}]}, f"{LINE_OF}.quantity must be at least 1."),
        ({"lines": [{"sku": "k", "quantity": 10**10}]}, f"{LINE_OF}.quantity must be at most 1000000000."),
        ({"lines": [{"sku": "k", "quantity": "2"}]}, f"{LINE_OF}.quantity is a text, and must be a whole number."),
        ({"lines": {}}, "The field lines is an object, and must be a list."),
        ({"lines": [7]}, f"{LINE_OF} is a whole number, and must be an object."),
        ({"carrier": ["x"]}, "The field carrier is a list, and must be a text."),
        ({"warehouse_id": None}, "The field warehouse_id is null, and must be a text."),
        (
            {"lines": [{"skuu": "k", "quantity": 1}]},
            f'{LINE_OF}.sku is missing (did you mean it by the field "skuu"?).',
        ),
        ({"split_reason": "warehose"}, SPLIT_REASON),
        (
            {"type": "sub_order.create"},
            'The field type says "sub_order.create", which is not known (did you mean sub_order.created?).',
        ),
    ],
)
def test_a_field_that_is_wrong_is_told_without_the_words_of_a_program(fields: dict[str, Any], sentence: str) -> None:
    assert told(**fields) == sentence


def test_a_field_that_is_missing_is_told_with_the_one_that_was_meant() -> None:
    assert told(without="warehouse_id", depot="w") == "The field warehouse_id is missing."
    assert told(without="warehouse_id", warehouse="w") == (
        'The field warehouse_id is missing (did you mean it by the field "warehouse"?).'
    )
