"""Disturbing events as a real integration does: repeating, delaying, swapping and breaking some.

Every delivery names its expected outcome, so that the demo can compare. Delays are bounded, and no event crosses a
count. A count that is read before shipments that it already includes would find a drift, which is right in production,
because the shipment was late.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from random import Random
from typing import NamedTuple

from schemas.dead_letters import DEAD_LETTER_CODES, DeadLetterCode
from schemas.topics import Topic
from worker.demo.schedule import HOUR_MS, PlannedEvent, rfc3339, seeded

DELAY_MAX = 150
"""How many other events a late one may be behind, at most."""

_OF_AN_ORDER = frozenset({"unknown_type", "invalid", "future", "conflict"})


class Delivery(NamedTuple):
    """A record to send, with its expected outcome.

    `repeat`: it was sent before and is expected to be a duplicate. `code`: it is broken and expected in the dead
    letters with that code; `blocks` is the (account, order) that it then keeps from the archive. `misplaced`: to be
    sent to a partition other than its account's. `fenced`: to be sent only when everything before it has been
    acknowledged.
    """

    topic: Topic
    key: bytes
    value: bytes
    occurred_at_ms: int
    repeat: bool = False
    code: DeadLetterCode | None = None
    blocks: tuple[str, str] | None = None
    misplaced: bool = False
    fenced: bool = False


class Injected(NamedTuple):
    """The expected outcomes of a list of deliveries, in numbers.

    `early`: sub-order events sent before their order was placed.
    """

    records: int
    repeats: int
    broken: dict[str, int]
    late: int
    early: int
    blocked: frozenset[tuple[str, str]]


def calm(events: Iterable[PlannedEvent]) -> list[Delivery]:
    """Every event once and in order."""
    return _fenced([_delivery(event) for event in events])


def disturb(
    events: Sequence[PlannedEvent],
    *,
    now_ms: int,
    seed: int = 1,
    repeats: float = 0.06,
    late: float = 0.08,
    broken_each: int = 3,
    codes: Sequence[DeadLetterCode] = DEAD_LETTER_CODES,
) -> list[Delivery]:
    """The events with a share of them repeated, a share late, and `broken_each` broken records of every code.

    `wrong_partition` needs topics of two partitions or more.
    """
    random = seeded(f"{seed}/disturbance")
    placed: list[tuple[float, Delivery]] = []
    last_of = _last_positions(events)
    orders = [
        position
        for position, event in enumerate(events)
        if event.topic is not Topic.COMMANDS and "order_id" in event.value
    ]
    chosen = random.sample(orders, min(len(orders), broken_each * len(codes)))
    victims = dict(zip(chosen, cycle(codes), strict=False))
    for position, event in enumerate(events):
        delay = random.randint(1, DELAY_MAX) if random.random() < late else 0
        at = min(position + delay + 0.5 * bool(delay), last_of[position] + 0.9)
        delivery = _delivery(event)
        placed.append((at, delivery))
        if event.topic is not Topic.COMMANDS and random.random() < repeats:
            again = min(at + random.randint(0, DELAY_MAX), last_of[position] + 0.9)
            placed.append((again, delivery._replace(repeat=True)))
        if (code := victims.get(position)) is not None:
            placed.append(
                (min(at + random.randint(0, DELAY_MAX), last_of[position] + 0.9), _broken(event, code, now_ms, random))
            )
    placed.sort(key=lambda entry: entry[0])
    return _fenced([delivery for _, delivery in placed])


def injected(deliveries: Sequence[Delivery]) -> Injected:
    """Count the disturbances of the deliveries, to compare with what the worker found."""
    broken = Counter(delivery.code for delivery in deliveries if delivery.code is not None)
    late = early = latest_ms = 0
    placed: set[tuple[str, str]] = set()
    for delivery in deliveries:
        if delivery.code is not None or delivery.repeat:
            continue
        late += delivery.occurred_at_ms < latest_ms
        latest_ms = max(latest_ms, delivery.occurred_at_ms)
        if delivery.topic is Topic.ORDERS or delivery.topic is Topic.SUB_ORDERS:
            value = json.loads(delivery.value)
            order = (value["account_id"], value["order_id"])
            if value["type"] == "order.created":
                placed.add(order)
            early += order not in placed
    return Injected(
        records=len(deliveries),
        repeats=sum(delivery.repeat for delivery in deliveries),
        broken={code: broken[code] for code in DEAD_LETTER_CODES if broken[code]},
        late=late,
        early=early,
        blocked=frozenset(delivery.blocks for delivery in deliveries if delivery.blocks is not None),
    )


def _delivery(event: PlannedEvent) -> Delivery:
    return Delivery(event.topic, event.account_id.encode(), _encode(event.value), event.occurred_at_ms)


def _encode(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _counted_at(event: PlannedEvent) -> int | None:
    """When the count was taken that the event is a part of; None of all other events."""
    return event.occurred_at_ms if event.value["type"] == "stock.counted" else None


def _last_positions(events: Sequence[PlannedEvent]) -> list[int]:
    """Find how far each event may be delayed: to the end of its count, or of its run between counts."""
    ends = [0] * len(events)
    end = len(events) - 1
    for position in range(len(events) - 1, -1, -1):
        if position < len(events) - 1 and _counted_at(events[position]) != _counted_at(events[position + 1]):
            end = position
        ends[position] = end
    return ends


def _fenced(deliveries: list[Delivery]) -> list[Delivery]:
    """Fence the first of each run of counts: a count must not be appended before the events it is compared with."""
    fenced: list[Delivery] = []
    counting = False
    for delivery in deliveries:
        is_count = b'"stock.counted"' in delivery.value
        fenced.append(delivery._replace(fenced=is_count and not counting))
        counting = is_count
    return fenced


def _broken(event: PlannedEvent, code: DeadLetterCode, now_ms: int, random: Random) -> Delivery:
    """A broken relative of a good event of an order."""
    delivery = _delivery(event)._replace(code=code)
    order = (event.account_id, str(event.value["order_id"]))
    # Another id: what is broken here is one thing, and not that an id is used twice (which is `conflict`).
    value = event.value | {"event_id": f"{event.value['event_id']}-{code}"}
    match code:
        case "undecodable":
            whole = _encode(value)
            value_bytes = random.choice(
                (whole[: len(whole) // 2], whole[:-1] + b',"weight":NaN}', b"\xff\xfe", b"[1,2]")
            )
            return delivery._replace(value=value_bytes)
        case "unknown_type":
            value["type"] = random.choice(("order.teleported", "sub_order.lost", "stock.adjusted"))
        case "invalid":
            value |= random.choice(({"occurred_at": "yesterday"}, {"event_id": ""}, {"occurred_at": None}))
        case "key_mismatch":
            return delivery._replace(key=b"someone-else", value=_encode(value))
        case "wrong_partition":
            return delivery._replace(misplaced=True, value=_encode(value))
        case "future":
            value["occurred_at"] = rfc3339(now_ms + 72 * HOUR_MS)
        case "too_late":
            value |= {"order_id": f"{order[1]}-forgotten", "occurred_at": rfc3339(now_ms - 100 * 24 * HOUR_MS)}
        case "conflict":
            value |= {"event_id": event.value["event_id"], "occurred_at": rfc3339(event.occurred_at_ms + 1)}
    return delivery._replace(value=_encode(value), blocks=order if code in _OF_AN_ORDER else None)
