"""What the worker published, read back from its topics.

A command knows the state, but not the settings of the worker that wrote it. So it takes what follows from those, such
as `publishable`, from the records themselves.
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
    """The last level record of each of these keys of an account, of those that have one."""
    wanted = {key_of(account_id, warehouse_id, sku): (warehouse_id, sku) for warehouse_id, sku in keys}
    last: dict[bytes, bytes] = {}

    def take(records: Sequence[Record]) -> None:
        last.update({record.key: record.value for record in records if record.key in wanted and record.value})

    bounds = await reader.bounds(topic, partition)
    await reader.read(topic, partition, start=bounds.start, end=bounds.stable_end, take=take)
    return {wanted[key]: _decode(value) for key, value in last.items()}


def as_published(level: Level, record: StockLevelChanged | None) -> Level:
    """A level of the state as its record has it, which is as new or newer: the state was read before."""
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
