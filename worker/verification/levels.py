"""Reading the level records of a partition as of the cut."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.encoding import key_of
from worker.inspection.topic_reader import Record
from worker.verification.findings import Check, FindingLog, text_of
from worker.verification.sources import Cut, SourceTracker
from worker.verification.stock_sums import Balance, StockKey, path_of


class _LevelRecord(msgspec.Struct, gc=False):
    """The fields of a `stock.level_changed` that are checked."""

    event_id: str
    account_id: str
    warehouse_id: str
    sku: str
    on_hand: int | None
    frozen: int
    available: int | None


_decode = msgspec.json.Decoder(_LevelRecord).decode


class LastLevels:
    """Takes the level records in order and keeps the last one of each key that is before the cut."""

    def __init__(self, topic: str, partition: int, cut: Cut) -> None:
        self.topic = topic
        self.findings = FindingLog(partition)
        self.stocks: dict[StockKey, Balance] = {}
        self._sources = SourceTracker(partition, cut)
        self._newer: set[StockKey] = set()

    @property
    def beyond(self) -> dict[str, int]:
        """The newest source offsets beyond the cut, by topic."""
        return self._sources.beyond

    def unsettled(self) -> set[StockKey]:
        """Keys of which only levels newer than the cut are left: compaction may have taken the one before."""
        return self._newer - self.stocks.keys()

    def take(self, records: Sequence[Record]) -> None:
        """Take the next records."""
        for record in records:
            if record.value is None:
                self._add(Check.FORMAT, text_of(record.key), "a level was deleted, which no worker does", record)
                continue
            try:
                level = _decode(record.value)
                source, offset, _ = self._sources.parse(level.event_id)
            except (msgspec.DecodeError, ValueError) as error:
                self._add(Check.FORMAT, text_of(record.key), f"not a level: {error}", record)
                continue
            key = (level.account_id, level.warehouse_id, level.sku)
            if not self._sources.is_before_cut(source, offset):
                self._newer.add(key)
                continue
            if record.key != key_of(*key):
                self._add(Check.PLACEMENT, path_of(key), f"its key is {text_of(record.key)}", record)
            if level.available != (None if level.on_hand is None else level.on_hand - level.frozen):
                message = f"available is {level.available}, with {level.on_hand} on hand and {level.frozen} frozen"
                self._add(Check.STOCK, path_of(key), message, record)
            self.stocks[key] = Balance(level.on_hand, level.frozen)

    def _add(self, check: Check, subject: str, message: str, record: Record) -> None:
        self.findings.add(check, subject, message, f"{self.topic}/{self.findings.partition}/{record.offset}")
