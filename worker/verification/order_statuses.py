"""The status records of a partition as of the cut, compared with the orders of the state.

The topic keeps the last status of every order there ever was, so it is not held: of the state's orders a fingerprint of
what the worker writes is kept, and each record is compared as it passes. Only those that differ are kept until the next
one of their order, and read field by field if there is none. So what stays in memory is bounded by the orders of the
state, those that were open at a time, and what is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from schemas.encoding import key_of, parts_of, status_changed
from schemas.outputs import UnitRow
from worker.domain.views import OrderView
from worker.inspection.topic_reader import Record
from worker.verification.findings import Check, FindingLog, text_of
from worker.verification.sources import Cut, SourceTracker

OrderKey = bytes
"""The key of an order's records."""


class StatusEntry(msgspec.Struct, gc=False):
    """The fields of an `order.status_changed` that are compared."""

    event_id: str
    account_id: str
    order_id: str
    status: str
    placed: bool
    eligible: bool
    sub_orders: dict[str, str]
    units: list[UnitRow]


_FACTS = b',"status":"'
"""Where the facts begin in a record as the worker writes it: no string has a bare quotation mark."""

_decode = msgspec.json.Decoder(StatusEntry).decode
_Facts = tuple[str, bool, bool, dict[str, str], tuple[tuple[str, ...], ...]]


def _facts_of_view(view: OrderView) -> _Facts:
    return view.status, view.placed, view.eligible, dict(view.sub_orders), _rows(view.units)


def _facts_of_record(entry: StatusEntry) -> _Facts:
    rows = (msgspec.structs.astuple(unit) for unit in entry.units)
    return entry.status, entry.placed, entry.eligible, entry.sub_orders, _rows(rows)


def _rows(units: Iterable[tuple[object, ...]]) -> tuple[tuple[str, ...], ...]:
    # Their order means nothing. As texts, since null, for what no sub-order covers, cannot be sorted among texts.
    return tuple(sorted(tuple("" if part is None else str(part) for part in row) for row in units))


def _fingerprint(value: bytes) -> int:
    """Hash the facts of a record as the worker writes it."""
    return hash(value[value.find(_FACTS) :])


def _written(view: OrderView) -> bytes:
    """Encode a status record with the facts of a view."""
    facts = view.status, view.placed, view.eligible, view.sub_orders, view.units
    return status_changed("", 0, "", '""', *facts)


class Statuses:
    """Takes the status records in order. `orders`: those of the state, at the cut."""

    def __init__(self, topic: str, partition: int, cut: Cut, orders: Iterable[OrderView]) -> None:
        self.topic = topic
        self.findings = FindingLog(partition)
        self._sources = SourceTracker(partition, cut)
        self._expected = {
            key_of(view.account_id, view.order_id): _fingerprint(_written(view)) for view in orders if view.known
        }
        self._agreeing: set[OrderKey] = set()
        self._differing: dict[OrderKey, tuple[int, bytes]] = {}
        self._newer: set[OrderKey] = set()

    @property
    def beyond(self) -> dict[str, int]:
        """The newest source offsets beyond the cut, by topic."""
        return self._sources.beyond

    @property
    def orders(self) -> int:
        """Orders that the state knows."""
        return len(self._expected)

    def unsettled(self) -> set[OrderKey]:
        """Orders of the state of which only statuses newer than the cut are left: compaction may have taken the one
        before.
        """
        return (self._newer & self._expected.keys()) - self._agreeing - self._differing.keys()

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        for record in records:
            if record.value is None:
                self._add(Check.FORMAT, text_of(record.key), "a status was deleted, which no worker does", record)
                continue
            try:
                entry = _decode(record.value)
                source, offset, _ = self._sources.parse(entry.event_id)
            except (msgspec.DecodeError, ValueError) as error:
                self._add(Check.FORMAT, text_of(record.key), f"not a status: {error}", record)
                continue
            key = key_of(entry.account_id, entry.order_id)
            if not self._sources.is_before_cut(source, offset):
                self._newer.add(key)
                continue
            if record.key != key:
                self._add(Check.PLACEMENT, key.decode(), f"its key is {text_of(record.key)}", record)
            expected = self._expected.get(key)
            if expected is None and entry.eligible:
                # It has left the state by retention; its last status record stays.
                self._differing.pop(key, None)
            elif expected is not None and _fingerprint(record.value) == expected:
                self._differing.pop(key, None)
                self._agreeing.add(key)
            else:
                self._agreeing.discard(key)
                self._differing[key] = (record.offset, record.value)

    def conclude(self, order_of: Callable[[str, str], OrderView | None]) -> None:
        """Add what is wrong with the last records.

        `order_of` gives an order of the state: only fingerprints were kept.
        """
        unsettled = self.unsettled()
        for key, (offset, value) in self._differing.items():
            account_id, order_id = parts_of(key)
            view = order_of(account_id, order_id)
            message = (
                "the state does not know this order, and it is not eligible"
                if view is None
                else _difference(_decode(value), view)
            )
            if message:
                place = f"{self.topic}/{self.findings.partition}/{offset}"
                self.findings.add(Check.STATUS, key.decode(), message, place)
        for key in sorted(self._expected.keys() - self._agreeing - self._differing.keys() - unsettled):
            self.findings.add(Check.STATUS, key.decode(), "the state knows this order, but it has no status record")

    def accounts(self) -> Iterator[str]:
        """The accounts of the orders, of the state and of the records that differ."""
        return (parts_of(key)[0] for key in self._expected.keys() | self._differing.keys())

    def _add(self, check: Check, subject: str, message: str, record: Record) -> None:
        self.findings.add(check, subject, message, f"{self.topic}/{self.findings.partition}/{record.offset}")


def _difference(entry: StatusEntry, view: OrderView) -> str:
    """In which facts a record differs; empty where it only spells them otherwise than the worker."""
    names = ("status", "placed", "eligible", "sub_orders", "units")
    recorded, known = _facts_of_record(entry), _facts_of_view(view)
    return "; ".join(
        f"{name} is {_shown(mine)} in the record, {_shown(other)} in the state"
        for name, mine, other in zip(names, recorded, known, strict=True)
        if mine != other
    )


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= 200 else f"{text[:200]}…"
