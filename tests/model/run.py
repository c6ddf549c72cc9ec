"""Records in, what must come out: the whole contract for one partition, one record at a time.

Choices where the contract leaves room:
- The codes are decided before the identity: a repeated event whose second record is `future` is dead-lettered, not
  a duplicate.
- An order leaves the state (and is forgotten for good) when a record is read, before that record is applied; only
  events of the order keep it there, commands about it do not.
- A dead letter of an order that left the state is not pending: there is nothing it could hold back.
- A dead letter stays pending when its replay is refused, with any code.
- A stale event leaves its identity, like any record that is not dead-lettered.
- The identity of an adjustment or transfer is kept for `retention_days` after the later of its `occurred_at` and the
  timestamp of its record, that moment included: in it a repeat is not yet `too_late`.
- An old adjustment or transfer with an id that is known and other content is `too_late`: the codes are decided
  in their order.
- Folding old flows into their count changes nothing that can be seen, so the model never folds.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.model import archive, reading
from tests.model.alerts import ID_NAMES, Change, Condition, Ended, changes, cleared, condition, raised
from tests.model.facts import Facts, facts_of, traces_of
from tests.model.reading import DAY_MS, HOUR_MS, MINUTE_MS, Event, Refusal
from tests.model.reconcile import Reconciler
from tests.model.stock import NOTHING, Ground, Key, Sums, movements
from tests.model.units import Flow, Picture, picture_of

GRACE_DAYS = 400
OF_STOCK_KEYS = ("stock.adjusted", "stock.transferred")
"""Their identities are scoped to the account."""


class AccountPolicies(NamedTuple):
    buffer: int = 0
    default_warehouse: str = "default"
    count_policy: str = "adopt"
    count_origin: str = "any"
    retention_days: int = 90


class Record(NamedTuple):
    """An input record; `topic` is the name without prefix."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Step:
    """What one record must bring about. `outcomes` has more than one where the contract leaves it open."""

    outcomes: set[str] = field(default_factory=set)
    code: str | None = None
    dead_letter_id: str | None = None
    event: Event | None = None
    movements: list[dict[str, Any]] = field(default_factory=list)
    levels: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    levels_as_before: dict[tuple[str, str, str], dict[str, Any]] = field(default_factory=dict)
    statuses: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    statuses_as_before: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    eligibility: list[dict[str, Any]] = field(default_factory=list)
    drift: list[dict[str, Any]] = field(default_factory=list)
    alerts: list[Change] = field(default_factory=list)
    ended: list[Ended] = field(default_factory=list)


@dataclass
class Order:
    """Accepted events of an order, in the order of processing, and when the last of them was recorded."""

    events: list[Event] = field(default_factory=list)
    last_timestamp: int = -1
    facts: Facts = field(default_factory=Facts)

    @property
    def greatest(self) -> int:
        return max(int(e["occurred_at"]) for e in self.events)


class Departed(NamedTuple):
    greatest: int
    until: int


