"""Taking a part of a snapshot: every key it counts, and the summary once all parts are in. Contract section 6.

Whether a part is taken is decided first, and a refused part changes nothing. Taking it may touch every key
of a warehouse, so that is done in steps.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from heapq import merge
from operator import attrgetter
from typing import Final, NamedTuple

from schemas.identity import identity_of
from schemas.inputs import StockCounted
from schemas.state import VERSION, PartState
from worker.domain.accounts import Account
from worker.domain.books import Books
from worker.domain.cause import Cause
from worker.domain.refusals import RuleRefusal
from worker.domain.steps import in_slices
from worker.domain.stock.reconcile import (
    Comparison,
    compares_reserved,
    is_greater,
    is_missing,
    listed,
    take_count,
)
from worker.domain.stock.snapshots import Snapshot, is_forgotten, superseded_by
from worker.domain.stock.stock import CountRank, Stock, rank_of

KEYS_PER_STEP: Final = 100
"""Keys that are counted, or written down, at a step: at most about 5 ms."""

KEYS_SEEN_PER_STEP: Final = 5000
"""Keys that are only read, or put in order, at a step: likewise."""


class Taking(NamedTuple):
    """A part that is taken. is_new: whether it adds anything. steps: what must be done before the next record."""

    is_new: bool
    steps: Iterator[None]


class _CountedKey(NamedTuple):
    """A key that was counted, and what it had available before."""

    sku: str
    stock: Stock
    comparison: Comparison
    available: int | None


def take_part(books: Books, account: Account, event: StockCounted, as_of: int, cause: Cause) -> Taking | None:
    """Begin to take a part of a snapshot, None if it is known already.

    Raises RuleRefusal (conflict) if the part, or its snapshot, came before with other content.
    """
    content = identity_of(event)[1]
    named = account.snapshots.get((event.origin, event.warehouse_id), {})
    snapshot = named.get(event.snapshot_id)
    if snapshot is not None:
        if snapshot.received.get(event.part) == content:
            return None
        _check_agreement(snapshot, event, as_of)
    elif is_forgotten(named, (as_of, event.snapshot_id)):
        by_sku = account.stock.get(event.warehouse_id, {})
        rank = _rank(event, as_of)
        counts = [None if stock is None else stock.count for stock in map(by_sku.get, [c.sku for c in event.counts])]
        is_new = any(is_greater(count, rank) for count in counts)
        return Taking(is_new, _take_key_by_key(books, account, event, as_of, cause))
    else:
        snapshot = Snapshot(event.snapshot_id, as_of, event.parts, event.absent == "zero")
        account.snapshots.setdefault((event.origin, event.warehouse_id), {})[event.snapshot_id] = snapshot
    steps = _take(books, account, event, as_of, cause, content, snapshot)
    return Taking(is_new=True, steps=steps)


def _take_key_by_key(
    books: Books, account: Account, event: StockCounted, as_of: int, cause: Cause
) -> Generator[None, None, None]:
    """A part of a snapshot that is no longer remembered."""
    taken = yield from _take_counts(books, account, event, as_of, reserved=False)
    yield from _write(books, event, as_of, taken, cause)


def _take(
    books: Books,
    account: Account,
    event: StockCounted,
    as_of: int,
    cause: Cause,
    content: bytes,
    snapshot: Snapshot,
) -> Generator[None, None, None]:
    is_fresh = compares_reserved(as_of, cause.recorded_at) and as_of >= books.moves_horizon(account)
    taken = yield from _take_counts(books, account, event, as_of, reserved=is_fresh)
    _record_part(books, account, event, content, snapshot, taken)
    if not snapshot.complete:
        yield from _write(books, event, as_of, taken, cause)
        return
    lacking = yield from _lacking(account, event.warehouse_id, snapshot)
    missing = [stock.sku for stock in lacking if is_missing(stock)]
    if snapshot.absent_zero:
        taken += yield from _take_absent(books, account, event, as_of, snapshot, lacking)
    yield from _write(books, event, as_of, taken, cause)
    books.out.summarised(cause, event.origin, event.warehouse_id, snapshot, listed(missing))
    yield from _forget_superseded(books, account, event, snapshot)


def _check_agreement(snapshot: Snapshot, event: StockCounted, as_of: int) -> None:
    if event.part in snapshot.received:
        raise RuleRefusal(
            "conflict", "The field part names a part of the snapshot that came before with other content."
        )
    for name, known, given in (
        ("parts", snapshot.parts, event.parts),
        ("as_of", snapshot.as_of, as_of),
        ("absent", snapshot.absent_zero, event.absent == "zero"),
    ):
        if known != given:
            raise RuleRefusal("conflict", f"The field {name} differs from that of the snapshot's other parts.")


def _rank(event: StockCounted, as_of: int) -> CountRank:
    return as_of, event.origin, event.snapshot_id, event.part


def _take_counts(
    books: Books, account: Account, event: StockCounted, as_of: int, *, reserved: bool
) -> Generator[None, None, list[_CountedKey]]:
    taken: list[_CountedKey] = []
    rank = _rank(event, as_of)
    for counts in in_slices(event.counts, KEYS_PER_STEP):
        for count in counts:
            stock = account.stock.get(event.warehouse_id, _NO_STOCK).get(count.sku)
            is_known = stock is not None
            if stock is None:
                stock = account.unknown_stock(event.warehouse_id, count.sku)
            books.fold(account, stock)
            available = stock.available
            comparison = take_count(stock, rank, count.on_hand, count.reserved if reserved else None, account.policies)
            if comparison.adopted and comparison.unknown:
                books.state_records += 1
            if comparison.adopted and not is_known:  # of one that is only compared nothing is kept
                account.stock.setdefault(event.warehouse_id, {})[count.sku] = stock
            taken.append(_CountedKey(count.sku, stock, comparison, available))
        yield
    return taken


def _lacking(account: Account, warehouse: str, snapshot: Snapshot) -> Generator[None, None, list[Stock]]:
    """The keys of the warehouse that the snapshot lacks."""
    lacking: list[Stock] = []
    seen = snapshot.seen
    for stocks in in_slices(account.stock.get(warehouse, {}).values(), KEYS_SEEN_PER_STEP):
        lacking += [stock for stock in stocks if stock.sku not in seen]
        yield
    return lacking


def _take_absent(
    books: Books, account: Account, event: StockCounted, as_of: int, snapshot: Snapshot, lacking: list[Stock]
) -> Generator[None, None, list[_CountedKey]]:
    """Count 0 what the snapshot lacks and has an older count: with `absent: zero`."""
    taken: list[_CountedKey] = []
    rank = _rank(event, as_of)
    for stocks in in_slices(lacking, KEYS_PER_STEP):
        for stock in stocks:
            if stock.count is None or rank_of(stock.count) >= rank:
                continue
            books.fold(account, stock)
            available = stock.available
            comparison = take_count(stock, rank, 0, None, account.policies)
            taken.append(_CountedKey(stock.sku, stock, comparison, available))
            if comparison.compared:
                snapshot.checked.add(stock.sku)
            if comparison.drifts:
                snapshot.drifted.add(stock.sku)
        yield
    return taken


def _record_part(
    books: Books, account: Account, event: StockCounted, content: bytes, snapshot: Snapshot, taken: list[_CountedKey]
) -> None:
    state = PartState(
        version=VERSION,
        content=content,
        as_of=snapshot.as_of,
        parts=snapshot.parts,
        absent_zero=snapshot.absent_zero,
        skus=[entry.sku for entry in taken],
        checked=[i for i, entry in enumerate(taken) if entry.comparison.compared],
        drifted=[i for i, entry in enumerate(taken) if entry.comparison.drifts],
        unknown=[i for i, entry in enumerate(taken) if entry.comparison.unknown],
    )
    snapshot.add(event.part, state)
    books.state_records += 1
    books.out.keep(state, *_part_key(account, event.warehouse_id, event.origin, event.snapshot_id, event.part))


def _part_key(account: Account, warehouse: str, origin: str, snapshot_id: str, part: int) -> tuple[str, ...]:
    return "part", account.id, warehouse, origin, snapshot_id, str(part)


def _write(
    books: Books, event: StockCounted, as_of: int, taken: list[_CountedKey], cause: Cause
) -> Generator[None, None, None]:
    """Write down what was found, in ascending order of SKU."""
    ordered: list[list[_CountedKey]] = []
    for entries in in_slices(taken, KEYS_SEEN_PER_STEP):
        ordered.append(sorted(entries, key=_sku_of))
        yield
    for entries in in_slices(merge(*ordered, key=_sku_of), KEYS_PER_STEP):
        for _, stock, comparison, available in entries:
            books.post(stock, [comparison.posting] if comparison.posting else [], available, cause)
            if comparison.adopted and comparison.posting is None:
                books.out.level_changed(cause, stock)  # its as_of did
            for drift in comparison.drifts:
                books.out.drifted(cause, stock, event.origin, event.snapshot_id, as_of, drift)
        yield


def _forget_superseded(
    books: Books, account: Account, event: StockCounted, snapshot: Snapshot
) -> Generator[None, None, None]:
    named = account.snapshots[event.origin, event.warehouse_id]
    for other in superseded_by(named, snapshot):
        del named[other.snapshot_id]
        for parts in in_slices(other.received, KEYS_SEEN_PER_STEP):
            for part in parts:
                books.state_records -= 1
                books.out.drop(*_part_key(account, event.warehouse_id, event.origin, other.snapshot_id, part))
            yield


_sku_of = attrgetter("sku")
_NO_STOCK: Final[dict[str, Stock]] = {}
