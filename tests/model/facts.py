"""What is known about one order, from all its accepted events together (contract section 3).

Nothing here is incremental: `facts_of` reads the whole list. *Latest* is the greatest (occurred_at, event_id); ids
compare by code points, which is the order of their UTF-8 bytes. What was taken back is left out before anything else.

Choices where the contract leaves room:
- `lines` of a cancellation or a return that name a SKU twice add up, as everywhere else.
- *Stale* means that no fact changed. `Facts` has what section 3 names. `traces` has, beyond that, what an
  implementation may need to remember so that a later event is merged rightly (when the latest label was, which
  revision won with the same lines). An event that changes only traces may be called either applied (the state
  changed) or stale (nothing in it is new): the contract's two definitions differ there.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.model.reading import Event

SHIPS = ("shipped", "in_transit", "delivered", "failed_to_deliver", "return_started", "returned")
RETURNS = ("return_started", "returned")
UNHOLDS = ("label_issued", "shipped", "in_transit", "delivered", "failed_to_deliver", "cancelled", "returned")

NEVER = -(10**18)

Units = dict[str, int]


@dataclass
class Return:
    """One return of a sub-order; `lines` None: all that was shipped and is not yet returned."""

    started: bool = False
    returned: bool = False
    lines: Units | None = None
    restock: bool = False
    warehouse_id: str | None = None
    returned_at: int | None = None


@dataclass
class SubOrder:
    """`lines` and `warehouse_id` are None while either is not known.

    `said`: which of in_transit, delivered and failed_to_deliver were.
    """

    lines: Units | None = None
    warehouse_id: str | None = None
    children: set[str] = field(default_factory=set)
    shipped: bool = False
    shipped_at: int | None = None
    cancelled: Units = field(default_factory=dict)
    whole: bool = False
    said: set[str] = field(default_factory=set)
    held: bool = False
    withdrawn: bool = False
    returns: dict[str, Return] = field(default_factory=dict)

    @property
    def superseded(self) -> bool:
        return bool(self.children)

    @property
    def is_leaf(self) -> bool:
        return not self.superseded and not self.withdrawn


@dataclass
class Facts:
    """`lines` by (warehouse_id, sku), empty unless placed; every sub-order that an event or a split names."""

    placed: bool = False
    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    cancelled: bool = False
    sub_orders: dict[str, SubOrder] = field(default_factory=dict)


def facts_of(events: list[Event], default_warehouse: str) -> Facts:
    facts = Facts()
    placing = [e for e in events if e["type"] in ("order.created", "order.amended")]
    if placing:
        facts.placed = True
        for line in max(placing, key=_revision)["lines"]:
            key = (line.get("warehouse_id", default_warehouse), line["sku"])
            facts.lines[key] = facts.lines.get(key, 0) + line["quantity"]
    facts.cancelled = bool(_order_cancellations(events))
    for sub_order_id in _named(events):
        facts.sub_orders[sub_order_id] = _sub_order(sub_order_id, events)
    return facts


def _latest(events: list[Event], kind: str) -> int:
    return max((int(e["occurred_at"]) for e in events if e["type"] == kind), default=NEVER)


def _order_cancellations(events: list[Event]) -> list[int]:
    """When the order was cancelled, but for what was taken back."""
    reinstated = _latest(events, "order.reinstated")
    return [e["occurred_at"] for e in events if e["type"] == "order.cancelled" and e["occurred_at"] > reinstated]


def _that_count(sub_order_id: str, events: list[Event]) -> list[Event]:
    """The sub-order's own events that nothing takes back; of a split all stay (its children do)."""
    own = [e for e in events if e.get("sub_order_id") == sub_order_id]
    created_again = _created_again_after(sub_order_id, events)
    voided = _latest(own, "sub_order.shipment_voided")
    reinstated = _latest(own, "sub_order.reinstated")
    counting = []
    for event in own:
        kind = event["type"].removeprefix("sub_order.")
        until = created_again
        if kind in SHIPS:
            until = max(until, voided)
        if kind in RETURNS:
            of_return = [e for e in own if e.get("return_id") == event["return_id"]]
            until = max(until, _latest(of_return, "sub_order.return_withdrawn"))
        if kind == "cancelled":
            until = max(until, reinstated)
        if event["occurred_at"] > until:
            counting.append(event)
    return counting


