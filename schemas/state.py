"""The records of the state topic, as they stand on the wire: msgpack arrays whose first element is the schema version.

They are shapes only; what they mean is decided in `worker.domain`. Each record rests in memory as its encoded bytes and
is decoded when an event touches it, so the fields that a restore needs stand first (`OrderHead`) and the rest is
skipped.

Keys are `kind/account/…`, each part percent-encoded:

| key | value |
|---|---|
| `account/A` | `AccountState` |
| `order/A/ORDER` | `OrderRow` |
| `retired/A/ORDER` | `RetiredOrder`: an order that left by retention |
| `pending/A/ORDER` | `PendingState`: what the pending dead letters of an order were refused with |
| `stock/A/WAREHOUSE/SKU` | `StockState`: the count of a stock key |
| `adjustment/A/ID` | `AdjustmentState`: an adjustment or a transfer, ID the hexadecimal hash of the event id |
| `flood/A` | `FloodState`: a flood of bad records from an account, until it ceases |
| `part/A/WAREHOUSE/ORIGIN/SNAPSHOT/PART` | `PartState`: one part of a remembered snapshot |

Times are UTC milliseconds. What frozen units and flows a key has is not stored: it follows from the orders, the retired
orders and the adjustments.
"""

from __future__ import annotations

from typing import Final

import msgspec

from schemas.outputs import OrderAlert

VERSION: Final = 2


Flow = tuple[str, str, int, int]
"""Warehouse, SKU, time, units (negative: they left)."""


Rank = tuple[int, str]
"""The time and the id of the event that gave a fact."""

LinesRank = tuple[int, int, str]
"""The revision, the time and the id of the event that gave an order or a sub-order its lines."""

ClaimRow = tuple[int, int, int, list[int], list[int], list[int]]
"""open, shipped, restocked, shipments, returns, moves."""

ReturnRow = tuple[
    bool, int | None, dict[str, int] | None, Rank | None, bool, Rank | None, str | None, Rank | None, bytes, int
]
"""started, returned_at, lines, lines_rank, restock, restock_rank, warehouse, warehouse_rank, timeline, withdrawn_at."""

CancelledRow = tuple[bytes, list[int], list[int]]
"""log, times, units."""

TakenBackRow = tuple[int, int, list[int], int, bool]
"""voided_at, reinstated_at, withdrawals, created_again_after, is_withdrawn. None is a time before all others."""

SubOrderRow = tuple[
    int,
    dict[str, int] | None,
    str | None,
    str | None,
    LinesRank | None,
    list[str],
    int | None,
    int,
    int | None,
    int | None,
    bytes,
    dict[str, CancelledRow],
    dict[str, ReturnRow],
    TakenBackRow | None,
]
"""status, lines, warehouse, parent, lines_rank, children, shipped_at, marks, held_at, resumed_at, timeline, cancels,
returns, taken_back.
"""

AlertRow = tuple[OrderAlert, str, str]
"""The alert, the sub-order (or empty), the SKU (or empty)."""

OrderRow = tuple[
    int,
    dict[str, dict[str, ClaimRow]],
    bool,
    bool,
    int,
    int,
    int,
    dict[str, dict[str, int]] | None,
    LinesRank | None,
    int | None,
    dict[str, dict[str, int]],
    bytes,
    list[str],
    list[AlertRow],
    dict[str, SubOrderRow],
    int | None,
    int,
]
"""version, claims, known, eligible, occurred_at_max, seen_at, status, lines, lines_rank, cancelled_at, uncovered,
identities, dead_letters, alerts, sub_orders, reinstated_at, identities_of_1. Their meaning:
`worker.domain.order.state`.
"""


ReturnRow1 = tuple[bool, int | None, dict[str, int] | None, Rank | None, bool, Rank | None, str | None, Rank | None]
"""A `ReturnRow` of version 1, up to warehouse_rank."""

SubOrderRow1 = tuple[
    int,
    dict[str, int] | None,
    str | None,
    str | None,
    Rank | None,
    list[str],
    int | None,
    int | None,
    int,
    int | None,
    int | None,
    list[tuple[int, dict[str, int]]],
    dict[str, ReturnRow1],
]
"""A `SubOrderRow` of version 1: status, lines, warehouse, parent, lines_rank, children, shipped_at, moved_at, marks,
held_at, resumed_at, cancels, returns. shipped_at was the earliest `shipped`, moved_at the earliest of the others that
imply a shipment.
"""

OrderRow1 = tuple[
    int,
    dict[str, dict[str, ClaimRow]],
    bool,
    bool,
    int,
    int,
    int,
    dict[str, dict[str, int]] | None,
    LinesRank | None,
    int | None,
    dict[str, dict[str, int]],
    bytes,
    list[str],
    list[AlertRow],
    dict[str, SubOrderRow1],
]
"""An `OrderRow` of version 1, up to sub_orders."""

