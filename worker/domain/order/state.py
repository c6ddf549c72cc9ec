"""An order as an object: decoded from its record when an event touches it, encoded again at the flush.

The shapes on the wire are rows (`schemas.state`); these are classes of their own because every rule reads them all the
time, and a field of a compiled class takes a twentieth of what a field of a decoded struct does.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import mypyc_attr

from schemas.state import (
    VERSION,
    AlertRow,
    ClaimRow,
    LinesRank,
    OrderRow,
    Rank,
    ReturnRow,
    SubOrderRow,
    decode_order_row,
    encode,
)

STATUS_UNKNOWN: Final = -1
"""`SubOrderFacts.status` before it was ever derived."""

_NO_RETURNS: Final[dict[str, ReturnRow]] = {}


@mypyc_attr(acyclic=True)
@final
class Claim:
    """What one order asks, or asked, of one stock key.

    `shipments` and `returns` are flat lists of time and units: `[at, units, at, units, …]`, ascending by time;
    `returns` has only what was restocked. `moves` has the `frozen_delta` of the order's movements at the key within
    the retention, likewise flat: `[occurred_at, delta, …]`, in order of posting.
    """

    __slots__ = ("moves", "open", "restocked", "returns", "shipments", "shipped")

    def __init__(
        self,
        open_units: int = 0,
        shipped: int = 0,
        restocked: int = 0,
        shipments: list[int] | None = None,
        returns: list[int] | None = None,
        moves: list[int] | None = None,
    ) -> None:
        self.open = open_units
        self.shipped = shipped
        self.restocked = restocked
        self.shipments: list[int] = [] if shipments is None else shipments
        self.returns: list[int] = [] if returns is None else returns
        self.moves: list[int] = [] if moves is None else moves

    def asks_as(self, other: Claim) -> bool:
        """Whether both ask the same; `moves` may differ."""
        return (
            self.open == other.open
            and self.shipped == other.shipped
            and self.restocked == other.restocked
            and self.shipments == other.shipments
            and self.returns == other.returns
        )


@mypyc_attr(acyclic=True)
@final
class ReturnFacts:
    """What is known of one return. Each `_rank` is the (time, event id) of the event that gave the fact."""

    __slots__ = (
        "lines",
        "lines_rank",
        "restock",
        "restock_rank",
        "returned_at",
        "started",
        "warehouse",
        "warehouse_rank",
    )

    def __init__(self) -> None:
        self.started = False
        self.returned_at: int | None = None
        self.lines: dict[str, int] | None = None
        self.lines_rank: Rank | None = None
        self.restock = False
        self.restock_rank: Rank | None = None
        self.warehouse: str | None = None
        self.warehouse_rank: Rank | None = None


@mypyc_attr(acyclic=True)
@final
class SubOrderFacts:
    """What is known of one sub-order; `status` alone is derived (an index into `worker.domain.order.statuses`)."""

    __slots__ = (
        "cancels",
        "children",
        "held_at",
        "lines",
        "lines_rank",
        "marks",
        "moved_at",
        "parent",
        "resumed_at",
        "returns",
        "shipped_at",
        "status",
        "warehouse",
    )

    def __init__(self) -> None:
        self.status = STATUS_UNKNOWN
        self.lines: dict[str, int] | None = None
        self.warehouse: str | None = None
        self.parent: str | None = None
        self.lines_rank: Rank | None = None
        self.children: list[str] = []
        self.shipped_at: int | None = None
        self.moved_at: int | None = None
        self.marks = 0
        self.held_at: int | None = None
        self.resumed_at: int | None = None
        self.cancels: list[tuple[int, dict[str, int]]] = []
        self.returns: dict[str, ReturnFacts] = {}


@mypyc_attr(acyclic=True)
@final
class OrderState:
    """All that is known of an order, and what was derived of it when it was last touched.

    claims: by warehouse, then SKU. known: an order or sub-order event of it was applied.
    seen_at: the timestamp of its last event's record.
    lines: by SKU, then warehouse. uncovered: open units that no sub-order covers, likewise.
    identities: 16 bytes an event. dead_letters: pending ids.
    alerts: the conditions that hold, as (alert, sub-order or "", SKU or "").

    Until the flush alone: record is the one it was decoded from (None: it is new), changed says that another must be
    written, sizeable that the order's size must be bounded with every event.
    """

    __slots__ = (
        "alerts",
        "cancelled_at",
        "changed",
        "claims",
        "dead_letters",
        "eligible",
        "identities",
        "known",
        "lines",
        "lines_rank",
        "occurred_at_max",
        "record",
        "seen_at",
        "sizeable",
        "status",
        "sub_orders",
        "uncovered",
    )

    def __init__(self, status: int = 0, record: bytes | None = None) -> None:
        self.claims: dict[str, dict[str, Claim]] = {}
        self.known = False
        self.eligible = False
        self.occurred_at_max = 0
        self.seen_at = 0
        self.status = status
        self.lines: dict[str, dict[str, int]] | None = None
        self.lines_rank: LinesRank | None = None
        self.cancelled_at: int | None = None
        self.uncovered: dict[str, dict[str, int]] = {}
        self.identities = b""
        self.dead_letters: list[str] = []
        self.alerts: list[AlertRow] = []
        self.sub_orders: dict[str, SubOrderFacts] = {}
        self.record = record
        self.changed = False
        self.sizeable = False


def decode_order(value: bytes) -> OrderState:
    """The order of a record. Raises msgspec.DecodeError where it is none of this version."""
    order = OrderState(record=value)
    row: OrderRow = decode_order_row(value)
    (
        _,
        claims,
        order.known,
        order.eligible,
        order.occurred_at_max,
        order.seen_at,
        order.status,
        order.lines,
        order.lines_rank,
        order.cancelled_at,
        order.uncovered,
        order.identities,
        order.dead_letters,
        order.alerts,
        sub_orders,
    ) = row
    for warehouse, rows in claims.items():
        order.claims[warehouse] = {sku: claim_of(row) for sku, row in rows.items()}
    for sub_order_id, facts in sub_orders.items():
        order.sub_orders[sub_order_id] = _sub_order_of(facts)
    return order


def encode_order(order: OrderState) -> bytes:
    """The record of an order: the counterpart of `decode_order`."""
    return encode(
        (
            VERSION,
            {
                warehouse: {sku: _claim_row(claim) for sku, claim in by_sku.items()}
                for warehouse, by_sku in order.claims.items()
            },
            order.known,
            order.eligible,
            order.occurred_at_max,
            order.seen_at,
            order.status,
            order.lines,
            order.lines_rank,
            order.cancelled_at,
            order.uncovered,
            order.identities,
            order.dead_letters,
            order.alerts,
            {sub_order_id: _sub_order_row(sub_order) for sub_order_id, sub_order in order.sub_orders.items()},
        )
    )


def claim_of(row: ClaimRow) -> Claim:
    """The claim of a row."""
    return Claim(row[0], row[1], row[2], row[3], row[4], row[5])


def _claim_row(claim: Claim) -> ClaimRow:
    return claim.open, claim.shipped, claim.restocked, claim.shipments, claim.returns, claim.moves


def _sub_order_of(row: SubOrderRow) -> SubOrderFacts:
    facts = SubOrderFacts()
    (
        facts.status,
        facts.lines,
        facts.warehouse,
        facts.parent,
        facts.lines_rank,
        facts.children,
        facts.shipped_at,
        facts.moved_at,
        facts.marks,
        facts.held_at,
        facts.resumed_at,
        facts.cancels,
        returns,
    ) = row
    for return_id, return_row in returns.items():
        facts.returns[return_id] = _return_of(return_row)
    return facts


def _sub_order_row(facts: SubOrderFacts) -> SubOrderRow:
    return (
        facts.status,
        facts.lines,
        facts.warehouse,
        facts.parent,
        facts.lines_rank,
        facts.children,
        facts.shipped_at,
        facts.moved_at,
        facts.marks,
        facts.held_at,
        facts.resumed_at,
        facts.cancels,
        {return_id: _return_row(known) for return_id, known in facts.returns.items()} if facts.returns else _NO_RETURNS,
    )


def _return_of(row: ReturnRow) -> ReturnFacts:
    facts = ReturnFacts()
    (
        facts.started,
        facts.returned_at,
        facts.lines,
        facts.lines_rank,
        facts.restock,
        facts.restock_rank,
        facts.warehouse,
        facts.warehouse_rank,
    ) = row
    return facts


def _return_row(facts: ReturnFacts) -> ReturnRow:
    return (
        facts.started,
        facts.returned_at,
        facts.lines,
        facts.lines_rank,
        facts.restock,
        facts.restock_rank,
        facts.warehouse,
        facts.warehouse_rank,
    )
