"""The journal of a partition, read once from its beginning: sums per stock key, and whether each balance follows from
the one before.

Memory is that of the stock keys, however long the journal. Which movement is lost or doubled is found without keeping
event ids: a partition's inputs are processed in the order of their offsets, so per source topic (offset, number) only
ever grows, and each movement states the balance after it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from worker.edges.topic_reader import Record
from worker.edges.verification.findings import Check, Findings
from worker.edges.verification.sources import Cut, Sources
from worker.edges.verification.stock import Stock, StockKey, path_of


class JournalEntry(msgspec.Struct, gc=False):
    """What is needed of a `stock.moved`."""

    event_id: str
    account_id: str
    warehouse_id: str
    sku: str
    frozen_delta: int
    on_hand_delta: int
    frozen: int
    on_hand: int | None


class _Balance(msgspec.Struct, gc=False):
    """Sums of the deltas, and the balance that the last movement stated (null as 0)."""

    frozen_sum: int = 0
    on_hand_sum: int = 0
    frozen: int = 0
    on_hand: int = 0


_decode = msgspec.json.Decoder(JournalEntry).decode


class Journal:
    """Takes the journal's records in order, in one or several goes, each up to a cut."""

    def __init__(self, topic: str, partition: int) -> None:
        self.topic = topic
        self.findings = Findings(partition)
        self.movements = 0
        self.next_offset = 0
        """Where the next go must start: the first record beyond the last cut, or the end."""
        self._balances: dict[StockKey, _Balance] = {}
        self._last_sources: dict[str, tuple[int, int]] = {}
        self._sources = Sources(partition, {})
        self._is_beyond = False

    @property
    def beyond(self) -> dict[str, int]:
        """The newest source offsets beyond the cut, by topic."""
        return self._sources.beyond

    def start(self, cut: Cut) -> None:
        """Begin a go: what follows is taken up to `cut`."""
        self._sources = Sources(self.findings.partition, cut)
        self._is_beyond = False

    def end(self, offset: int) -> None:
        """End a go that was read up to `offset`."""
        if not self._is_beyond:
            self.next_offset = offset

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        sources, last_sources, balances = self._sources, self._last_sources, self._balances
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
            self.movements += 1
            if last_sources.get(topic, (-1, -1)) >= (offset, number):
                self._add(
                    Check.REPEATED,
                    entry.event_id,
                    f"{_name(entry)}: this event's movements were written before",
                    record,
                )
            else:
                last_sources[topic] = (offset, number)
            key = (entry.account_id, entry.warehouse_id, entry.sku)
            balance = balances.get(key)
            if balance is None:
                balance = balances[key] = _Balance()
                self._check_key(entry, record)
            on_hand = entry.on_hand or 0
            if balance.frozen + entry.frozen_delta != entry.frozen or balance.on_hand + entry.on_hand_delta != on_hand:
                self._add(Check.BALANCE, path_of(key), _broken(balance, entry), record)
            balance.frozen_sum += entry.frozen_delta
            balance.on_hand_sum += entry.on_hand_delta
            # Take the stated balance for the true one: so each break is told once, where it is.
            balance.frozen, balance.on_hand = entry.frozen, on_hand

    def stocks(self) -> dict[StockKey, Stock]:
        """The sums of all keys."""
        return {key: Stock(balance.on_hand_sum, balance.frozen_sum) for key, balance in self._balances.items()}

    def _check_key(self, entry: JournalEntry, record: Record) -> None:
        if record.key != entry.account_id.encode():
            self._add(Check.PLACEMENT, _name(entry), f"its record's key is {record.key!r}, not its account", record)

    def _add(self, check: Check, subject: str, message: str, record: Record) -> None:
        self.findings.add(check, subject, message, f"{self.topic}/{self.findings.partition}/{record.offset}")


def _name(entry: JournalEntry) -> str:
    return path_of((entry.account_id, entry.warehouse_id, entry.sku))


def _broken(balance: _Balance, entry: JournalEntry) -> str:
    frozen = _sum("frozen", balance.frozen, entry.frozen_delta, entry.frozen)
    on_hand = _sum("on_hand", balance.on_hand, entry.on_hand_delta, entry.on_hand)
    return f"event {entry.event_id}: {frozen}; {on_hand}"


def _sum(measure: str, before: int, delta: int, told: int | None) -> str:
    return f"{measure} {before} and {delta:+} should be {before + delta}, it says {'null' if told is None else told}"
