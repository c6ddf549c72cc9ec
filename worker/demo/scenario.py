"""Invoices turned into the events of a few days, and what must come out of them.

`scenario_of` is pure: the same invoices, seed and present moment give the same events. The sales keep their order and
proportions in time but are moved into the `SPAN_HOURS` before the present moment, so that neither the retention nor the
rule against events of the future touches them. Around them:

- an **opening count** of every warehouse by the ERP, in parts; one key of 40 is left out and has no stock known until
  the first daily count. The opening stock is what the run will ask for and a quarter more (found by a dry run); one key
  of 12, where much is asked, has a quarter of it, is oversold sooner or later, and gets a **receipt**;
- each sale is an **order** that lives as in `worker.demo.lifecycle`; each write-off is an **adjustment** in the SKU's
  warehouse;
- each cancellation invoice meets the seller's latest earlier order (the same customer's first) with that SKU in a
  parcel: shipped goods come back, others are **cancelled in part**; where none has it, the seller's latest order that
  has not shipped is **cancelled**;
- **daily counts** by ERP and WMS. Before each, a few units vanish without an event: the drift that must be found, no
  more and no less;
- at the end a count by the **marketplace**, whose `reserved` is right but for a few keys;
- then **archive requests** for some orders of every condition, to be sent once all else has been processed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from zlib import crc32

from schemas.topics import Topic
from worker.demo.lifecycle import WAITING, ParcelStage, Purchase
from worker.demo.retail import WAREHOUSES, Invoice, RowKind, warehouse_of
from worker.demo.schedule import HOUR_MS, MINUTE_MS, Calendar, PlannedEvent, rfc3339, seeded
from worker.demo.shelves import Planted, ShelfLevel, Shelves, StockKey

SPAN_HOURS = 72
PART_COUNTS_MAX = 60
LOSSES_PER_DAY = 4
WRONG_RESERVED = 3

StoryOrder = tuple[str, str]
"""Account and order."""


@dataclass(frozen=True)
class Scenario:
    """The events in the order of `occurred_at`, and what follows from them by the scenario's own arithmetic.

    `requests` (archive requests) are to be sent when all `events` have been processed. `returning`: orders with a
    return under way. `order_level_error`: the share of counted keys that a system without sub-orders has wrong at the
    daily counts (see `worker.demo.shelves`).
    """

    events: list[PlannedEvent]
    requests: list[PlannedEvent]
    orders: frozenset[StoryOrder]
    eligible: frozenset[StoryOrder]
    returning: frozenset[StoryOrder]
    levels: dict[StockKey, ShelfLevel]
    planted: list[Planted]
    order_level_error: float

    def answer_to(self, request: PlannedEvent, blocked: frozenset[StoryOrder] = frozenset()) -> str:
        """Return the right answer to an archive request: "eligible", or the code of the refusal.

        `blocked`: orders that have a pending dead letter.
        """
        order = (request.account_id, str(request.value["order_id"]))
        if order not in self.orders:
            return "NOT_FOUND"
        if order in self.returning:
            return "RETURN_IN_PROGRESS"
        if order not in self.eligible:
            return "VALIDATION_ERROR"
        return "DEAD_LETTERED" if order in blocked else "eligible"


def scenario_of(
    invoices: Sequence[Invoice], *, now_ms: int, seed: int = 1, default_warehouse: str = "default"
) -> Scenario:
    """The events of `invoices`, ending a few minutes before `now_ms` (Unix milliseconds).

    The worker must use the same `default_warehouse`.
    """
    rehearsal = _Play(invoices, now_ms, seed, default_warehouse, Shelves({}))
    rehearsal.run()
    asked = rehearsal.shelves.asked
    needed = {key: asked[key] + asked[key] // 4 + 5 for key in rehearsal.shelves.on_hand}
    short = {key: needed[key] // 4 for key in needed if _share(key, 12) and asked[key] > 20}
    uncounted = frozenset(key for key in needed if _share(key, 40) and key not in short)
    play = _Play(invoices, now_ms, seed, default_warehouse, Shelves(needed | short, uncounted))
    for key in short:
        play.receive(key, needed[key])
    play.run()
    orders = play.orders
    return Scenario(
        events=sorted(play.calendar.events, key=lambda event: event.occurred_at_ms),
        requests=play.requests(),
        orders=frozenset((order.account_id, order.order_id) for order in orders),
        eligible=frozenset(
            (order.account_id, order.order_id) for order in orders if order.ended and not order.returning
        ),
        returning=frozenset((order.account_id, order.order_id) for order in orders if order.ended and order.returning),
        levels=play.shelves.levels(),
        planted=play.shelves.planted,
        order_level_error=play.shelves.order_level_wrong / max(1, play.shelves.order_level_checked),
    )


class _Play:
    """A run of the calendar over all invoices."""

    def __init__(
        self, invoices: Iterable[Invoice], now_ms: int, seed: int, default_warehouse: str, shelves: Shelves
    ) -> None:
        self.shelves = shelves
        self.orders: list[Purchase] = []
        self._seed = seed
        self._now_ms = now_ms
        self._opening_ms = now_ms - SPAN_HOURS * HOUR_MS
        self.calendar = Calendar(seed, now_ms - 10 * MINUTE_MS, shelves, default_warehouse)
        self._invoices = sorted(invoices, key=lambda invoice: invoice.at_ms)

    def run(self) -> None:
        days = (("erp", 24), ("wms", 48), ("erp", SPAN_HOURS - 1))
        self.calendar.at(self._opening_ms, self._count_opening)
        for day, (origin, hours) in enumerate(days, 1):
            self.calendar.at(
                self._opening_ms + hours * HOUR_MS,
                lambda time_ms, day=day, origin=origin: self._count_day(day, origin, time_ms),  # type: ignore[misc]
                after_others=True,
            )
        self.calendar.at(self._now_ms - 20 * MINUTE_MS, self._count_reserved, after_others=True)
        for invoice in self._invoices:
            self.calendar.at(self._moved(invoice.at_ms), lambda time_ms, invoice=invoice: self._tell(invoice, time_ms))  # type: ignore[misc]
        self.calendar.run()

    def receive(self, key: StockKey, units: int) -> None:
        """Have a receipt for a key that runs short, at three fifths of the span."""

        def step(time_ms: int) -> None:
            self.shelves.put(key, units)
            self._adjust(f"receipt-{key.warehouse_id}-{key.sku}", key, units, "receipt", time_ms)

        self.calendar.at(self._opening_ms + SPAN_HOURS * HOUR_MS * 3 // 5, step)

    def requests(self) -> list[PlannedEvent]:
        """Archive requests: of every third order, and of two unknown ones."""
        wanted = [(order.account_id, order.order_id) for order in self.orders[::3]]
        wanted += [
            (account_id, "order-unheard-of") for account_id in sorted({order.account_id for order in self.orders})[:2]
        ]
        start = len(self.calendar.events)
        for number, (account_id, order_id) in enumerate(wanted):
            time_ms = self._now_ms - 5 * MINUTE_MS + number
            self.calendar.emit(
                Topic.COMMANDS, "archive.requested", account_id, f"archive-{order_id}", time_ms, order_id=order_id
            )
        requests = self.calendar.events[start:]
        del self.calendar.events[start:]
        return requests

    def _moved(self, at_ms: int) -> int:
        """The time of a sale within the span."""
        first, last = self._invoices[0].at_ms, self._invoices[-1].at_ms
        room_ms = (SPAN_HOURS - 1) * HOUR_MS
        return self._opening_ms + HOUR_MS // 2 + (at_ms - first) * room_ms // max(1, last - first)

    def _tell(self, invoice: Invoice, time_ms: int) -> None:
        match invoice.kind:
            case RowKind.SALE:
                order = Purchase(self.calendar, invoice)
                self.orders.append(order)
                order.place(time_ms)
            case RowKind.WRITE_OFF:
                for number, (sku, units) in enumerate(invoice.goods):
                    key = StockKey(invoice.seller, warehouse_of(sku), sku)
                    self.shelves.put(key, -units)
                    self._adjust(f"{invoice.number}-{number}", key, -units, "damaged", time_ms)
            case RowKind.CANCELLATION:
                self._cancel(invoice, time_ms)

    def _adjust(self, event_id: str, key: StockKey, delta: int, reason: str, time_ms: int) -> None:
        where = {"warehouse_id": key.warehouse_id, "sku": key.sku}
        self.calendar.emit(
            Topic.STOCK, "stock.adjusted", key.account_id, event_id, time_ms, delta=delta, reason=reason, **where
        )

    def _cancel(self, invoice: Invoice, time_ms: int) -> None:
        earlier = [order for order in reversed(self.orders) if order.account_id == invoice.seller]
        earlier.sort(key=lambda order: order.customer != invoice.customer)
        met = False
        for sku, units in invoice.goods:
            parcels = [
                sub
                for order in earlier
                for sub in order.sub_orders
                if sub.units.get(sku) and sub.stage is not ParcelStage.SPLIT
            ]
            for parcel in parcels[:1]:
                met = True
                if parcel.stage in WAITING:
                    parcel.cancel_units(sku, units, time_ms)
                else:
                    parcel.start_return({sku: units}, time_ms)
        for order in earlier:
            if not met and not order.cancelled and all(sub.stage in WAITING for sub in order.sub_orders):
                order.cancel(time_ms)
                met = True

    def _count_opening(self, time_ms: int) -> None:
        self._count("erp", "opening", time_ms, opening=True)

    def _count_day(self, day: int, origin: str, time_ms: int) -> None:
        snapshots = {
            account_id: {warehouse_id: f"day-{day}-{warehouse_id}" for warehouse_id in self._warehouses()}
            for account_id in self._accounts()
        }
        self.shelves.lose(snapshots, seeded(f"{self._seed}/losses/{day}"), LOSSES_PER_DAY)
        self._count(origin, f"day-{day}", time_ms)

    def _count(self, origin: str, snapshot: str, time_ms: int, *, opening: bool = False) -> None:
        for account_id in self._accounts():
            for warehouse_id in self._warehouses():
                keys = self.shelves.keys_of(account_id, warehouse_id, opening=opening)
                counts = [{"sku": key.sku, "on_hand": self.shelves.count(key)} for key in keys]
                self._tell_counts(account_id, warehouse_id, origin, f"{snapshot}-{warehouse_id}", counts, time_ms)

    def _count_reserved(self, time_ms: int) -> None:
        """The marketplace's view: what it holds for orders, wrong for a few keys, as if it had lost a message."""
        frozen = sorted(key for key, units in self.shelves.frozen.items() if units > 0)
        wrong = set(seeded(f"{self._seed}/reserved").sample(frozen, min(WRONG_RESERVED, len(frozen))))
        for account_id in self._accounts():
            for warehouse_id in self._warehouses():
                snapshot_id = f"reserved-{warehouse_id}"
                counts: list[dict[str, object]] = []
                for key in self.shelves.keys_of(account_id, warehouse_id, opening=False):
                    units = self.shelves.frozen[key] + (key in wrong)
                    counts.append({"sku": key.sku, "on_hand": self.shelves.on_hand[key], "reserved": units})
                    if key in wrong:
                        self.shelves.planted.append(Planted("reserved", key, snapshot_id, 1))
                self._tell_counts(account_id, warehouse_id, "marketplace", snapshot_id, counts, time_ms)

    def _tell_counts(
        self, account_id: str, warehouse_id: str, origin: str, snapshot_id: str, counts: Sequence[object], time_ms: int
    ) -> None:
        """A snapshot in parts."""
        parts = [counts[start : start + PART_COUNTS_MAX] for start in range(0, len(counts), PART_COUNTS_MAX)]
        for part, of_part in enumerate(parts, 1):
            self.calendar.emit(
                Topic.STOCK,
                "stock.counted",
                account_id,
                f"{snapshot_id}-{part}",
                time_ms,
                origin=origin,
                snapshot_id=snapshot_id,
                part=part,
                parts=len(parts),
                warehouse_id=warehouse_id,
                as_of=rfc3339(time_ms),
                counts=of_part,
            )

    def _accounts(self) -> list[str]:
        return sorted({key.account_id for key in self.shelves.on_hand})

    def _warehouses(self) -> list[str]:
        return sorted((*WAREHOUSES, self.calendar.default_warehouse))


def _share(key: StockKey, of: int) -> bool:
    """Return whether a key is the one of `of` that is picked, by its CRC-32."""
    return crc32("/".join(key).encode()) % of == 0
