"""Reading levels back from the topic to which the worker published them.

A command can read the state, but it does not know the worker's settings. So it takes values that depend on them, such
as `publishable`, from the published records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from schemas.encoding import key_of
from schemas.outputs import StockLevelChanged
from worker.inspection.topic_reader import Record, TopicReader
from worker.web.answers import Level

Key = tuple[str, str]
"""Warehouse and SKU."""

_decode = msgspec.json.Decoder(StockLevelChanged).decode


async def published_levels(
    reader: TopicReader, topic: str, partition: int, account_id: str, keys: Iterable[Key]
) -> dict[Key, StockLevelChanged]:
    """Read the last level record of each of these keys of an account; keys without one are left out."""
    wanted = {key_of(account_id, warehouse_id, sku): (warehouse_id, sku) for warehouse_id, sku in keys}
    last: dict[bytes, bytes] = {}

    def take(records: Sequence[Record]) -> None:
        last.update({record.key: record.value for record in records if record.key in wanted and record.value})

    bounds = await reader.bounds(topic, partition)
    await reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    return {wanted[key]: _decode(value) for key, value in last.items()}


def as_published(level: Level, record: StockLevelChanged | None) -> Level:
    """Replace a level's numbers by those of its record, which is at least as new because it was read later."""
    if record is None:
        return level
    return Level(
        warehouse_id=level.warehouse_id,
        sku=level.sku,
        on_hand=record.on_hand,
        frozen=record.frozen,
        available=record.available,
        publishable=record.publishable,
        as_of=record.as_of,
    )
