"""Questions about a partition, and how a ledger answers them.

A worker answers requests over HTTP with its own ledger. A command asks a worker, or a ledger that it restores from the
topics. All answers come from here, so they are the same. The domain is imported where a ledger answers, because a
command that asks a worker starts sooner without it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar
from urllib.parse import quote, urlencode

from schemas.encoding import key_of, parts_of
from worker.web.answers import (
    Holder,
    HoldersAnswer,
    LevelsAnswer,
    OrderAnswer,
    PartitionAnswer,
    alert_of,
    level_of,
    order_answer,
)

if TYPE_CHECKING:
    from worker.domain.ledger import Ledger

HOLDERS_SHOWN = 20
LEVELS_SHOWN = 1000
LEVELS_MAX = 10_000
"""The most levels in an answer. Making it takes some 75 ms, during which the worker's partitions wait."""
ALERTS_SHOWN = 100
ALERTS_MAX = 10_000
HOLDERS_MAX = 1_000_000
"""The most holders in an answer; they are searched step by step."""

T = TypeVar("T")
A_co = TypeVar("A_co", covariant=True)


class Look(Protocol):
    """Lets a function see the ledger of the partition, between two transactions.

    It may be asked several times, and the partition may have gone on, or have been given away, in between. Raises
    NotAssigned.
    """

    async def __call__(self, see: Callable[[Ledger], T]) -> T:
        """Call `see` with the ledger, and return its result."""


class Question(Protocol[A_co]):
    """A question about a partition. `answer` is the type of its answers."""

    answer: ClassVar[Any]

    @property
    def path(self) -> str:
        """The path of the page that answers it, percent-encoded, with its parameters."""

    @property
    def account_id(self) -> str | None:
        """The account of the question; None: it is about a partition."""

    async def ask(self, look: Look, partition: int) -> A_co | None:
        """Answer from the ledger. None: nothing is known of what was asked for."""


@dataclass(frozen=True, slots=True)
class LevelsQuestion:
    """Asks for levels of an account, a page at a time. `below`: only those with less available; 0 is oversold."""

    account_id: str
    limit: int = LEVELS_SHOWN
    warehouse_id: str | None = None
    sku: str | None = None
    below: int | None = None
    after: str | None = None
    answer: ClassVar[Any] = LevelsAnswer

    @property
    def path(self) -> str:
        """`/accounts/{account}/stock`."""
        narrowed = {
            "warehouse_id": self.warehouse_id,
            "sku": self.sku,
            "below": self.below,
            "after": self.after,
            "limit": self.limit,
        }
        return f"/accounts/{encoded(self.account_id)}/stock{_parameters(narrowed)}"

    async def ask(self, look: Look, partition: int) -> LevelsAnswer | None:
        """Answer from the ledger. None: nothing is known of the account's stock."""
        from worker.domain.searches import LevelsWanted

        wanted = LevelsWanted(
            account_id=self.account_id,
            limit=self.limit,
            warehouse_id=self.warehouse_id,
            sku=self.sku,
            below=self.below,
            after=None if self.after is None else cursor_of(self.after),
        )
        page = await look(lambda ledger: ledger.levels_page(wanted))
        if page is None:
            return None
        levels, more = page
        following = key_of(levels[-1].warehouse_id, levels[-1].sku).decode() if more else None
        return LevelsAnswer(self.account_id, partition, [level_of(view) for view in levels], following)


