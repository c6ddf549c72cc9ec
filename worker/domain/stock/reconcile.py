"""A count of one key against the ledger: drift, and its suspects. Contract section 6.

A count is compared, and adopted where it may be; `counting` writes down what came of it.
"""

from __future__ import annotations

from collections.abc import Collection
from heapq import nsmallest
from typing import Final, Literal, NamedTuple

from schemas.outputs import Missing, Suspect
from schemas.state import StockState
from schemas.times import time_text
from worker.domain.policies import DAY_MS, AccountPolicies
from worker.domain.stock.stock import CountRank, Posting, Stock, SuspectMovement, rank_of

SUSPECTS_MAX: Final = 10
SKUS_LISTED_MAX: Final = 100
RESERVED_AGE_MS_MAX: Final = DAY_MS
"""A count's `reserved` is compared only if its as_of is at most this long before its record."""


class Drift(NamedTuple):
    """A count that differs from what the ledger expected."""

    measure: Literal["on_hand", "reserved"]
    expected: int
    actual: int
    adopted: bool


class Comparison(NamedTuple):
    """What a count of one key came to.

    compared: there was something to compare with. unknown: the key had no count before.
    """

    posting: Posting | None
    adopted: bool
    drifts: tuple[Drift, ...]
    compared: bool
    unknown: bool


def take_count(
    stock: Stock, rank: CountRank, on_hand: int, reserved: int | None, policies: AccountPolicies
) -> Comparison:
    """Compare a count with the key, and adopt it where it is greater and the account's policies allow it.

    `reserved` is None where it is not to be compared.
    """
    as_of, origin = rank[0], rank[1]
    counted = stock.count
    drifts: list[Drift] = []
    posting = None
    greater = is_greater(counted, rank)
    may_adopt = policies.count_origin in {"any", origin} and (counted is None or policies.count_policy == "adopt")
    adopted = greater and may_adopt
    compared = greater and counted is not None
    if compared:
        expected = stock.expected_at(as_of)
        if expected != on_hand:
            drifts.append(Drift("on_hand", expected, on_hand, adopted))
    if reserved is not None:
        compared = True
        frozen = stock.frozen_as_of(as_of)
        if frozen != reserved:
            drifts.append(Drift("reserved", frozen, reserved, adopted=False))
    if adopted:
        posting = stock.adopt(rank, on_hand)
    return Comparison(posting, adopted, tuple(drifts), compared, counted is None)


def is_greater(count: StockState | None, rank: CountRank) -> bool:
    """Whether a count of this rank is greater than the one a key has: that of a marketplace never is."""
    return rank[1] != "marketplace" and (count is None or rank > rank_of(count))


def compares_reserved(as_of: int, recorded_at: int) -> bool:
    """Whether a count is fresh enough for its `reserved` to be compared."""
    return as_of >= recorded_at - RESERVED_AGE_MS_MAX


def suspects_of(stock: Stock, as_of: int, drift: int) -> list[Suspect]:
    """Orders that may explain a drift.

    Those whose movement has just its size come first, then those that happened nearest to the count.
    """
    ranked = sorted(stock.suspects, key=lambda moved: (moved.quantity != abs(drift), abs(moved.at - as_of)))
    suspects: dict[tuple[str, str | None], Suspect] = {}
    for moved in ranked:
        order_id, sub_order_id = moved.order_id, moved.sub_order_id
        if (order_id, sub_order_id) not in suspects and len(suspects) < SUSPECTS_MAX:
            suspect = suspects[order_id, sub_order_id] = Suspect(order_id=order_id, reason=_reason(moved, as_of, drift))
            if sub_order_id is not None:
                suspect.sub_order_id = sub_order_id
    return list(suspects.values())


def _reason(moved: SuspectMovement, as_of: int, drift: int) -> str:
    at, quantity = moved.at, moved.quantity
    size = "just the drift" if quantity == abs(drift) else "near the count"
    side = "after" if at > as_of else "before"
    return f"{moved.movement} of {quantity} at {time_text(at)}, {abs(at - as_of) // 1000} s {side} the count: {size}"


def is_missing(stock: Stock) -> bool:
    """Whether a key that a snapshot lacks is `missing_in_count`: it has stock or frozen units."""
    return bool(stock.on_hand or stock.frozen)


def listed(skus: Collection[str]) -> Missing:
    """SKUs as `{count, skus}`, the first of them in ascending order."""
    return Missing(count=len(skus), skus=nsmallest(SKUS_LISTED_MAX, skus))
