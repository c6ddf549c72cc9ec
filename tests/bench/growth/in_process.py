"""Growth where the broker is not what is asked about: one partition without its clients, in CPU time.

Each point is measured in a process of its own, so that none inherits another's heap, and is the lower quartile over its
transactions: a busy machine slows single ones down, it makes none faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from statistics import fmean, quantiles
from typing import Final, NamedTuple

from tests.bench.growth.loads import holders, order_of
from tests.bench.growth.series import NOTHING_MORE, Point, Series
from tests.bench.load import SKUS, open_orders
from tests.bench.profile import START_MS, Line
from tests.bench.steady_load import LoadRecord, opening_counts, steady_load
from worker.ops.garbage import collect_little, set_apart

TRANSACTION_RECORDS: Final = 200
MEASURED_EVENTS: Final = 10_000
LIVE_EVENTS: Final = 4000
"""To have as many orders under way as the standard load has."""
_LINES_TOUCHED: Final = 20_000
_BETWEEN_MS: Final = 10_000_000


class Load(NamedTuple):
    """What comes before, and what is measured."""

    before: Iterable[LoadRecord]
    measured: Iterable[LoadRecord]
    per_transaction: int = TRANSACTION_RECORDS


def _mix(accounts: Sequence[str], skus: int, warm_up: int = LIVE_EVENTS) -> tuple[list[LoadRecord], list[LoadRecord]]:
    """The standard load, warm-up and measured."""
    n_events = warm_up + MEASURED_EVENTS
    load = list(steady_load(n_events, accounts=accounts, skus=skus, start_ms=START_MS + _BETWEEN_MS))
    return load[:warm_up], load[warm_up:]


def _orders_in_state(size: int) -> Load:
    warm_up, measured = _mix([f"account-{number}" for number in range(8)], SKUS)
    return Load([*open_orders(size, START_MS), *warm_up], measured)


def _keys(size: int) -> Load:
    skus = size // 4  # an opening count has four warehouses
    warm_up, measured = _mix(["account-0"], skus)
    return Load([*opening_counts(["account-0"], skus, as_of_ms=START_MS), *warm_up], measured)


def _lines(size: int) -> Load:
    lives = max(8, _LINES_TOUCHED // size // 5)
    orders = [order_of(size, f"order-{number}", START_MS + 10 * number) for number in range(2 * lives)]
    # The same kinds side by side, as in a stream of many orders.
    first, second = (
        [one for kind in zip(*each, strict=True) for one in kind] for each in (orders[:lives], orders[lives:])
    )
    return Load(first, second, per_transaction=max(5, TRANSACTION_RECORDS // size))


def _accounts(size: int) -> Load:
    warm_up, measured = _mix([f"account-{number}" for number in range(size)], 100, max(LIVE_EVENTS, 8 * size))
    return Load(warm_up, measured)


def _batch(size: int) -> Load:
    warm_up, measured = _mix([f"account-{number}" for number in range(8)], SKUS)
    return Load(warm_up, measured, per_transaction=size)


def _hot(size: int) -> Load:
    warm_up, measured = _mix(["account-0"], 1)
    return Load([*holders(size, START_MS), *warm_up], measured)


class Question(NamedTuple):
    """A series to measure; `quick` of its sizes in a short run."""

    name: str
    size: str
    touched: str
    make: Callable[[int], Load]
    sizes: Sequence[int]
    quick: Sequence[int]


QUESTIONS: Final = {
    "orders": Question(
        "orders in state",
        "open orders of two lines",
        NOTHING_MORE,
        _orders_in_state,
        (1000, 10_000, 100_000, 1_000_000),
        (1000, 10_000, 50_000),
    ),
    "keys": Question(
        "stock keys", "counted keys", NOTHING_MORE, _keys, (1000, 10_000, 100_000, 400_000), (1000, 10_000, 40_000)
    ),
    "lines": Question(
        "lines per order", "SKUs of an order", "its lines", _lines, (1, 3, 10, 30, 100, 300, 1000), (1, 10, 100, 1000)
    ),
    "accounts": Question(
        "accounts", "accounts of a partition", NOTHING_MORE, _accounts, (1, 10, 100, 1000, 10_000), (1, 100, 1000)
    ),
    "batch": Question(
        "batch size",
        "events of a transaction",
        NOTHING_MORE,
        _batch,
        (1, 4, 16, 64, 256, 1024, 4000),
        (1, 16, 256, 4000),
    ),
    "hot": Question(
        "one hot SKU in every order",
        "open orders that hold it",
        NOTHING_MORE,
        _hot,
        (100, 1000, 10_000, 100_000),
        (100, 1000, 10_000),
    ),
}


def measure(name: str, note: Callable[[str], None], *, quick: bool) -> Series:
    """Answer one of `QUESTIONS`."""
    question = QUESTIONS[name]
    points = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for size in question.quick if quick else question.sizes:
            cost = pool.submit(_cost, name, size).result()
            note(f"{question.name}: {size:,}: {cost:.1f} µs/event")
            points.append(Point(size, cost))
    return Series(question.name, question.size, question.touched, points)


def _cost(name: str, size: int) -> float:
    collect_little()
    return asyncio.run(_measured(QUESTIONS[name].make(size)))


async def _measured(load: Load) -> float:
    """CPU µs per event: merged, decided, flushed, and appended to the client's batches."""
    line = Line()
    before = iter(load.before)
    while chunk := list(islice(before, 1000)):
        await line.run(line.fetched(chunk), TRANSACTION_RECORDS)
    set_apart()
    records = line.fetched(list(load.measured))
    times = await line.run(records, load.per_transaction)
    sizes = [min(load.per_transaction, len(records) - first) for first in range(0, len(records), load.per_transaction)]
    costs: list[float] = [sum(stages) / size * 1e6 for *stages, size in zip(*times.values(), sizes, strict=True)]
    if len(costs) < 4:
        return fmean(costs, weights=sizes)
    return quantiles(costs, n=4)[0]