@dataclass(frozen=True, slots=True)
class HoldersQuestion:
    """Asks for the level of a stock key, and the `limit` greatest holdings of its frozen units."""

    account_id: str
    warehouse_id: str
    sku: str
    limit: int = HOLDERS_SHOWN
    answer: ClassVar[Any] = HoldersAnswer

    @property
    def path(self) -> str:
        """`/accounts/{account}/stock/{warehouse}/{sku}`."""
        names = "/".join(encoded(name) for name in (self.warehouse_id, self.sku))
        return f"/accounts/{encoded(self.account_id)}/stock/{names}{_parameters({'limit': self.limit})}"

    async def ask(self, look: Look, partition: int) -> HoldersAnswer | None:
        """Answer from the ledger. None: nothing is known of the key."""
        from worker.domain.searches import LevelsWanted

        key = self.account_id, self.warehouse_id, self.sku
        wanted = LevelsWanted(self.account_id, 1, self.warehouse_id, self.sku)
        # Both at one moment, so that what is held adds up to what is frozen.
        page, search = await look(lambda ledger: (ledger.levels_page(wanted), ledger.holder_search(*key, self.limit)))
        if page is None or not page[0]:
            return None
        await _take(search.steps())
        return HoldersAnswer(
            self.account_id,
            partition,
            level_of(page[0][0]),
            search.orders,
            [Holder(held.order_id, held.sub_order_id, held.open) for held in search.holdings],
        )


@dataclass(frozen=True, slots=True)
class OrderQuestion:
    """Asks for everything that is known of an order."""

    account_id: str
    order_id: str
    answer: ClassVar[Any] = OrderAnswer

    @property
    def path(self) -> str:
        """`/accounts/{account}/orders/{order}`."""
        return f"/accounts/{encoded(self.account_id)}/orders/{encoded(self.order_id)}"

    async def ask(self, look: Look, partition: int) -> OrderAnswer | None:
        """Answer from the ledger. None: the order is unknown, or has left by retention."""
        view = await look(lambda ledger: ledger.order_of(self.account_id, self.order_id))
        return None if view is None else order_answer(view, partition)


@dataclass(frozen=True, slots=True)
class PartitionQuestion:
    """Asks for a partition in numbers, with up to `limit` alerts that hold and pending dead letters.

    `of_account`: only those of this account.
    """

    partition: int
    limit: int = ALERTS_SHOWN
    of_account: str | None = None
    answer: ClassVar[Any] = PartitionAnswer

    @property
    def account_id(self) -> None:
        """Return None, because the question is about a partition."""
        return

    @property
    def path(self) -> str:
        """`/partitions/{partition}`."""
        return f"/partitions/{self.partition}{_parameters({'account_id': self.of_account, 'limit': self.limit})}"

    async def ask(self, look: Look, partition: int) -> PartitionAnswer:
        """Answer from the ledger; there always is an answer."""
        sizes, taker = await look(lambda ledger: (ledger.gauges(), ledger.census_taker(self.of_account, self.limit)))
        await _take(taker.steps())
        census = taker.census
        return PartitionAnswer(
            partition=partition,
            accounts=int(sizes["accounts"]),
            orders=int(sizes["orders"]),
            orders_open=int(sizes["orders_open"]),
            stock_keys=int(sizes["stock_keys"]),
            counts=census.alert_counts,
            alerts=[alert_of(alert) for alert in census.alerts],
            dead_letters_pending=census.dead_letters_pending,
            dead_letters=census.dead_letters,
        )


def cursor_of(after: str) -> tuple[str, str]:
    """Read warehouse and SKU from a page's `next`. Raises ValueError where the text is none."""
    try:
        parts = parts_of(after.encode())
    except UnicodeDecodeError:
        parts = ()
    if len(parts) != 2:
        raise ValueError(f"{after!r} is not the `next` of a page: warehouse/sku, each percent-encoded")
    return parts[0], parts[1]


def encoded(name: str) -> str:
    """Encode an id for an address. Dots are encoded too, because `.` and `..` would be resolved on the way."""
    return quote(name, safe="").replace(".", "%2E")


def _parameters(of: Mapping[str, str | int | None]) -> str:
    given = {name: value for name, value in of.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


async def _take(steps: Iterator[None]) -> None:
    """Take the steps of a search, and let other tasks run between them."""
    for _ in steps:
        await asyncio.sleep(0)
