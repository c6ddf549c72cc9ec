"""One stock key: its count, the flows since, what orders froze of it. Contract section 5.

`on_hand` is the count less what shipped, plus what was restocked and adjusted, strictly after the count's `as_of`. It
is kept as a running number; the flows are kept too, because the next count is compared with what it should have found
at its own `as_of`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from itertools import chain
from operator import attrgetter
from typing import Final, final

from mypy_extensions import mypyc_attr

from schemas.state import VERSION, StockState
from schemas.times import time_text
from worker.domain.order.state import Claim
from worker.domain.violations import InvariantViolation

SUSPECTS_KEPT_MAX: Final = 24
"""How many of a key's latest shipments, returns and freezes are remembered, in case a count drifts."""

_LONG_AGO_MS: Final = -(1 << 60)
_NEVER_MS: Final = 1 << 60
"""Later than any event can have happened, but not than any timestamp of a record, which may have 63 bits: such a number
is an object once compiled, and dear to compare with."""


@mypyc_attr(acyclic=True)
@final
class Posting:
    """One movement, with the balance after it."""

    __slots__ = ("frozen", "frozen_delta", "movement", "on_hand", "on_hand_delta", "quantity")

    def __init__(
        self, movement: str, quantity: int, frozen_delta: int, on_hand_delta: int, on_hand: int | None, frozen: int
    ) -> None:
        self.movement = movement
        self.quantity = quantity
        self.frozen_delta = frozen_delta
        self.on_hand_delta = on_hand_delta
        self.on_hand = on_hand
        self.frozen = frozen


@mypyc_attr(acyclic=True)
@final
class SuspectMovement:
    """An order's movement at a key, remembered as a possible cause of a drift. Of these there are many."""

    __slots__ = ("at", "movement", "order_id", "quantity", "sub_order_id")

    def __init__(self, at: int, quantity: int, movement: str, order_id: str, sub_order_id: str | None) -> None:
        self.at = at
        self.quantity = quantity
        self.movement = movement
        self.order_id = order_id
        self.sub_order_id = sub_order_id


CountRank = tuple[int, str, str, int]
"""as_of, origin, snapshot_id, part: the greatest count wins."""


def rank_of(count: StockState) -> CountRank:
    """What a count is compared by."""
    return count.as_of, count.origin, count.snapshot_id, count.part


