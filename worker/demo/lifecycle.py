"""The lives of orders: placed, amended, handed out to sub-orders, split, held, shipped, delivered, cancelled, returned.

Which way an order goes is drawn from its own random numbers, seeded by its id, so that the same order lives the same
life whatever else is sold. The order of steps is that of a calendar; a step that no longer fits (a parcel of a
cancelled order) does nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from enum import Enum
from zlib import crc32

from schemas.topics import Topic
from worker.demo.retail import WAREHOUSES, Invoice, names_warehouse, warehouse_of
from worker.demo.schedule import MINUTE_MS, Calendar, seeded
from worker.demo.shelves import Shelves, StockKey

SUB_ORDERS_MAX = 4
CARRIERS = ("courier", "post")


class ParcelStage(Enum):
    """The stage of a sub-order's life."""

    PROCESSING = "processing"
    HELD = "held"
    SPLIT = "split"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
    RETURNED = "returned"


WAITING = frozenset({ParcelStage.PROCESSING, ParcelStage.HELD})
UNDERWAY = frozenset({ParcelStage.SHIPPED, ParcelStage.IN_TRANSIT})
ENDED = frozenset({ParcelStage.DELIVERED, ParcelStage.FAILED, ParcelStage.CANCELLED, ParcelStage.RETURNED})


