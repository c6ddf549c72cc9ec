"""The records of the state topic, as they stand on the wire: msgpack arrays whose first element is the schema version.

They are shapes only; what they mean is decided in `worker.domain`. Each record rests in memory as its encoded bytes and
is decoded when an event touches it, so the fields that a restore needs stand first (`OrderHead`) and the rest is
skipped.

Keys are `kind/account/…`, each part percent-encoded:

| key | value |
|---|---|
| `account/A` | `AccountState` |
| `order/A/ORDER` | `OrderState` |
| `retired/A/ORDER` | `RetiredOrder`: an order that left by retention |
| `stock/A/WAREHOUSE/SKU` | `StockState`: the count of a stock key |
| `adjustment/A/ID` | `AdjustmentState`, ID the hexadecimal hash of the event id |
| `part/A/WAREHOUSE/ORIGIN/SNAPSHOT/PART` | `PartState`: one part of a remembered snapshot |

Times are UTC milliseconds. What frozen units and flows a key has is not stored: it follows from the orders, the retired
orders and the adjustments.
"""

from __future__ import annotations

from typing import Final

import msgspec

VERSION: Final = 1


Flow = tuple[str, str, int, int]
"""Warehouse, SKU, time, units (negative: they left)."""


class Claim(msgspec.Struct, array_like=True, gc=False):
    """What one order asks, or asked, of one stock key.

    `shipments` and `returns` are flat lists of time and units: `[at, units, at, units, …]`, ascending by time;
    `returns` has only what was restocked. `moves` has the `frozen_delta` of the order's recent movements at the key,
    likewise flat: `[occurred_at, delta, …]`, in order of posting.
    """

    open: int = 0
    shipped: int = 0
    restocked: int = 0
    shipments: list[int] = []
    returns: list[int] = []
    moves: list[int] = []


class ReturnFacts(msgspec.Struct, array_like=True, gc=False):
    """What is known of one return. Each `_rank` is the (time, event id) of the event that gave the fact."""

    started: bool = False
    returned_at: int | None = None
    lines: dict[str, int] | None = None
    lines_rank: tuple[int, str] | None = None
    restock: bool = False
    restock_rank: tuple[int, str] | None = None
    warehouse: str | None = None
    warehouse_rank: tuple[int, str] | None = None


class SubOrderFacts(msgspec.Struct, array_like=True, gc=False):
    """What is known of one sub-order; `status` alone is derived (an index into `worker.domain.statuses`)."""

    status: int
    lines: dict[str, int] | None = None
    warehouse: str | None = None
    parent: str | None = None
    lines_rank: tuple[int, str] | None = None
    children: list[str] = []
    shipped_at: int | None = None
    moved_at: int | None = None
    marks: int = 0
    held_at: int | None = None
    resumed_at: int | None = None
    cancels: list[tuple[int, dict[str, int]]] = []
    returns: dict[str, ReturnFacts] = {}


class OrderHead(msgspec.Struct, array_like=True, gc=False):
    """The first fields of an `OrderState`: all that a restore derives frozen units, flows and deadlines from."""

    version: int
    claims: dict[str, dict[str, Claim]]
    known: bool
    eligible: bool
    occurred_at_max: int
    seen_at: int


class OrderState(msgspec.Struct, array_like=True, gc=False):
    """All that is known of an order, and what was derived of it when it was last touched.

    claims: by warehouse, then SKU. known: an order or sub-order event of it was applied.
    seen_at: the timestamp of its last event's record.
    lines: by SKU, then warehouse. uncovered: open units that no sub-order covers, likewise.
    identities: 16 bytes an event. dead_letters: pending ids.
    alerts: the conditions that hold, as (alert, sub-order or "", SKU or "").
    """

    version: int = VERSION
    claims: dict[str, dict[str, Claim]] = {}
    known: bool = False
    eligible: bool = False
    occurred_at_max: int = 0
    seen_at: int = 0
    status: int = 0
    lines: dict[str, dict[str, int]] | None = None
    lines_rank: tuple[int, int, str] | None = None
    cancelled_at: int | None = None
    uncovered: dict[str, dict[str, int]] = {}
    identities: bytes = b""
    dead_letters: list[str] = []
    alerts: list[tuple[str, str, str]] = []
    sub_orders: dict[str, SubOrderFacts] = {}


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
    """An adjustment: its identity, when its record was seen, and its flow; none where its key's count already had it.

    There are several flows where the id was forgotten and used again while the first flow still counts.
    """

    version: int
    content: bytes
    seen_at: int
    flows: list[Flow]


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


State = OrderState | RetiredOrder | AccountState | StockState | AdjustmentState | PartState

encode: Final = msgspec.msgpack.Encoder().encode
decode_order: Final = msgspec.msgpack.Decoder(OrderState).decode
decode_order_head: Final = msgspec.msgpack.Decoder(OrderHead).decode
decode_retired: Final = msgspec.msgpack.Decoder(RetiredOrder).decode
decode_account: Final = msgspec.msgpack.Decoder(AccountState).decode
decode_stock: Final = msgspec.msgpack.Decoder(StockState).decode
decode_adjustment: Final = msgspec.msgpack.Decoder(AdjustmentState).decode
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