@mypyc_attr(acyclic=True)
@final
class Stock:
    """The state of one (account, warehouse, SKU)."""

    __slots__ = (
        "_claimed",
        "_counted_at",
        "_deltas",
        "_first_at",
        "_folded_until",
        "_is_sorted",
        "_last_at",
        "_moves",
        "_times",
        "as_of_text",
        "count",
        "dirty",
        "fragment",
        "frozen",
        "key",
        "on_hand",
        "sku",
        "suspects",
        "warehouse",
    )

    def __init__(self, warehouse: str, sku: str, key: bytes, fragment: str) -> None:
        self.warehouse = warehouse
        self.sku = sku
        self.key = key
        self.fragment = fragment
        self.count: StockState | None = None
        self.as_of_text: str | None = None
        self.on_hand: int | None = None
        self.frozen = 0
        self.dirty = False
        self.suspects: list[SuspectMovement] = []
        self._claimed = 0
        # An event mostly needs only the bounds of these lists, so they are kept beside them: keys are many, and a list
        # has mostly left the CPU's caches since it was last used.
        self._counted_at = self._folded_until = _LONG_AGO_MS
        self._first_at, self._last_at = _NEVER_MS, _LONG_AGO_MS
        self._times = array("q")
        self._deltas = array("q")
        # Time and `frozen_delta` in turn, by time once sorted.
        self._moves = array("q")
        self._is_sorted = True

    @property
    def available(self) -> int | None:
        """On hand less frozen, in units: negative when oversold, None until counted."""
        return None if self.on_hand is None else self.on_hand - self.frozen

    def base(self, count: StockState | None) -> None:
        """Make a count what the flows are counted from; None: it has none."""
        self.count = count
        self._counted_at = _LONG_AGO_MS if count is None else count.as_of
        self._folded_until = _LONG_AGO_MS if count is None or count.folded_until is None else count.folded_until

    def restore_claim(self, claim: Claim) -> None:
        """Derive frozen units, flows and movements from an order's stored claim. They may come in any order."""
        self.frozen += claim.open
        self._claimed += claim.open
        if claim.shipments or claim.returns:
            for flat, sign in ((claim.shipments, -1), (claim.returns, 1)):
                for index in range(0, len(flat), 2):
                    self.restore_flow(flat[index], sign * flat[index + 1])
        if claim.moves:
            self._moves.extend(claim.moves)
            self._is_sorted = False

    def restore_flow(self, at: int, delta: int) -> None:
        """Add a stored flow, unless the count has it already. Flows may come in any order until `restored`."""
        if at > self._counted_at and at > self._folded_until:
            self._times.append(at)
            self._deltas.append(delta)

    def restored(self) -> None:
        """The count and all claims and flows are in."""
        if self._times:
            flows: dict[int, int] = {}
            for at, delta in zip(self._times, self._deltas, strict=True):
                flows[at] = flows.get(at, 0) + delta
            self._times = array("q", sorted(at for at, delta in flows.items() if delta))
            self._deltas = array("q", [flows[at] for at in self._times])
            self._bound()
        if len(self.suspects) > 1:
            self._drop_suspects()
        if self.count is not None:
            self.on_hand = self.count.on_hand + sum(self._deltas)
            self.as_of_text = time_text(self.count.as_of)

    def flow(self, at: int, delta: int) -> int:
        """Units that came (or left, negative) at a time.

        Returns the change of on_hand: 0 while it is null, and where the count already had them.
        """
        if at <= self._counted_at:
            return 0
        if self.count is not None and at <= self._folded_until:
            self.count.on_hand += delta
            self.dirty = True
        else:
            self._add_flow(at, delta)
        if self.on_hand is None:
            return 0
        self.on_hand += delta
        return delta

    def _add_flow(self, at: int, delta: int) -> None:
        times, deltas = self._times, self._deltas
        if at > self._last_at:
            times.append(at)
            deltas.append(delta)
            self._last_at = at
            self._first_at = min(self._first_at, at)
            return
        index = bisect_left(times, at)
        if times[index] == at:
            deltas[index] += delta
            if deltas[index] == 0:
                del times[index], deltas[index]
        else:
            times.insert(index, at)
            deltas.insert(index, delta)
        self._bound()

    def _bound(self) -> None:
        times = self._times
        self._first_at, self._last_at = (times[0], times[-1]) if times else (_NEVER_MS, _LONG_AGO_MS)

    def fold(self, until: int) -> None:
        """Add flows up to a time to the count for good, or drop them where there is none."""
        if self._first_at > until:
            return
        index = bisect_right(self._times, until)
        if index == 0:  # there are none, and `until` is later than `_NEVER_MS`
            return
        if self.count is not None:
            self.count.on_hand += sum(self._deltas[:index])
            self.count.folded_until = self._folded_until = self._times[index - 1]
            self.dirty = True
        self._drop_flows(index)

    def close_at(self, at: int) -> None:
        """Fold what there is up to a time of which a flow loses its record, and all of that time with it.

        Where flows of one time cancelled each other out there is nothing to fold, and who restores only those that
        still have a record must not take them for something.
        """
        self.fold(at)
        if self.count is not None and at > self._counted_at and at > self._folded_until:
            self.count.folded_until = self._folded_until = at
            self.dirty = True

    def _drop_flows(self, n_flows: int) -> None:
        del self._times[:n_flows], self._deltas[:n_flows]
        self._bound()

    def expected_at(self, as_of: int) -> int:
        """What the last adopted count and the flows since come to at a time after it.

        Only for a key that has a count.
        """
        if self.count is None:
            raise InvariantViolation(f"{self.sku!r} in {self.warehouse!r} has no count to compare with")
        return self.count.on_hand + sum(self._deltas[: bisect_right(self._times, as_of)])

    def adopt(self, rank: CountRank, on_hand: int) -> Posting | None:
        """Make a greater count the base. Returns the `count` movement, None where nothing moved."""
        first = self.count is None
        as_of, origin, snapshot_id, part = rank
        self._drop_flows(bisect_right(self._times, as_of))
        self.base(StockState(VERSION, as_of, origin, snapshot_id, part, on_hand, None))
        self.as_of_text = time_text(as_of)
        self.dirty = True
        before = self.on_hand or 0
        self.on_hand = on_hand + sum(self._deltas)
        delta = self.on_hand - before
        return Posting("count", delta, 0, delta, self.on_hand, self.frozen) if delta or first else None

    def adjust(self, movement: str, at: int, delta: int) -> Posting | None:
        """Apply an adjustment, or one half of a transfer. Returns the movement, None where on_hand did not move."""
        moved = self.flow(at, delta)
        return Posting(movement, moved, 0, moved, self.on_hand, self.frozen) if moved else None

    def post(self, before: Claim | None, after: Claim) -> list[Posting]:
        """Move the key from one claim of an order to the next.

        Returns the movements, at most one of each kind, in the order of contract section 5: adjust, freeze, release,
        unfreeze, restock. Raises InvariantViolation where frozen is not the sum of the open units (contract section
        10, 2).

        An example: 3 of 5 open units ship and the other 2 are cancelled, in one event.

            claim before   5 open
            claim after    0 open, 3 shipped         added -5, shipped 3, held -2
            release 3      frozen -3, on hand -3     shipped
            unfreeze 2     frozen -2                 held, as it is negative; a freeze where it is positive

        Where a count already had the shipment, `flow` changes nothing, and the release leaves on hand alone. Where a
        shipment only gets another date, across a count, on hand changes without units that ship: an `adjust`.
        """
        before = _NO_CLAIM if before is None else before
        claimed = after.open
        added = claimed - before.open
        shipped = after.shipped - before.shipped
        restocked = after.restocked - before.restocked
        held = added + shipped  # how far the units that are open or shipped grew: what must be frozen anew

        on_hand, frozen = self.on_hand, self.frozen
        ship_effect = return_effect = 0
        shipments, returns = after.shipments, after.returns
        if shipments != (shipments_before := before.shipments):
            ship_effect = self._replace_flows(shipments_before, shipments, -1)
        if returns != (returns_before := before.returns):
            return_effect = self._replace_flows(returns_before, returns, 1)

        postings: list[Posting] = []
        redated = (0 if shipped else ship_effect) + (0 if restocked else return_effect)
        if redated and on_hand is not None:
            on_hand += redated
            postings.append(Posting("adjust", redated, 0, redated, on_hand, frozen))
        if held > 0:
            frozen += held
            postings.append(Posting("freeze", held, held, 0, on_hand, frozen))
        if shipped:
            frozen -= shipped
            on_hand = None if on_hand is None else on_hand + ship_effect
            postings.append(Posting("release", shipped, -shipped, ship_effect, on_hand, frozen))
        if held < 0:
            frozen += held
            postings.append(Posting("unfreeze", -held, held, 0, on_hand, frozen))
        if restocked:
            on_hand = None if on_hand is None else on_hand + return_effect
            postings.append(Posting("restock", restocked, 0, return_effect, on_hand, frozen))

        self.frozen = frozen
        self._claimed += added
        if frozen != self._claimed or frozen < claimed or on_hand != self.on_hand:
            balance = f"frozen {frozen}, open units {self._claimed}, on hand {on_hand} and {self.on_hand}"
            raise InvariantViolation(f"SKU {self.sku!r} in {self.warehouse!r}: {balance}")
        return postings

    def _replace_flows(self, before: list[int], after: list[int], sign: int) -> int:
        effect = 0
        for index in range(0, len(before), 2):
            effect += self.flow(before[index], -sign * before[index + 1])
        for index in range(0, len(after), 2):
            effect += self.flow(after[index], sign * after[index + 1])
        return effect

    def remember_move(self, at: int, frozen_delta: int, horizon: int) -> None:
        """Keep a movement's `frozen_delta` for the comparison with a count's `reserved`; those up to a time may go."""
        if not self._is_sorted:
            self._sort_moves()
        moves = self._moves
        length = len(moves)
        if length and moves[-2] > at:
            index = self._moves_until(at)
            moves[index:index] = array("q", (at, frozen_delta))
        else:
            moves.append(at)
            moves.append(frozen_delta)
        length += 2
        if length >= 128 and length & (length - 1) == 0:  # amortised: done when the length doubles
            del moves[: self._moves_until(horizon)]

    def _sort_moves(self) -> None:
        moves = self._moves
        self._moves = array("q", chain.from_iterable(sorted(zip(moves[::2], moves[1::2], strict=True))))
        self._is_sorted = True

    def _moves_until(self, at: int) -> int:
        """Where the movements after a time begin."""
        moves = self._moves
        return 2 * bisect_right(range(len(moves) // 2), at, key=lambda index: moves[2 * index])

    def frozen_as_of(self, as_of: int) -> int:
        """Frozen units less the movements that happened after a time."""
        if not self._is_sorted:
            self._sort_moves()
        return self.frozen - sum(self._moves[self._moves_until(as_of) + 1 :: 2])

    def remember_suspect(self, movement: SuspectMovement) -> None:
        """Keep an order's movement as a suspect for a drift, in the place of the oldest where there are enough."""
        suspects = self.suspects
        if len(suspects) >= SUSPECTS_KEPT_MAX:
            del suspects[0]
        suspects.append(movement)

    def restore_suspect(self, movement: SuspectMovement) -> None:
        """Keep one of the latest. They may come in any order until `restored`."""
        self.suspects.append(movement)
        if len(self.suspects) >= 4 * SUSPECTS_KEPT_MAX:
            self._drop_suspects()

    def _drop_suspects(self) -> None:
        self.suspects.sort(key=_at_of)
        del self.suspects[:-SUSPECTS_KEPT_MAX]


_NO_CLAIM: Final = Claim()
_at_of: Final = attrgetter("at")