def _withdrawals(sub_order_id: str, events: list[Event]) -> list[int]:
    return [
        e["occurred_at"] for e in events if e["type"] == "sub_order.withdrawn" and e["sub_order_id"] == sub_order_id
    ]


def _lines_given_at(sub_order_id: str, events: list[Event]) -> int | None:
    sources = _line_sources(sub_order_id, events)
    return max(_revision(e) for e, _ in sources)[1] if sources else None


def _created_again_after(sub_order_id: str, events: list[Event]) -> int:
    given_at = _lines_given_at(sub_order_id, events)
    return max(
        (at for at in _withdrawals(sub_order_id, events) if given_at is not None and at < given_at), default=NEVER
    )


def _is_withdrawn(sub_order_id: str, events: list[Event]) -> bool:
    """Whether it is, if it has no children."""
    withdrawals, given_at = _withdrawals(sub_order_id, events), _lines_given_at(sub_order_id, events)
    return bool(withdrawals) and (given_at is None or max(withdrawals) >= given_at)


def traces_of(events: list[Event]) -> dict[str, Any]:
    """What may have to be remembered beyond the facts to merge the next event rightly. See the module's docstring."""
    traces: dict[str, Any] = {}
    placing = [_revision(e) for e in events if e["type"] in ("order.created", "order.amended")]
    traces["revision"] = max(placing, default=None)
    for kind in ("order.cancelled", "order.reinstated"):
        traces[kind] = max((e["occurred_at"] for e in events if e["type"] == kind), default=None)
    for sub in _named(events):
        own = [e for e in events if e.get("sub_order_id") == sub]
        traces[f"{sub} lines"] = max((_revision(e) for e, _ in _line_sources(sub, events)), default=None)
        for kind in {e["type"] for e in own}:
            traces[f"{sub} {kind}"] = {(e["occurred_at"], e.get("return_id")) for e in own if e["type"] == kind}
        traces[f"{sub} cancelled"] = {
            (e["occurred_at"], sku, quantity)
            for e in own
            if e["type"] == "sub_order.cancelled"
            for sku, quantity in (add_up(e["lines"]) if "lines" in e else {None: 0}).items()
        }
        for event in own:
            for name in ("lines", "restock", "warehouse_id"):
                if "return_id" in event and name in event:
                    trace = f"{sub} {event['return_id']} {name}"
                    traces[trace] = max(traces.get(trace, _moment(event)), _moment(event))
    return traces


def _moment(event: Event) -> tuple[int, str]:
    return event["occurred_at"], event["event_id"]


def _revision(event: Event) -> tuple[int, int, str]:
    return event.get("revision", 0), event["occurred_at"], event["event_id"]


def add_up(lines: list[dict[str, Any]]) -> Units:
    units: Counter[str] = Counter()
    for line in lines:
        units[line["sku"]] += line["quantity"]
    return dict(units)


def _named(events: list[Event]) -> list[str]:
    names = {e["sub_order_id"] for e in events if "sub_order_id" in e}
    names |= {child["sub_order_id"] for e in events if e["type"] == "sub_order.split" for child in e["children"]}
    return sorted(names)


def _line_sources(sub_order_id: str, events: list[Event]) -> list[tuple[Event, dict[str, Any]]]:
    """All that gives the sub-order its lines: (the event, the event itself or its `children` entry)."""
    sources = [(e, e) for e in events if e["type"] == "sub_order.created" and e["sub_order_id"] == sub_order_id]
    for event in events:
        if event["type"] == "sub_order.split":
            sources += [(event, child) for child in event["children"] if child["sub_order_id"] == sub_order_id]
    return sources