ORDER_ROW_1_BEGINS: Final = b"\x9f\x01"
"""An array of 15 elements, the first of them version 1."""


class OrderHead(msgspec.Struct, array_like=True, gc=False):
    """The first fields of an `OrderRow`: all that a restore derives frozen units, flows, deadlines and the numbers of
    pending dead letters and of alerts that hold from. What it only passes over stays raw.
    """

    version: int
    claims: dict[str, dict[str, ClaimRow]]
    known: bool
    eligible: bool
    occurred_at_max: int
    seen_at: int
    status: int
    lines: msgspec.Raw
    lines_rank: msgspec.Raw
    cancelled_at: msgspec.Raw
    uncovered: msgspec.Raw
    identities: msgspec.Raw
    dead_letters: list[str]
    alerts: list[AlertRow]


class OrderMarks(msgspec.Struct, array_like=True, gc=False):
    """The fields of an `OrderRow` up to its alerts, for a census of all orders; the large ones are not decoded."""

    version: int
    claims: msgspec.Raw
    known: bool
    eligible: bool
    occurred_at_max: int
    seen_at: int
    status: int
    lines: msgspec.Raw
    lines_rank: msgspec.Raw
    cancelled_at: int | None
    uncovered: msgspec.Raw
    identities: msgspec.Raw
    dead_letters: list[str]
    alerts: list[AlertRow]


class RetiredOrder(msgspec.Struct, array_like=True, gc=False):
    """What is kept of an order that left by retention: its shipments and returns are still flows of the stock."""

    version: int
    occurred_at_max: int
    retired_at: int
    flows: list[Flow]


class AccountState(msgspec.Struct, array_like=True, gc=False):
    """default_warehouse: as it was when the account first needed one."""

    version: int
    default_warehouse: str


class StockState(msgspec.Struct, array_like=True, gc=False):
    """The count of a stock key; flows up to `folded_until` are already in `on_hand`."""

    version: int
    as_of: int
    origin: str
    snapshot_id: str
    part: int
    on_hand: int
    folded_until: int | None


class AdjustmentState(msgspec.Struct, array_like=True, gc=False):
    """An adjustment or a transfer: its identity, the later of its time and its record's, and its flows, but for those
    that their key's count already had.

    An adjustment has one flow, a transfer two for each SKU. There are more where the id was forgotten and used again
    while the first flows still count. Version 1 has no transfers.
    """

    version: int
    content: bytes
    seen_at: int
    flows: list[Flow]


class FloodState(msgspec.Struct, array_like=True, gc=False):
    """An alert `flooding` of the account was raised, by a record of this timestamp, and its condition still holds.

    raised_as: the `event_id` of the alert; empty in a record of version 1.
    """

    version: int
    began_at: int
    raised_as: str = ""


class PendingState(msgspec.Struct, array_like=True, gc=False):
    """What each pending dead letter of an order was refused with last: the code by id."""

    version: int
    codes: dict[str, str]


class PartState(msgspec.Struct, array_like=True, gc=False):
    """One part of a remembered snapshot.

    `checked`, `drifted` and `unknown` are indices of `skus`: what the part found of them when it was taken.
    """

    version: int
    content: bytes
    as_of: int
    parts: int
    absent_zero: bool
    skus: list[str]
    checked: list[int]
    drifted: list[int]
    unknown: list[int]


State = RetiredOrder | AccountState | StockState | AdjustmentState | FloodState | PendingState | PartState

encode: Final = msgspec.msgpack.Encoder().encode
decode_order_row: Final = msgspec.msgpack.Decoder(OrderRow).decode
decode_order_row_1: Final = msgspec.msgpack.Decoder(OrderRow1).decode
decode_order_head: Final = msgspec.msgpack.Decoder(OrderHead).decode
decode_order_marks: Final = msgspec.msgpack.Decoder(OrderMarks).decode
decode_retired: Final = msgspec.msgpack.Decoder(RetiredOrder).decode
decode_account: Final = msgspec.msgpack.Decoder(AccountState).decode
decode_stock: Final = msgspec.msgpack.Decoder(StockState).decode
decode_adjustment: Final = msgspec.msgpack.Decoder(AdjustmentState).decode
decode_flood: Final = msgspec.msgpack.Decoder(FloodState).decode
decode_pending: Final = msgspec.msgpack.Decoder(PendingState).decode
decode_part: Final = msgspec.msgpack.Decoder(PartState).decode


def version_of(value: bytes) -> int:
    """The schema version of a state record: its first element.

    Raises ValueError where the value is not a msgpack array that starts with a small integer.
    """
    if value:
        first = value[0]
        start = 1 if 0x90 <= first <= 0x9F else 3 if first == 0xDC else 5 if first == 0xDD else 0
        if start and len(value) > start and value[start] <= 0x7F:
            return value[start]
    raise ValueError("a state record must be a msgpack array that starts with its schema version")
