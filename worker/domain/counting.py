"""Taking a part of a snapshot: every key it counts, and the summary once all parts are in. Contract section 6."""

from __future__ import annotations

from typing import NamedTuple

from schemas.identity import identity_of
from schemas.inputs import StockCounted
from schemas.state import VERSION, PartState
from worker.domain.accounts import Account, Snapshot
from worker.domain.books import Books
from worker.domain.outbox import Cause
from worker.domain.reconcile import (
    Finding,
    absent_keys,
    compares_reserved,
    is_forgotten,
    missing_in_count,
    superseded_by,
    take_count,
)
from worker.domain.refusals import RuleRefusal
from worker.domain.stock import MOVES_KEPT_MS, Rank, Stock


class _Taken(NamedTuple):
    """A key that was counted, and what it had available before."""

    stock: Stock
    finding: Finding
    available: int | None


def take_part(books: Books, account: Account, event: StockCounted, as_of: int, cause: Cause) -> bool | None:
    """Take a part of a snapshot. Returns None if it is known already, else whether anything it says is new.

    Raises RuleRefusal (conflict) if the part, or the snapshot it belongs to, was told otherwise before.
    """
    content = identity_of(event)[1]
    named = account.snapshots.get((event.origin, event.warehouse_id), {})
    snapshot = named.get(event.snapshot_id)
    if snapshot is not None:
        if snapshot.received.get(event.part) == content:
            return None
        _check_agreement(snapshot, event, as_of)
    elif is_forgotten(account, event.origin, event.warehouse_id, (as_of, event.snapshot_id)):
        taken = _take_counts(books, account, event, as_of, reserved=False)
        _write(books, event, as_of, taken, cause)
        return any(entry.finding.greater for entry in taken)
    else:
        snapshot = Snapshot(event.snapshot_id, as_of, event.parts, event.absent == "zero")
        account.snapshots.setdefault((event.origin, event.warehouse_id), {})[event.snapshot_id] = snapshot
    is_fresh = compares_reserved(as_of, cause.recorded_at) and as_of >= books.stream_time_ms - MOVES_KEPT_MS
    taken = _take_counts(books, account, event, as_of, reserved=is_fresh)
    _record_part(books, account, event, content, snapshot, taken)
    if snapshot.complete:
        missing = missing_in_count(account, event.warehouse_id, snapshot)
        if snapshot.absent_zero:
            taken += _take_absent(books, account, event, as_of, snapshot)
        _write(books, event, as_of, taken, cause)
        books.out.summarised(cause, event.origin, event.warehouse_id, snapshot, missing)
        _forget_superseded(books, account, event, snapshot)
    else:
        _write(books, event, as_of, taken, cause)
    return True


def _check_agreement(snapshot: Snapshot, event: StockCounted, as_of: int) -> None:
    if event.part in snapshot.received:
        raise RuleRefusal(
            "conflict", "The field part names a part of the snapshot that came before with other content."
        )
    for name, known, told in (
        ("parts", snapshot.parts, event.parts),
        ("as_of", snapshot.as_of, as_of),
        ("absent", snapshot.absent_zero, event.absent == "zero"),
    ):
        if known != told:
            raise RuleRefusal("conflict", f"The field {name} differs from that of the snapshot's other parts.")


def _rank(event: StockCounted, as_of: int) -> Rank:
    return as_of, event.origin, event.snapshot_id, event.part


def _take_counts(books: Books, account: Account, event: StockCounted, as_of: int, *, reserved: bool) -> list[_Taken]:
    taken = []
    rank = _rank(event, as_of)
    for count in event.counts:
        stock = account.stock_at(event.warehouse_id, count.sku)
        books.fold(account, stock)
        available = stock.available
        finding = take_count(stock, rank, count.on_hand, count.reserved if reserved else None, account.rules)
        taken.append(_Taken(stock, finding, available))
    return taken


def _take_absent(books: Books, account: Account, event: StockCounted, as_of: int, snapshot: Snapshot) -> list[_Taken]:
    taken = []
    rank = _rank(event, as_of)
    for stock in absent_keys(account, event.warehouse_id, snapshot, rank):
        books.fold(account, stock)
        available = stock.available
        finding = take_count(stock, rank, 0, None, account.rules)
        taken.append(_Taken(stock, finding, available))
        if finding.compared:
            snapshot.checked.add(stock.sku)
        if finding.drifts:
            snapshot.drifted.add(stock.sku)
    return taken


def _record_part(
    books: Books, account: Account, event: StockCounted, content: bytes, snapshot: Snapshot, taken: list[_Taken]
) -> None:
    state = PartState(
        version=VERSION,
        content=content,
        as_of=snapshot.as_of,
        parts=snapshot.parts,
        absent_zero=snapshot.absent_zero,
        skus=[entry.stock.sku for entry in taken],
        checked=[i for i, entry in enumerate(taken) if entry.finding.compared],
        drifted=[i for i, entry in enumerate(taken) if entry.finding.drifts],
        unknown=[i for i, entry in enumerate(taken) if entry.finding.unknown],
    )
    add_part(snapshot, event.part, state)
    books.out.keep(state, *_part_key(account, event.warehouse_id, event.origin, event.snapshot_id, event.part))


def add_part(snapshot: Snapshot, part: int, state: PartState) -> None:
    """Add what a part found to its snapshot, when it is taken and when it is restored."""
    snapshot.received[part] = state.content
    snapshot.seen.update(state.skus)
    snapshot.checked.update(state.skus[i] for i in state.checked)
    snapshot.drifted.update(state.skus[i] for i in state.drifted)
    snapshot.unknown.update(state.skus[i] for i in state.unknown)


def _part_key(account: Account, warehouse: str, origin: str, snapshot_id: str, part: int) -> tuple[str, ...]:
    return "part", account.id, warehouse, origin, snapshot_id, str(part)


def _write(books: Books, event: StockCounted, as_of: int, taken: list[_Taken], cause: Cause) -> None:
    for stock, finding, available in sorted(taken, key=lambda entry: entry.stock.sku):
        books.post(stock, [finding.posting] if finding.posting else [], available, cause)
        if finding.adopted and finding.posting is None:
            books.out.level_changed(cause, stock)  # its as_of did
        for drift in finding.drifts:
            books.out.drifted(cause, stock, event.origin, event.snapshot_id, as_of, drift)


def _forget_superseded(books: Books, account: Account, event: StockCounted, snapshot: Snapshot) -> None:
    named = account.snapshots[event.origin, event.warehouse_id]
    for other in superseded_by(account, event.origin, event.warehouse_id, snapshot):
        del named[other.snapshot_id]
        for part in other.received:
            books.out.drop(*_part_key(account, event.warehouse_id, event.origin, other.snapshot_id, part))
