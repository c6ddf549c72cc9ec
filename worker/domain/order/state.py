"""An order as an object: decoded from its record when an event touches it, encoded again at the flush (`rows`).

The shapes on the wire are rows (`schemas.state`); these are classes of their own because every rule reads them all the
time, and a field of a compiled class takes a twentieth of what a field of a decoded struct does.
"""

from __future__ import annotations

from typing import Final, final

from mypy_extensions import mypyc_attr

from schemas.state import AlertRow, ClaimRow, LinesRank, Rank
from worker.domain.order.timeline import NEVER, CancelledUnits

STATUS_UNKNOWN: Final = -1
"""`SubOrderFacts.status` before it was ever derived."""


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
    """What is known of one return. Each `_rank` is the (time, event id) of the event that gave the fact.

    started, returned_at: of the events that stand. timeline: all that are not gone for good (`timeline`).
    withdrawn_at: the latest `return_withdrawn`.
    """

    __slots__ = (
        "lines",
        "lines_rank",
        "restock",
        "restock_rank",
        "returned_at",
        "started",
        "timeline",
        "warehouse",
        "warehouse_rank",
        "withdrawn_at",
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
        self.timeline = b""
        self.withdrawn_at = NEVER


@mypyc_attr(acyclic=True)
@final
class TakenBack:
    """What was taken back of a sub-order, as times; see `taken_back`.

    voided_at, reinstated_at: the latest `shipment_voided` and `reinstated`. withdrawals: every `withdrawn`, ascending.
    Derived from them and the entry that gives the lines: created_again_after, the latest withdrawal before it, and
    is_withdrawn, whether one is not before it.
    """

    __slots__ = ("created_again_after", "is_withdrawn", "reinstated_at", "voided_at", "withdrawals")

    def __init__(self) -> None:
        self.voided_at = NEVER
        self.reinstated_at = NEVER
        self.withdrawals: list[int] = []
        self.created_again_after = NEVER
        self.is_withdrawn = False


@mypyc_attr(acyclic=True)
@final
class SubOrderFacts:
    """What is known of one sub-order.

    timeline: when its events happened (`timeline`). shipped_at (the earliest), held_at and resumed_at (the latest),
    marks and the units of cancels are of the events that stand. taken_back: None while nothing was. status is derived
    (an index into `worker.domain.order.statuses`).
    """

    __slots__ = (
        "cancels",
        "children",
        "held_at",
        "lines",
        "lines_rank",
        "marks",
        "parent",
        "resumed_at",
        "returns",
        "shipped_at",
        "status",
        "taken_back",
        "timeline",
        "warehouse",
    )

    def __init__(self) -> None:
        self.status = STATUS_UNKNOWN
        self.lines: dict[str, int] | None = None
        self.warehouse: str | None = None
        self.parent: str | None = None
        self.lines_rank: LinesRank | None = None
        self.children: list[str] = []
        self.shipped_at: int | None = None
        self.marks = 0
        self.held_at: int | None = None
        self.resumed_at: int | None = None
        self.timeline = b""
        self.cancels: dict[str, CancelledUnits] = {}
        self.returns: dict[str, ReturnFacts] = {}
        self.taken_back: TakenBack | None = None


@mypyc_attr(acyclic=True)
@final
class OrderState:
    """All that is known of an order, and what was derived of it when it was last touched.

    claims: by warehouse, then SKU. known: an order or sub-order event of it was applied.
    seen_at: the timestamp of its last event's record.
    lines: by SKU, then warehouse. uncovered: open units that no sub-order covers, likewise.
    cancelled_at: the latest cancellation, if it stands. reinstated_at: the latest `order.reinstated`.
    identities: 16 bytes an event; the first identities_of_1 bytes were taken by a program of state version 1.
    dead_letters: pending ids.
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
        "identities_of_1",
        "known",
        "lines",
        "lines_rank",
        "occurred_at_max",
        "record",
        "reinstated_at",
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
        self.reinstated_at: int | None = None
        self.identities_of_1 = 0
        self.record = record
        self.changed = False
        self.sizeable = False


def name_sub_order(order: OrderState, sub_order_id: str) -> SubOrderFacts:
    """The facts of a sub-order that an event names: new ones where none named it before."""
    sub_order = order.sub_orders.get(sub_order_id)
    if sub_order is None:
        sub_order = order.sub_orders[sub_order_id] = SubOrderFacts()
    return sub_order


def claim_of(row: ClaimRow) -> Claim:
    """The claim of a row."""
    return Claim(row[0], row[1], row[2], row[3], row[4], row[5])
