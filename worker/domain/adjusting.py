"""Taking adjustments and transfers: units of stock keys that came or left by no order. Contract sections 5 and 8.

Their identity is scoped to their account and forgotten after the retention. So an older one is refused: it may have
been applied already.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from schemas.identity import identity_of
from schemas.inputs import StockAdjusted, StockTransferred
from schemas.state import AdjustmentState, Flow, encode
from schemas.topics import RECORD_BYTES_MAX
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.effects import APPLIED, DUPLICATE, STALE, Effect
from worker.domain.refusals import RuleRefusal

_FLOW_BYTES: Final = 40
"""A flow in a state record, without its names: headers, time and units."""
_FIXED_BYTES: Final = 64 * 1024
"""All else of a state record, with its key and what the broker adds."""


class _Half(NamedTuple):
    """What an adjustment or a transfer changes at one stock key, in units."""

    warehouse: str
    sku: str
    delta: int


def take_adjustment(books: Books, account: Account, event: StockAdjusted, at: int, cause: Cause) -> Effect:
    """Apply an adjustment that happened `at` (milliseconds). Raises RuleRefusal; nothing has changed then."""
    halves = [_Half(event.warehouse_id, event.sku, event.delta)]
    return _take(books, account, event, "adjust", halves, at, cause)


def take_transfer(books: Books, account: Account, event: StockTransferred, at: int, cause: Cause) -> Effect:
    """Apply both halves of a transfer that happened `at` (milliseconds). Raises RuleRefusal; nothing has changed then.

    A half that its key's count already has is not taken again.
    """
    return _take(books, account, event, "transfer", _halves_of(event), at, cause)


def _halves_of(event: StockTransferred) -> list[_Half]:
    """What a transfer changes, in ascending order of warehouse and SKU. Lines of one SKU add up."""
    quantities: dict[str, int] = {}
    for line in event.lines:
        quantities[line.sku] = quantities.get(line.sku, 0) + line.quantity
    leaving = [_Half(event.from_warehouse_id, sku, -quantity) for sku, quantity in quantities.items()]
    arriving = [_Half(event.to_warehouse_id, sku, quantity) for sku, quantity in quantities.items()]
    return sorted(leaving + arriving)


def _take(
    books: Books,
    account: Account,
    event: StockAdjusted | StockTransferred,
    movement: str,
    halves: list[_Half],
    at: int,
    cause: Cause,
) -> Effect:
    event_hash, content = identity_of(event)
    known = books.adjustment(account, event_hash)
    if known is not None and known.content == content:
        return DUPLICATE
    if at < books.moves_horizon(account):
        raise RuleRefusal("too_late", f"The field occurred_at is older than {account.policies.retention_text}.")
    if known is not None:
        raise RuleRefusal(
            "conflict", "The field event_id was used before for an adjustment or a transfer, with other content."
        )
    before = account.adjustments.get(event_hash)
    if before is not None:
        _refuse_outgrowth(before, halves)

    flows: list[Flow] = []
    for warehouse, sku, delta in halves:
        stock = account.stock_at(warehouse, sku)
        books.fold(account, stock)
        if stock.count is not None and at <= stock.count.as_of:
            continue  # the count has these units already
        flows.append((stock.warehouse, stock.sku, at, delta))
        available = stock.available
        posting = stock.adjust(movement, at, delta)
        books.post(stock, [posting] if posting else [], available, cause)
    books.keep_adjustment(account, event_hash, content, max(at, cause.recorded_at), flows)
    return APPLIED if flows else STALE


def _refuse_outgrowth(before: AdjustmentState, halves: list[_Half]) -> None:
    """Raise RuleRefusal (invalid) where the flows of an id that is used again could outgrow a state record.

    The flows of one event always fit. Those of a forgotten id are kept for longer than the id.
    """
    names = sum(len(half.warehouse.encode()) + len(half.sku.encode()) for half in halves)
    if len(encode(before)) + names + len(halves) * _FLOW_BYTES > RECORD_BYTES_MAX - _FIXED_BYTES:
        most = f"{RECORD_BYTES_MAX >> 20} MiB"
        raise RuleRefusal(
            "invalid",
            f"The field event_id was used so often that its record would outgrow {most}; send it with a new event_id.",
        )
