"""Orders to records and back: objects (`state`) and the rows of the state topic (`schemas.state`)."""

from __future__ import annotations

from typing import Final

from schemas.state import (
    ORDER_ROW_1_BEGINS,
    VERSION,
    CancelledRow,
    ClaimRow,
    OrderRow,
    ReturnRow,
    SubOrderRow,
    TakenBackRow,
    decode_order_row,
    encode,
)
from worker.domain.order.rows_of_version_1 import decode_order_of_version_1
from worker.domain.order.state import Claim, OrderState, ReturnFacts, SubOrderFacts, TakenBack, claim_of
from worker.domain.order.timeline import CancelledUnits

_NO_RETURNS: Final[dict[str, ReturnRow]] = {}
_NO_CANCELS: Final[dict[str, CancelledRow]] = {}


def decode_order(value: bytes) -> OrderState:
    """The order of a record. Raises msgspec.DecodeError where it is none of a version that this program knows."""
    if value.startswith(ORDER_ROW_1_BEGINS):
        return decode_order_of_version_1(value)
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
        order.reinstated_at,
        order.identities_of_1,
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
            order.reinstated_at,
            order.identities_of_1,
        )
    )


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
        facts.marks,
        facts.held_at,
        facts.resumed_at,
        facts.timeline,
        cancels,
        returns,
        taken_back,
    ) = row
    if cancels:
        for sku, cancelled in cancels.items():
            facts.cancels[sku] = CancelledUnits(cancelled[0], cancelled[1], cancelled[2])
    for return_id, return_row in returns.items():
        facts.returns[return_id] = _return_of(return_row)
    if taken_back is not None:
        facts.taken_back = _taken_back_of(taken_back)
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
        facts.marks,
        facts.held_at,
        facts.resumed_at,
        facts.timeline,
        {sku: (each.log, each.times, each.units) for sku, each in facts.cancels.items()}
        if facts.cancels
        else _NO_CANCELS,
        {return_id: _return_row(known) for return_id, known in facts.returns.items()} if facts.returns else _NO_RETURNS,
        None if facts.taken_back is None else _taken_back_row(facts.taken_back),
    )


def _taken_back_of(row: TakenBackRow) -> TakenBack:
    taken_back = TakenBack()
    (
        taken_back.voided_at,
        taken_back.reinstated_at,
        taken_back.withdrawals,
        taken_back.created_again_after,
        taken_back.is_withdrawn,
    ) = row
    return taken_back


def _taken_back_row(taken_back: TakenBack) -> TakenBackRow:
    return (
        taken_back.voided_at,
        taken_back.reinstated_at,
        taken_back.withdrawals,
        taken_back.created_again_after,
        taken_back.is_withdrawn,
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
        facts.timeline,
        facts.withdrawn_at,
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
        facts.timeline,
        facts.withdrawn_at,
    )
