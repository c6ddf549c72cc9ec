"""What is known about one order, from all its accepted events together (contract section 3).

Nothing here is incremental: `facts_of` reads the whole list. *Latest* is the greatest (occurred_at, event_id); ids
compare by code points, which is the order of their UTF-8 bytes.

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
UNHOLDS = ("label_issued", "shipped", "in_transit", "delivered", "failed_to_deliver", "cancelled", "returned")

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
    returns: dict[str, Return] = field(default_factory=dict)

    @property
    def superseded(self) -> bool:
        return bool(self.children)


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
    facts.cancelled = any(e["type"] == "order.cancelled" for e in events)
    for sub_order_id in _named(events):
        facts.sub_orders[sub_order_id] = _sub_order(sub_order_id, events)
    return facts


def traces_of(events: list[Event]) -> dict[str, Any]:
    """What may have to be remembered beyond the facts to merge the next event rightly. See the module's docstring."""
    traces: dict[str, Any] = {}
    placing = [_revision(e) for e in events if e["type"] in ("order.created", "order.amended")]
    traces["revision"] = max(placing, default=None)
    traces["order cancelled"] = max((e["occurred_at"] for e in events if e["type"] == "order.cancelled"), default=None)
    for sub in _named(events):
        own = [e for e in events if e.get("sub_order_id") == sub]
        traces[f"{sub} lines"] = max((_moment(e) for e, _ in _line_sources(sub, events)), default=None)
        for kind in {e["type"] for e in own}:
            times = [e["occurred_at"] for e in own if e["type"] == kind]
            traces[f"{sub} {kind}"] = (min(times), max(times))
        traces[f"{sub} cancelled"] = _staircase(own)
        traces[f"{sub} whole"] = any(e["type"] == "sub_order.cancelled" and "lines" not in e for e in own)
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
    event, source = max(sources, key=lambda pair: _moment(pair[0]))
    if "warehouse_id" in source:
        return str(source["warehouse_id"])
    return _warehouse(event["sub_order_id"], events, asked | {sub_order_id})


def _sub_order(sub_order_id: str, events: list[Event]) -> SubOrder:
    sub = SubOrder()
    own = [e for e in events if e.get("sub_order_id") == sub_order_id]
    by_kind: dict[str, list[Event]] = {}
    for event in own:
        by_kind.setdefault(event["type"].removeprefix("sub_order."), []).append(event)

    warehouse_id = _warehouse(sub_order_id, events)
    if warehouse_id is not None:
        sub.warehouse_id = warehouse_id
        _, source = max(_line_sources(sub_order_id, events), key=lambda pair: _moment(pair[0]))
        sub.lines = add_up(source["lines"])
    sub.children = {child["sub_order_id"] for e in by_kind.get("split", []) for child in e["children"]}
    sub.said = set(by_kind) & {"in_transit", "delivered", "failed_to_deliver"}

    ships = [e["occurred_at"] for kind in SHIPS for e in by_kind.get(kind, [])]
    sub.shipped = bool(ships)
    if ships:
        sub.shipped_at = min([e["occurred_at"] for e in by_kind.get("shipped", [])] or ships)

    cancels = by_kind.get("cancelled", [])
    in_time = [e for e in cancels if sub.shipped_at is None or sub.superseded or e["occurred_at"] <= sub.shipped_at]
    sub.cancelled = _most_cancelled(in_time, sub.lines)
    sub.whole = any("lines" not in e for e in cancels)
    if sub.lines is not None:
        ever = _most_cancelled(cancels, sub.lines)
        sub.whole = sub.whole or all(ever.get(sku, 0) == quantity for sku, quantity in sub.lines.items())

    holds = [e["occurred_at"] for e in by_kind.get("on_hold", [])]
    unholds = [e["occurred_at"] for kind in UNHOLDS for e in by_kind.get(kind, [])]
    unholds += [e["occurred_at"] for e in events if e["type"] == "order.cancelled"]
    sub.held = bool(holds) and all(max(holds) >= at for at in unholds)

    for return_id in {e["return_id"] for e in own if "return_id" in e}:
        sub.returns[return_id] = _return([e for e in own if e.get("return_id") == return_id])
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


def _staircase(own: list[Event]) -> set[tuple[str, int, int]]:
    """The cancelled lines (sku, quantity, occurred_at) that no other line exceeds at an earlier or the same time."""
    said = {
        (sku, quantity, e["occurred_at"])
        for e in own
        if e["type"] == "sub_order.cancelled" and "lines" in e
        for sku, quantity in add_up(e["lines"]).items()
    }
    return {
        (sku, quantity, at)
        for sku, quantity, at in said
        if not any(s == sku and q >= quantity and t <= at and (q, t) != (quantity, at) for s, q, t in said)
    }


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