def _warehouse(sub_order_id: str, events: list[Event], asked: frozenset[str] = frozenset()) -> str | None:
    """The warehouse, for a child without one its parent's; children in a circle of parents never learn theirs."""
    sources = _line_sources(sub_order_id, events)
    if not sources or sub_order_id in asked:
        return None
    event, source = max(sources, key=lambda pair: _revision(pair[0]))
    if "warehouse_id" in source:
        return str(source["warehouse_id"])
    return _warehouse(event["sub_order_id"], events, asked | {sub_order_id})


def _sub_order(sub_order_id: str, events: list[Event]) -> SubOrder:
    sub = SubOrder()
    own = _that_count(sub_order_id, events)
    by_kind: dict[str, list[Event]] = {}
    for event in own:
        by_kind.setdefault(event["type"].removeprefix("sub_order."), []).append(event)

    warehouse_id = _warehouse(sub_order_id, events)
    if warehouse_id is not None:
        sub.warehouse_id = warehouse_id
        _, source = max(_line_sources(sub_order_id, events), key=lambda pair: _revision(pair[0]))
        sub.lines = add_up(source["lines"])
    sub.children = {
        child["sub_order_id"]
        for e in events
        if e["type"] == "sub_order.split" and e["sub_order_id"] == sub_order_id
        for child in e["children"]
    }
    sub.withdrawn = not sub.children and _is_withdrawn(sub_order_id, events)
    sub.said = set(by_kind) & {"in_transit", "delivered", "failed_to_deliver"}

    ships = [e["occurred_at"] for kind in SHIPS for e in by_kind.get(kind, [])]
    sub.shipped = bool(ships)
    sub.shipped_at = min(ships, default=None)

    cancels = by_kind.get("cancelled", [])
    in_time = [e for e in cancels if sub.shipped_at is None or not sub.is_leaf or e["occurred_at"] <= sub.shipped_at]
    sub.cancelled = _most_cancelled(in_time, sub.lines)
    sub.whole = any("lines" not in e for e in cancels)
    if sub.lines is not None:
        ever = _most_cancelled(cancels, sub.lines)
        sub.whole = sub.whole or all(ever.get(sku, 0) == quantity for sku, quantity in sub.lines.items())

    holds = [e["occurred_at"] for e in by_kind.get("on_hold", [])]
    unholds = [e["occurred_at"] for kind in UNHOLDS for e in by_kind.get(kind, [])]
    unholds += _order_cancellations(events)
    sub.held = bool(holds) and all(max(holds) >= at for at in unholds)

    returns = [e for kind in RETURNS for e in by_kind.get(kind, [])]
    for return_id in {e["return_id"] for e in returns}:
        sub.returns[return_id] = _return([e for e in returns if e["return_id"] == return_id])
    return sub


def _most_cancelled(cancels: list[Event], lines: Units | None) -> Units:
    """Per SKU the maximum over the events with `lines`, at most the quantity (if that is known)."""
    most: Units = {}
    for event in cancels:
        for sku, quantity in add_up(event.get("lines", [])).items():
            most[sku] = max(most.get(sku, 0), quantity)
    if lines is None:
        return most
    return {sku: min(quantity, lines[sku]) for sku, quantity in most.items() if sku in lines}


def _return(events: list[Event]) -> Return:
    def latest(name: str) -> Any:  # noqa: ANN401 -- a field's value
        saying = [e for e in events if name in e]
        return max(saying, key=_moment)[name] if saying else None

    result = Return()
    result.started = any(e["type"] == "sub_order.return_started" for e in events)
    times = [e["occurred_at"] for e in events if e["type"] == "sub_order.returned"]
    result.returned = bool(times)
    result.returned_at = min(times, default=None)
    lines = latest("lines")
    result.lines = None if lines is None else add_up(lines)
    result.restock = bool(latest("restock"))
    result.warehouse_id = latest("warehouse_id")
    return result