class Purchase:
    """An order and its sub-orders, whose steps happen on a calendar."""

    def __init__(self, calendar: Calendar, invoice: Invoice) -> None:
        self.calendar = calendar
        self.account_id = invoice.seller
        self.customer = invoice.customer
        self.order_id = f"order-{invoice.number}"
        self.random = seeded(f"{calendar.seed}/{self.order_id}")
        self.goods = list(invoice.goods)
        self.sub_orders: list[SubOrder] = []
        self.cancelled = False
        self.returning = 0
        self._invoice = invoice.number
        self._told = 0
        self._shipped = False

    @property
    def ended(self) -> bool:
        """Return whether every sub-order has ended; goods may still be on their way back (`returning`)."""
        leaves = [sub for sub in self.sub_orders if sub.stage is not ParcelStage.SPLIT]
        return (bool(leaves) or self.cancelled) and all(sub.stage in ENDED for sub in leaves)

    def later(self, time_ms: int, minutes: tuple[int, int], step: Callable[[int], None]) -> None:
        """Have `step` run some minutes after `time_ms`, at a millisecond drawn from the range."""
        self.calendar.at(time_ms + self.random.randint(minutes[0] * MINUTE_MS, minutes[1] * MINUTE_MS), step)

    def emit(self, topic: Topic, kind: str, time_ms: int, **fields: object) -> None:
        """Emit an event of this order."""
        self._told += 1
        event_id = f"{self._invoice}-{self._told}"
        self.calendar.emit(topic, kind, self.account_id, event_id, time_ms, order_id=self.order_id, **fields)

    def key(self, sku: str, warehouse_id: str | None = None) -> StockKey:
        """The stock key of a SKU: in a warehouse, or where the order's lines ask for it."""
        return StockKey(
            self.account_id, warehouse_id or self._named_warehouse(sku) or self.calendar.default_warehouse, sku
        )

    def place(self, time_ms: int) -> None:
        """Place the order: its whole SKU set is promised."""
        self._freeze(+1)
        self.emit(Topic.ORDERS, "order.created", time_ms, lines=self._lines())
        fate = self.random.random()
        if fate < 0.04:
            self.later(time_ms, (3, 90), self.cancel)
        elif fate < 0.07:
            self.later(time_ms, (90, 600), self.cancel)
        elif fate < 0.14:
            self.later(time_ms, (2, 15), self.amend)
        self.later(time_ms, (16, 60), self.hand_out)

    def cancel(self, time_ms: int) -> None:
        """Cancel what has not shipped."""
        if self.cancelled:
            return
        self.cancelled = True
        self.emit(Topic.ORDERS, "order.cancelled", time_ms, reason="the customer changed their mind")
        if not self.sub_orders:
            self._freeze(-1)
        for sub in self.sub_orders:
            if sub.stage in WAITING:
                sub.drop()

    def amend(self, time_ms: int) -> None:
        """Change the quantity of a line, or drop one."""
        if self.cancelled:
            return
        self._freeze(-1)
        chosen = self.random.randrange(len(self.goods))
        sku, units = self.goods[chosen]
        if len(self.goods) > 1 and self.random.random() < 0.4:
            del self.goods[chosen]
        else:
            self.goods[chosen] = (sku, max(1, units + self.random.choice((-2, -1, 1, 2, 5))))
        self._freeze(+1)
        self.emit(Topic.ORDERS, "order.amended", time_ms, revision=1, lines=self._lines())

    def hand_out(self, time_ms: int) -> None:
        """Hand the units out to sub-orders: one per warehouse and, where there are few, per carrier."""
        if self.cancelled:
            return
        by_warehouse: dict[str, dict[str, int]] = {}
        for sku, count in self._units().items():
            by_warehouse.setdefault(self.key(sku).warehouse_id, {})[sku] = count
        parcels = [(warehouse_id, CARRIERS[0], units, "warehouse") for warehouse_id, units in by_warehouse.items()]
        if 2 * len(parcels) <= SUB_ORDERS_MAX:
            parcels = [part for warehouse_id, _, units, _ in parcels for part in _by_carrier(warehouse_id, units)]
        for number, (planned, carrier, units, reason) in enumerate(parcels, 1):
            moved = self.random.random() < 0.07
            warehouse_id = self._elsewhere(planned) if moved else planned
            sub = SubOrder(self, f"{self.order_id}-{number}", warehouse_id, units)
            self.sub_orders.append(sub)
            for sku, count in units.items():
                self.calendar.shelves.freeze(self.key(sku), -count)
            sub.freeze()
            self.emit(
                Topic.SUB_ORDERS,
                "sub_order.created",
                time_ms,
                sub_order_id=sub.sub_order_id,
                warehouse_id=warehouse_id,
                lines=lines_of(units),
                carrier=carrier,
                split_reason="availability" if moved else reason if len(parcels) > 1 else None,
            )
            sub.live(time_ms)

    def first_parcel_left(self) -> None:
        """Ship the whole order in the comparison without sub-orders, when its first parcel leaves."""
        if not self._shipped:
            self._shipped = True
            for sku, units in self._units().items():
                self.calendar.shelves.ship_whole_order(self.key(sku), units)

    def _freeze(self, sign: int) -> None:
        for sku, units in self._units().items():
            self.calendar.shelves.freeze(self.key(sku), sign * units)

    def _units(self) -> Counter[str]:
        units: Counter[str] = Counter()
        for sku, count in self.goods:
            units[sku] += count
        return units

    def _lines(self) -> list[dict[str, object]]:
        lines: list[dict[str, object]] = []
        for sku, units in self.goods:
            named = self._named_warehouse(sku)
            lines.append({"sku": sku, "quantity": units} | ({"warehouse_id": named} if named else {}))
        return lines

    def _named_warehouse(self, sku: str) -> str | None:
        return warehouse_of(sku) if names_warehouse(self._invoice, sku) else None

    def _elsewhere(self, warehouse_id: str) -> str:
        return self.random.choice([other for other in WAREHOUSES if other != warehouse_id])