@dataclass
class Account:
    """One account: its orders by id, those that left, its stock."""

    account_id: str
    policies: AccountPolicies
    ground: Ground = field(default_factory=Ground)
    reconciler: Reconciler = field(init=False)
    orders: dict[str, Order] = field(default_factory=dict)
    departed: dict[str, Departed] = field(default_factory=dict)
    pending: dict[str, set[str]] = field(default_factory=dict)
    adjusted: dict[str, tuple[Event, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.reconciler = Reconciler(self.ground, self.policies.count_policy, self.policies.count_origin)

    def is_eligible(self, order_id: str) -> bool:
        picture = self.ground.orders[order_id]
        return archive.refusal(picture, dead_letter_pending=bool(self.pending.get(order_id))) is None

    def conditions_of(self, order_id: str) -> set[Condition]:
        """What holds of an order."""
        picture = self.ground.orders.get(order_id, Picture())
        found = {condition(alert, order_id=order_id, sub_order_id=s, sku=sku) for alert, s, sku in picture.alerts}
        return found | ({condition("order_refused", order_id=order_id)} if self.pending.get(order_id) else set())

    def holding(self, stock: dict[Key, Sums]) -> set[Condition]:
        """All conditions that hold."""
        short = {condition("oversold", warehouse_id=w, sku=sku) for (w, sku), sums in stock.items() if _is_short(sums)}
        return short.union(*map(self.conditions_of, {*self.ground.orders, *self.pending}))

    def status(self, order_id: str) -> dict[str, Any]:
        picture = self.ground.orders[order_id]
        return {
            "order_id": order_id,
            "status": picture.status,
            "placed": picture.placed,
            "eligible": self.is_eligible(order_id),
            "sub_orders": picture.sub_orders,
            "units": sorted((row._asdict() for row in picture.rows), key=str),
        }


class Model:
    """One partition. `feed` takes its records in the order of processing."""

    def __init__(
        self,
        partition: int,
        partition_count: int,
        prefix: str = "",
        defaults: AccountPolicies | None = None,
        accounts: Mapping[str, AccountPolicies] | None = None,
    ) -> None:
        self.partition = partition
        self.partition_count = partition_count
        self.prefix = prefix
        self.defaults = defaults or AccountPolicies()
        self.policies = dict(accounts or {})
        self.accounts: dict[str, Account] = {}
        self.stream_time = -1

    def account(self, account_id: str) -> Account:
        if account_id not in self.accounts:
            self.accounts[account_id] = Account(account_id, self.policies.get(account_id, self.defaults))
        return self.accounts[account_id]

    def feed(self, record: Record) -> Step:
        self.stream_time = max(self.stream_time, record.timestamp)
        ended = [one for account in self.accounts.values() for one in _retire(account, self.stream_time)]
        step = self._feed(record)
        step.ended = ended
        return step

    def _feed(self, record: Record) -> Step:
        replay_of = self._replay_of(record)
        named = None if record.topic == reading.COMMANDS else reading.order_named_by(record.value, record.key)
        try:
            event = self._read(record)
        except Refusal as refusal:
            step = Step({"dead_lettered"}, code=refusal.code)
            step.dead_letter_id = replay_of or f"{self.prefix}{record.topic}/{record.partition}/{record.offset}"
            self._dead_letter(record, step, named, is_replay=replay_of is not None)
            return step
        account = self.account(event["account_id"])
        before = _Before(account, event.get("order_id", named[1] if named else None))
        step = self._apply(account, event, record)
        step.event = event
        if replay_of is not None and named is not None:
            account.pending.get(named[1], set()).discard(replay_of)
        before.tell(step)
        return step

    def _replay_of(self, record: Record) -> str | None:
        named = next((value.decode() for name, value in record.headers if name == "replay-of"), "")
        is_here = any(named.startswith(f"{self.prefix}{topic}/{record.partition}/") for topic in reading.TYPES)
        return named if is_here else None

    def _read(self, record: Record) -> Event:
        """The event, or a Refusal with any of the contract's codes, in their order."""
        event = reading.read(record.topic, record.value)
        if record.key != event["account_id"].encode():
            raise Refusal("key_mismatch")
        if reading.partition_of(event["account_id"], self.partition_count) != record.partition:
            raise Refusal("wrong_partition")
        if (
            event["occurred_at"] > record.timestamp + 24 * HOUR_MS
            or event.get("as_of", 0) > record.timestamp + 5 * MINUTE_MS
            or (event["type"] in reading.TAKING_BACK and event["occurred_at"] > record.timestamp + 5 * MINUTE_MS)
        ):
            raise Refusal("future")
        account = self.account(event["account_id"])
        if self._is_too_late(account, event, record.timestamp):
            raise Refusal("too_late")
        if self._conflicts(account, event):
            raise Refusal("conflict")
        return event

    def _is_too_late(self, account: Account, event: Event, timestamp: int) -> bool:
        retention_ms = account.policies.retention_days * DAY_MS
        if event["type"] == "stock.counted":
            return bool(event["as_of"] < self.stream_time - retention_ms - GRACE_DAYS * DAY_MS)
        if event["type"] in OF_STOCK_KEYS:
            is_repeat = self._same_id(account, event) == event
            return bool(event["occurred_at"] < self.stream_time - retention_ms) and not is_repeat
        if "order_id" not in event or event["type"] in reading.TYPES[reading.COMMANDS]:
            return False
        if event["order_id"] in account.departed:
            return bool(event["occurred_at"] > account.departed[event["order_id"]].greatest)
        return event["order_id"] not in account.orders and event["occurred_at"] < timestamp - retention_ms

    @staticmethod
    def _same_id(account: Account, event: Event) -> Event | None:
        """The accepted event that has this one's identity."""
        if event["type"] in OF_STOCK_KEYS:
            return account.adjusted.get(event["event_id"], (None, 0))[0]
        if event["type"] in reading.TYPES[reading.COMMANDS] or event["type"] == "stock.counted":
            return None
        known = account.orders.get(event["order_id"], Order()).events
        return next((e for e in known if e["event_id"] == event["event_id"]), None)

    def _conflicts(self, account: Account, event: Event) -> bool:
        if event["type"] == "stock.counted":
            return account.reconciler.standing(event) == "conflict"
        same = self._same_id(account, event)
        return same is not None and same != event

    def _apply(self, account: Account, event: Event, record: Record) -> Step:
        kind = event["type"]
        if kind == "stock.counted":
            return _take_count(account, event, record.timestamp)
        if kind in OF_STOCK_KEYS:
            return self._adjust(account, event, record.timestamp)
        if kind == "archive.requested":
            order_id = event["order_id"]
            step = Step({"applied"})
            step.eligibility.append(
                archive.answer(
                    order_id,
                    account.ground.orders.get(order_id),
                    departed=order_id in account.departed,
                    dead_letter_pending=bool(account.pending.get(order_id)),
                )
            )
            return step
        if kind == "dead_letter.discarded":
            pending = account.pending.get(event["order_id"], set())
            held = event["dead_letter_id"] in pending
            pending.discard(event["dead_letter_id"])
            return Step({"applied" if held else "stale"})
        return self._learn(account, event, record.timestamp)

    def _learn(self, account: Account, event: Event, timestamp: int) -> Step:
        """An event of an order."""
        if event["order_id"] in account.departed:
            return Step({"stale"})
        order = account.orders.setdefault(event["order_id"], Order())
        order.last_timestamp = max(order.last_timestamp, timestamp)
        if self._same_id(account, event) is not None:
            return Step({"duplicate"})
        facts = facts_of([*order.events, event], account.policies.default_warehouse)
        outcomes = {"applied"}
        if order.events and facts == order.facts:
            same_traces = traces_of(order.events) == traces_of([*order.events, event])
            outcomes = {"stale"} if same_traces else {"applied", "stale"}
        order.events.append(event)
        order.facts = facts
        account.ground.orders[event["order_id"]] = picture_of(facts)
        return Step(outcomes)

    def _adjust(self, account: Account, event: Event, timestamp: int) -> Step:
        if self._same_id(account, event) is not None:
            return Step({"duplicate"})
        until = max(event["occurred_at"], timestamp) + account.policies.retention_days * DAY_MS
        account.adjusted[event["event_id"]] = (event, until)
        if event["type"] == "stock.adjusted":
            flows = [Flow(event["warehouse_id"], event["sku"], event["occurred_at"], event["delta"])]
            known = account.ground.adjustments
        else:
            flows = [
                Flow(event[name], line["sku"], event["occurred_at"], sign * line["quantity"])
                for line in event["lines"]
                for name, sign in (("from_warehouse_id", -1), ("to_warehouse_id", 1))
            ]
            known = account.ground.transfers
        new = [flow for flow in flows if not account.ground.has_counted(flow)]
        known += new
        return Step({"applied"} if new else {"stale"})

    def _dead_letter(self, record: Record, step: Step, named: tuple[str, str] | None, *, is_replay: bool) -> None:
        step.event = _as_far_as_read(record)
        if step.code == "conflict" and step.event is not None and not is_replay:
            given = {name: step.event.get(name) for name in ID_NAMES}
            step.alerts.append(raised("conflict", **(given | ({"order_id": named[1]} if named else {}))))
        if named is None or step.code == "too_late" or step.dead_letter_id is None:
            return
        account_id, order_id = named
        if reading.partition_of(account_id, self.partition_count) != record.partition:
            return
        account = self.account(account_id)
        if order_id in account.departed:
            return
        before = _Before(account, order_id)
        account.pending.setdefault(order_id, set()).add(step.dead_letter_id)
        before.tell(step)


def _as_far_as_read(record: Record) -> Event | None:
    try:
        return reading.read(record.topic, record.value)
    except Refusal:
        return None


def _take_count(account: Account, event: Event, timestamp: int) -> Step:
    if account.reconciler.standing(event) == "duplicate":
        return Step({"duplicate"})
    outcomes, drift = account.reconciler.take(event, timestamp)
    return Step(outcomes, drift=drift)


def _retire(account: Account, now: int) -> list[Ended]:
    """What time alone does: orders leave, and are forgotten; adjustments' identities are forgotten."""
    ended: list[Ended] = []
    retention_ms = account.policies.retention_days * DAY_MS
    for order_id, order in list(account.orders.items()):
        leaves_at = max(order.greatest, order.last_timestamp) + retention_ms
        if account.is_eligible(order_id) and now >= leaves_at:
            gone = [cleared(alert, **dict(ids)) for alert, ids in sorted(account.conditions_of(order_id))]
            ended += [Ended(account.account_id, change, leaves_at) for change in gone]
            picture: Picture = account.ground.orders.pop(order_id)
            account.ground.past_shipments += picture.shipments
            account.ground.past_restocks += picture.restocks
            account.departed[order_id] = Departed(order.greatest, leaves_at + GRACE_DAYS * DAY_MS)
            del account.orders[order_id]
    account.departed = {o: d for o, d in account.departed.items() if now < d.until}
    account.adjusted = {i: (e, until) for i, (e, until) in account.adjusted.items() if now <= until}
    return ended


class _Before:
    """The account as it was, to find what one record changed."""

    def __init__(self, account: Account, order_id: str | None) -> None:
        self.account = account
        self.order_id = order_id
        self.stock: dict[Key, Sums] = account.ground.stock()
        self.holding = account.holding(self.stock)
        self.picture = account.ground.orders.get(order_id) if order_id is not None else None
        self.status = account.status(str(order_id)) if self.picture else None

    def tell(self, step: Step) -> None:
        """Complete a step with the differences since. Called once the account is as it should be."""
        account, event = self.account, step.event
        stock = account.ground.stock()
        names: dict[str, Any] = {name: event[name] for name in ("order_id", "sub_order_id") if event and name in event}
        if step.code is None and event is not None:
            step.movements = [{**entry, **names} for entry in movements(self.stock, stock)]
            for entry in step.movements:
                account.reconciler.journal.append(
                    (event["occurred_at"], (entry["warehouse_id"], entry["sku"]), entry["frozen_delta"])
                )
        for key in sorted({*self.stock, *stock}):
            old, new = (s.get(key, NOTHING) for s in (self.stock, stock))
            if old.level(account.policies.buffer) != new.level(account.policies.buffer):
                step.levels[account.account_id, *key] = new.level(account.policies.buffer)
            else:
                step.levels_as_before[account.account_id, *key] = new.level(account.policies.buffer)
        step.alerts += changes(self.holding, account.holding(stock))
        if self.order_id is not None and self.order_id in account.ground.orders:
            self._tell_order(step, self.order_id)

    def _tell_order(self, step: Step, order_id: str) -> None:
        status = self.account.status(order_id)
        if status != self.status:
            step.statuses[self.account.account_id, order_id] = status
        else:
            step.statuses_as_before[self.account.account_id, order_id] = status
        was = bool(self.status and self.status["eligible"])
        if status["eligible"] != was:
            kind = "archive.revoked" if was else "archive.eligible"
            step.eligibility.append({"type": kind, "order_id": order_id, "statuses": status["sub_orders"]})


def _is_short(sums: Sums) -> bool:
    return sums.available is not None and sums.available < 0
