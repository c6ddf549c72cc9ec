"""When two events are the same: by their ids and their content."""

from __future__ import annotations

import json
from typing import Any

from schemas.decoding import decode
from schemas.identity import identity_of
from schemas.topics import Topic

ADJUSTED = {
    "type": "stock.adjusted",
    "event_id": "e-1",
    "account_id": "a-1",
    "occurred_at": "2026-03-04T05:06:07.123Z",
    "warehouse_id": "w-1",
    "sku": "s-1",
    "delta": 3,
}
COUNTED = {
    "type": "stock.counted",
    "event_id": "e-1",
    "account_id": "a-1",
    "occurred_at": "2026-03-04T05:06:07.123Z",
    "origin": "erp",
    "snapshot_id": "n-1",
    "part": 1,
    "parts": 2,
    "warehouse_id": "w-1",
    "as_of": "2026-03-04T05:00:00Z",
    "counts": [{"sku": "s-1", "on_hand": 3}, {"sku": "s-2", "on_hand": 4}],
}


def identity(fields: dict[str, Any], **changes: object) -> tuple[bytes, bytes]:
    return identity_of(decode(Topic.STOCK, json.dumps({**fields, **changes}).encode()).event)


def test_both_hashes_have_8_bytes() -> None:
    assert [len(digest) for digest in identity(ADJUSTED)] == [8, 8]


def test_identities_stay_as_they_are_because_the_state_keeps_them() -> None:
    assert [digest.hex() for digest in identity(ADJUSTED)] == ["3d21bc8729acd985", "8bde56b10ce9f377"]
    assert [digest.hex() for digest in identity(COUNTED)] == ["3d21bc8729acd985", "1b4c27907b4923ab"]


def test_another_event_id_changes_the_first_hash() -> None:
    assert identity(ADJUSTED)[0] != identity(ADJUSTED, event_id="e-2")[0]


def test_any_known_field_but_source_changes_the_content() -> None:
    changes: list[dict[str, object]] = [
        {"occurred_at": "2026-03-04T05:06:07.124Z"},
        {"warehouse_id": "w-2"},
        {"sku": "s-2"},
        {"delta": 4},
        {"reason": "breakage"},
    ]
    contents = {identity(ADJUSTED, **change)[1] for change in [{}, *changes]}
    assert len(contents) == 1 + len(changes)


def test_source_unknown_fields_and_spelling_change_no_identity() -> None:
    assert identity(ADJUSTED) == identity(
        ADJUSTED, source="erp", reason=None, comment="x", occurred_at="2026-03-04T08:06:07.1239+03:00"
    )


def test_the_content_of_a_count_is_only_parts_as_of_absent_and_counts() -> None:
    content = identity(COUNTED)[1]
    same: list[dict[str, object]] = [
        {"event_id": "e-2"},
        {"occurred_at": "2026-03-04T06:00:00Z"},
        {"absent": "unknown"},
        {"absent": None},
        {"as_of": "2026-03-04T08:00:00.0009+03:00"},
        {"source": "erp"},
    ]
    other: list[dict[str, object]] = [
        {"parts": 3},
        {"as_of": "2026-03-04T05:00:00.001Z"},
        {"absent": "zero"},
        {"counts": []},
        {"counts": COUNTED["counts"][::-1]},  # type: ignore[index]
        {"counts": [{"sku": "s-1", "on_hand": 3, "reserved": 0}, {"sku": "s-2", "on_hand": 4}]},
    ]
    assert {identity(COUNTED, **change)[1] for change in same} == {content}
    assert len({content, *(identity(COUNTED, **change)[1] for change in other)}) == 1 + len(other)


def test_events_of_different_types_with_equal_fields_differ() -> None:
    shared = {
        "event_id": "e",
        "account_id": "a",
        "occurred_at": "2026-03-04T05:06:07Z",
        "order_id": "o",
        "sub_order_id": "o-1",
    }
    contents = {
        identity_of(decode(Topic.SUB_ORDERS, json.dumps({**shared, "type": tag}).encode()).event)[1]
        for tag in ("sub_order.shipped", "sub_order.in_transit", "sub_order.label_issued")
    }
    assert len(contents) == 3