class SubOrder:
    """A parcel; `units` are those not cancelled."""

    def __init__(self, order: Purchase, sub_order_id: str, warehouse_id: str, units: dict[str, int]) -> None:
        self.order = order
        self.sub_order_id = sub_order_id
        self.warehouse_id = warehouse_id
        self.units = dict(units)
        self.stage = ParcelStage.PROCESSING
        self.return_lines: dict[str, int] | None = None
        self._cancelled: dict[str, int] = {}

    @property
    def _shelves(self) -> Shelves:
        return self.order.calendar.shelves

    def emit(self, event: str, time_ms: int, **fields: object) -> None:
        """Emit an event of this sub-order, by its type without `sub_order.`."""
        self.order.emit(Topic.SUB_ORDERS, f"sub_order.{event}", time_ms, sub_order_id=self.sub_order_id, **fields)

    def freeze(self) -> None:
        """Promise its units to it."""
        for sku, units in self.units.items():
            self._shelves.freeze(self.order.key(sku, self.warehouse_id), units)

    def live(self, time_ms: int, *, may_split: bool = True) -> None:
        """Plan the rest of its life."""
        order, fate = self.order, self.order.random.random()
        if fate < 0.05:
            order.later(time_ms, (5, 50), self.hold)
        elif fate < 0.08:
            order.later(time_ms, (5, 50), self.cancel)
        elif fate < 0.13:
            order.later(time_ms, (5, 50), self.cancel_part)
        elif fate < 0.20 and may_split:
            order.later(time_ms, (5, 50), self.split)
        order.later(time_ms, (60, 180), self.label)

    def hold(self, time_ms: int) -> None:
        """Stop for a while, or for good."""
        if self.stage is ParcelStage.PROCESSING:
            self.stage = ParcelStage.HELD
            self.emit(
                "on_hold", time_ms, reason=self.order.random.choice(("arbitration", "not accepted by the carrier"))
            )

    def cancel(self, time_ms: int) -> None:
        """Cancel it whole."""
        if self.stage in WAITING:
            self.emit("cancelled", time_ms, reason="out of stock")
            self.drop()

    def cancel_part(self, time_ms: int) -> None:
        """Cancel some units of one SKU; of a parcel of a single unit, nothing."""
        sku = self.order.random.choice(sorted(self.units))
        if self.units[sku] > 1:
            self.cancel_units(sku, self.order.random.randint(1, self.units[sku] - 1), time_ms)

    def cancel_units(self, sku: str, units: int, time_ms: int) -> None:
        """Cancel up to `units` of a SKU; the event states what is cancelled so far in all."""
        units = min(units, self.units.get(sku, 0))
        if self.stage not in WAITING or not units:
            return
        self.units[sku] -= units
        self._cancelled[sku] = self._cancelled.get(sku, 0) + units
        self._shelves.freeze(self.order.key(sku, self.warehouse_id), -units)
        self.emit("cancelled", time_ms, reason="fewer wanted", lines=lines_of(self._cancelled))
        if not any(self.units.values()):
            self.stage = ParcelStage.CANCELLED

    def drop(self) -> None:
        """Release the parcel's open units, which will not ship."""
        self.stage = ParcelStage.CANCELLED
        for sku, units in self.units.items():
            self._shelves.freeze(self.order.key(sku, self.warehouse_id), -units)

    def split(self, time_ms: int) -> None:
        """Split once more into two children, now and then in another warehouse."""
        if self.stage is not ParcelStage.PROCESSING:
            return
        first: dict[str, int] = {}
        second: dict[str, int] = {}
        for number, (sku, units) in enumerate(sorted(self.units.items())):
            if len(self.units) > 1:
                (second if number % 2 else first)[sku] = units
            elif units > 1:
                first[sku] = units - units // 2
                second[sku] = units // 2
        if not second:
            return
        self.drop()
        self.stage = ParcelStage.SPLIT
        elsewhere = self.order.random.choice((None, None, *WAREHOUSES))
        children = [
            SubOrder(self.order, f"{self.sub_order_id}{letter}", warehouse_id or self.warehouse_id, part)
            for letter, part, warehouse_id in zip("ab", (first, second), (None, elsewhere), strict=True)
        ]
        entries: list[dict[str, object]] = [
            {"sub_order_id": child.sub_order_id, "lines": lines_of(child.units)} for child in children
        ]
        if elsewhere is not None:
            entries[1]["warehouse_id"] = elsewhere
        self.emit("split", time_ms, children=entries)
        for child in children:
            self.order.sub_orders.append(child)
            child.freeze()
            child.live(time_ms, may_split=False)

    def label(self, time_ms: int) -> None:
        """Get a label, which also ends most holds."""
        stays_held = self.stage is ParcelStage.HELD and self.order.random.random() < 0.3
        if self.stage in WAITING and not stays_held:
            self.stage = ParcelStage.PROCESSING
            self.emit("label_issued", time_ms, tracking_number=f"TN-{crc32(self.sub_order_id.encode()):08x}")
            self.order.later(time_ms, (30, 360), self.ship)

    def ship(self, time_ms: int) -> None:
        """Leave the warehouse: what was promised is gone."""
        if self.stage is not ParcelStage.PROCESSING:
            return
        self.stage = ParcelStage.SHIPPED
        for sku, units in self.units.items():
            self._shelves.ship(self.order.key(sku, self.warehouse_id), units)
        self.order.first_parcel_left()
        self.emit("shipped", time_ms)
        self.order.later(time_ms, (30, 180), self.move)
        self.order.later(time_ms, (240, 1440), self.arrive)

    def move(self, time_ms: int) -> None:
        """Be seen on the way; some parcels never are."""
        if self.stage is ParcelStage.SHIPPED and self.order.random.random() < 0.8:
            self.stage = ParcelStage.IN_TRANSIT
            self.emit("in_transit", time_ms)

    def arrive(self, time_ms: int) -> None:
        """Be delivered, as a rule; a parcel that cannot be delivered comes back whole."""
        if self.stage not in UNDERWAY:
            return
        fate = self.order.random.random()
        if fate < 0.04 and self.return_lines is None:
            self.stage = ParcelStage.FAILED
            self.emit("failed_to_deliver", time_ms, reason="nobody at home")
            self.order.later(time_ms, (60, 300), lambda now_ms: self.start_return(dict(self.units), now_ms))
            return
        self.stage = ParcelStage.DELIVERED
        self.emit("delivered", time_ms)
        if fate < 0.16:
            sku = self.order.random.choice([sku for sku, units in self.units.items() if units])
            some = {sku: self.order.random.randint(1, self.units[sku])}
            wanted = some if fate < 0.10 else dict(self.units)
            self.order.later(time_ms, (60, 600), lambda now_ms: self.start_return(wanted, now_ms))

    def start_return(self, lines: dict[str, int], time_ms: int) -> None:
        """Send units back; a sub-order has one return."""
        wanted = {sku: min(units, self.units.get(sku, 0)) for sku, units in lines.items()}
        wanted = {sku: units for sku, units in wanted.items() if units}
        if (
            self.return_lines is not None
            or not wanted
            or self.stage in WAITING | {ParcelStage.CANCELLED, ParcelStage.SPLIT}
        ):
            return
        self.return_lines = wanted
        self.order.returning += 1
        self.emit("return_started", time_ms, return_id=f"return-{self.sub_order_id}", lines=lines_of(wanted))
        self.order.later(time_ms, (120, 900), self.finish_return)

    def finish_return(self, time_ms: int) -> None:
        """The goods are back: most can be sold again, some of them in another warehouse."""
        lines = self.return_lines or {}
        restock = self.order.random.random() < 0.75
        elsewhere = self.order.random.choice((None, None, None, *WAREHOUSES))
        self.order.returning -= 1
        if lines == {sku: units for sku, units in self.units.items() if units}:
            self.stage = ParcelStage.RETURNED
        if restock:
            for sku, units in lines.items():
                self._shelves.put(self.order.key(sku, elsewhere or self.warehouse_id), units)
        self.emit("returned", time_ms, return_id=f"return-{self.sub_order_id}", restock=restock, warehouse_id=elsewhere)


def lines_of(units: dict[str, int]) -> list[dict[str, object]]:
    """Units by SKU as the `lines` of an event."""
    return [{"sku": sku, "quantity": count} for sku, count in units.items() if count]


def _by_carrier(warehouse_id: str, units: dict[str, int]) -> list[tuple[str, str, dict[str, int], str]]:
    """Divide a warehouse's units between the two carriers, by the CRC-32 of the SKU."""
    parts: dict[str, dict[str, int]] = {}
    for sku, count in units.items():
        parts.setdefault(CARRIERS[crc32(sku.encode()) // 7 % 2], {})[sku] = count
    return [(warehouse_id, carrier, part, "carrier") for carrier, part in sorted(parts.items())]
