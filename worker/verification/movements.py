"""Checking the journal of a partition in one pass: its sums per stock key, and each balance against the one before.

Memory grows with the stock keys, not with the journal. Lost and doubled movements are found without keeping event ids:
inputs are processed in the order of their offsets, so (offset, number) only grows within a source topic, and each
movement states the balance after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from worker.inspection.topic_reader import Record
from worker.verification.findings import Check, FindingLog, text_of
from worker.verification.sources import Cut, SourceTracker
from worker.verification.stock_sums import Balance, StockKey, path_of


class JournalEntry(msgspec.Struct, gc=False):
    """The fields of a `stock.moved` that are checked."""

    event_id: str
    account_id: str
    warehouse_id: str
    sku: str
    frozen_delta: int
    on_hand_delta: int
    frozen: int
    on_hand: int | None


class _Running(msgspec.Struct, gc=False):
    """The balance in the last movement (null as 0), and the part of it that no delta explains."""

    frozen: int = 0
    on_hand: int = 0
    frozen_gap: int = 0
    on_hand_gap: int = 0

    @property
    def sums(self) -> Balance:
        """The sums of all deltas."""
        return Balance(self.on_hand - self.on_hand_gap, self.frozen - self.frozen_gap)


_BEFORE_ALL = (-1, -1)
_decode = msgspec.json.Decoder(JournalEntry).decode


class Journal:
    """Takes the journal's records in order, in one or several passes, each up to a cut."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.findings = FindingLog(partition)
        self.movements = 0
        self.next_offset = 0
        """The offset where the next pass must start: the first record beyond the last cut, or the end."""
        self.last_offset = -1
        """The offset of the last record before the cut; -1: there is none."""
        self._balances: dict[StockKey, _Running] = {}
        self._last_sources: dict[str, tuple[int, int]] = {}
        self._sources = SourceTracker(partition, {})
        self._is_beyond = False

    @property
    def beyond(self) -> dict[str, int]:
        """The newest source offsets beyond the cut, by topic."""
        return self._sources.beyond

    def start(self, cut: Cut) -> None:
        """Begin a pass: what follows is taken up to `cut`."""
        self._sources = SourceTracker(self.findings.partition, cut)
        self._is_beyond = False

    def end(self, offset: int) -> None:
        """End a go that was read up to `offset`."""
        if not self._is_beyond:
            self.next_offset = offset

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        # Nearly all that a verification does is in this loop.
        sources, last_sources, balances, movements = self._sources, self._last_sources, self._balances, 0
        last_offset = self.last_offset
        for record in records:
            try:
                entry = _decode(record.value or b"")
                topic, offset, number = sources.parse(entry.event_id)
            except (msgspec.DecodeError, ValueError) as error:
                self._add(Check.FORMAT, "", f"not a movement: {error}", record)
                continue
            if not sources.is_before_cut(topic, offset):
                if not self._is_beyond:
                    self._is_beyond, self.next_offset = True, record.offset
                continue
            if self._is_beyond:
                # The engine commits in the order of the offsets: what it wrote before the cut cannot stand after what
                # it wrote beyond.
                self._add(Check.REPEATED, entry.event_id, "an older event's movement stands after newer ones", record)
                continue
            movements += 1
            last_offset = record.offset
            source = (offset, number)
            if last_sources.get(topic, _BEFORE_ALL) >= source:
                message = f"{_name(entry)}: this event's movements were written before"
                self._add(Check.REPEATED, entry.event_id, message, record)
            else:
                last_sources[topic] = source
            key = (entry.account_id, entry.warehouse_id, entry.sku)
            balance = balances.get(key)
            if balance is None:
                balance = balances[key] = _Running()
                self._check_key(entry, record)
            frozen, on_hand = entry.frozen, entry.on_hand or 0
            if balance.frozen + entry.frozen_delta != frozen or balance.on_hand + entry.on_hand_delta != on_hand:
                self._add(Check.BALANCE, path_of(key), _broken(balance, entry), record)
                balance.frozen_gap += frozen - balance.frozen - entry.frozen_delta
                balance.on_hand_gap += on_hand - balance.on_hand - entry.on_hand_delta
            # Go on from the stated balance, so that each break is reported once, where it is.
            balance.frozen, balance.on_hand = frozen, on_hand
        self.movements += movements
        self.last_offset = last_offset

    def stocks(self) -> dict[StockKey, Balance]:
        """The sums of all keys."""
        return {key: balance.sums for key, balance in self._balances.items()}

    def _check_key(self, entry: JournalEntry, record: Record) -> None:
        if record.key != entry.account_id.encode():
            self._add(Check.PLACEMENT, _name(entry), f"its key is {text_of(record.key)}, not its account", record)

    def _add(self, check: Check, subject: str, message: str, record: Record) -> None:
        self.findings.add(check, subject, message, f"{self.topic}/{self.findings.partition}/{record.offset}")


def _name(entry: JournalEntry) -> str:
    return path_of((entry.account_id, entry.warehouse_id, entry.sku))


def _broken(balance: _Running, entry: JournalEntry) -> str:
    frozen = _sum("frozen", balance.frozen, entry.frozen_delta, entry.frozen)
    on_hand = _sum("on_hand", balance.on_hand, entry.on_hand_delta, entry.on_hand)
    return f"event {entry.event_id}: {frozen}; {on_hand}"


def _sum(measure: str, before: int, delta: int, stated: int | None) -> str:
    return f"{measure} {before} and {delta:+} should be {before + delta}, but is {'null' if stated is None else stated}"
