"""Taking an adjustment: units of one stock key that came or left by no order. Contract sections 5 and 8.

Its identity is scoped to its account and forgotten after the retention. So an older one is refused: it may have been
applied already.
"""

from __future__ import annotations

from schemas.identity import identity_of
from schemas.inputs import StockAdjusted
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.effects import APPLIED, DUPLICATE, STALE, Effect
from worker.domain.refusals import RuleRefusal


def take_adjustment(books: Books, account: Account, event: StockAdjusted, at: int, cause: Cause) -> Effect:
    """Apply an adjustment that happened `at` (milliseconds). Raises RuleRefusal; nothing has changed then."""
    event_hash, content = identity_of(event)
    known = books.adjustment(account, event_hash)
    if known is not None and known.content == content:
        return DUPLICATE
    if at < books.moves_horizon(account):
        raise RuleRefusal("too_late", f"The field occurred_at is older than {account.policies.retention_text}.")
    if known is not None:
        raise RuleRefusal("conflict", "The field event_id was used before for an adjustment, with other content.")

    stock = account.stock_at(event.warehouse_id, event.sku)
    books.fold(account, stock)
    is_stale = stock.count is not None and at <= stock.count.as_of
    flow = None if is_stale else (event.warehouse_id, event.sku, at, event.delta)
    books.keep_adjustment(account, event_hash, content, max(at, cause.recorded_at), flow)
    if is_stale:
        return STALE

    available = stock.available
    posting = stock.adjust(at, event.delta)
    books.post(stock, [posting] if posting else [], available, cause)
    return APPLIED
