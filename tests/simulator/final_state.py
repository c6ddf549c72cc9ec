"""At the end of a run: what a new worker would make of the state topic, and what a calm run ends at."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from tests.model.reading import time_ms
from tests.model.run import Model, Record
from tests.simulator.audit.books import Books
from tests.simulator.audit.expected import long_key
from tests.simulator.world import SimRecord
from worker.domain.policies import Policies
from worker.processors.ledger import PartitionProcessor

UNIT = ("sub_order_id", "warehouse_id", "sku", "open", "shipped", "cancelled")


def differences(model: Model, state: Sequence[SimRecord], prefix: str, rules: Policies) -> list[str]:
    """What differs between the model and a processor restored from these records; empty: nothing."""
    processor = PartitionProcessor(
        partition=model.partition, partition_count=model.partition_count, prefix=prefix, policies=rules
    )
    for record in state:
        if record.key is not None and not record.key.startswith(b"stream/"):
            processor.restore(record.key, record.value)
    processor.restored(model.stream_time)
    return [
        f"{what} restored from the state: model {expected.get(key)}, restored {found.get(key)}"
        for what, expected, found in (
            ("level", _levels_of(model), _restored_levels(processor)),
            ("status", _statuses_of(model), _restored_statuses(processor)),
        )
        for key in sorted({*expected, *found})
        if expected.get(key) != found.get(key)
    ]


def flood_differences(expected: set[str], state: Sequence[SimRecord]) -> list[str]:
    """Whether the state knows of other floods than those that go on."""
    known = {record.key: record.value for record in state if record.key is not None}
    found = {unquote(key.decode().split("/")[1]) for key, value in known.items() if key.startswith(b"flood/") and value}
    return [] if found == expected else [f"floods in the state: {sorted(found)}, and should be {sorted(expected)}"]


def _levels_of(model: Model) -> dict[tuple[str, ...], dict[str, Any]]:
    return {
        (account_id, *key): sums.level(account.policies.buffer)
        for account_id, account in model.accounts.items()
        for key, sums in account.ground.stock().items()
        if sums.open or sums.count is not None
    }


def _restored_levels(processor: PartitionProcessor) -> dict[tuple[str, ...], dict[str, Any]]:
    levels: dict[tuple[str, ...], dict[str, Any]] = {}
    for view in processor.ledger.levels():
        level = {name: getattr(view, name) for name in ("on_hand", "frozen", "available", "publishable")}
        if view.frozen or view.on_hand is not None:
            as_of = None if view.as_of is None else time_ms(view.as_of)
            levels[view.account_id, view.warehouse_id, view.sku] = {**level, "as_of": as_of}
    return levels


def _statuses_of(model: Model) -> dict[tuple[str, ...], dict[str, Any]]:
    return {
        (account_id, order_id): {**account.status(order_id), "pending": sorted(account.pending.get(order_id, ()))}
        for account_id, account in model.accounts.items()
        for order_id in account.ground.orders
    }


def _restored_statuses(processor: PartitionProcessor) -> dict[tuple[str, ...], dict[str, Any]]:
    return {
        (view.account_id, view.order_id): {
            "order_id": view.order_id,
            "status": view.status,
            "placed": view.placed,
            "eligible": view.eligible,
            "sub_orders": dict(view.sub_orders),
            "units": sorted((dict(zip(UNIT, row, strict=True)) for row in view.units), key=str),
            "pending": sorted(view.dead_letters),
        }
        for view in processor.ledger.orders()
        if view.known
    }


def calm_differences(calm: Model, inputs: Sequence[Sequence[Record]], books: Books) -> Iterator[str]:
    """Any order of clean inputs ends alike (contract, invariant 4): `calm` takes them by their timestamps.

    `inputs` are those of each topic; `books` has what was written.
    """
    for record in heapq.merge(*inputs, key=lambda record: record.timestamp):
        calm.feed(record)
    for account_id, account in calm.accounts.items():
        for order_id in account.ground.orders:
            status = account.status(order_id)
            found: Mapping[str, Any] = books.statuses.get(long_key(account_id, order_id), {})
            fields = {name: found.get(name) for name in ("status", "placed", "eligible", "sub_orders")}
            if fields != {name: status[name] for name in fields}:
                yield f"{order_id}: calm {status}, found {found}"
        for key, sums in account.ground.stock().items():
            level = sums.level(account.policies.buffer)
            found = books.levels.get(long_key(account_id, *key), {"frozen": 0, "on_hand": None})
            if (level["frozen"], level["on_hand"]) != (found["frozen"], found["on_hand"]):
                yield f"{key}: calm {level}, found {found}"
