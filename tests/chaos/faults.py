"""The faults, and the plan of a run: which ones come in which order, all from one seed.

A plan has what is done and with what numbers. Its target is decided when it comes, among those that can be hit then:
that depends on how long the system took to recover.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Final


class Kind(StrEnum):
    """What is done to the system."""

    WORKER_KILLED = "worker: kill -9"
    WORKER_STOPPED = "worker: SIGTERM"
    WORKER_FROZEN = "worker: frozen past its session"
    SCALED = "workers: scaled to 1, 4 and back"
    BROKER_KILLED = "broker: kill -9"
    BROKER_RESTARTED = "broker: clean restart"
    DISK_FULL = "broker: writes fail as on a full disk"
    CONTROLLER_CHANGED = "controller: frozen, another one elected"
    CONNECTIONS_CUT = "connections: cut"
    CONNECTIONS_DELAYED = "connections: delayed"
    CONNECTIONS_SLOWED = "connections: slowed"
    CONNECTIONS_HELD = "connections: silent, then cut"

    @property
    def hits_brokers(self) -> bool:
        """Whether the fault takes a node out. One such fault acts at a time; the next waits for in-sync replicas."""
        return self in _OF_BROKERS


_OF_BROKERS: Final = frozenset({Kind.BROKER_KILLED, Kind.BROKER_RESTARTED, Kind.DISK_FULL, Kind.CONTROLLER_CHANGED})

_SHARES: Final[Mapping[Kind, int]] = {
    Kind.WORKER_KILLED: 18,
    Kind.WORKER_STOPPED: 14,
    Kind.WORKER_FROZEN: 7,
    Kind.SCALED: 6,
    Kind.BROKER_KILLED: 8,
    Kind.BROKER_RESTARTED: 7,
    Kind.DISK_FULL: 3,
    Kind.CONTROLLER_CHANGED: 6,
    Kind.CONNECTIONS_CUT: 14,
    Kind.CONNECTIONS_DELAYED: 7,
    Kind.CONNECTIONS_SLOWED: 5,
    Kind.CONNECTIONS_HELD: 5,
}
"""Of a hundred faults."""
_ON_THREE_BROKERS_ONLY: Final = frozenset({Kind.CONTROLLER_CHANGED, Kind.DISK_FULL})
SCALES: Final = (1, 4, 3)
"""Numbers of workers, in turn."""
_AT_ONCE: Final = 0.25
"""The share of faults that do not wait until the one before is got over."""


@dataclass(frozen=True)
class Fault:
    """One fault of a plan."""

    number: int
    """From 1."""
    kind: Kind
    draw: int
    """The target: of those that can be hit, the one at `draw` mod their number."""
    seconds: float
    """How long it lasts, beyond what its kind needs; for a worker that ended, until it is started again."""
    strength: float
    """From 0 to 1: how bad it is, where there are degrees."""
    at_once: bool
    """Whether it comes while the one before may still be felt."""
    everywhere: bool
    """Of connections: whether those to all brokers are hit, or to one."""
    workers: int
    """Of scaling: to how many."""


def plan(seed: int, faults: int, *, brokers: int) -> list[Fault]:
    """A plan of so many faults for so many brokers. The shares of the kinds are the same for every seed."""
    random = Random(f"{seed}/faults")
    kinds = _kinds(faults, brokers)
    random.shuffle(kinds)
    scaled = 0
    planned = []
    for number, kind in enumerate(kinds, start=1):
        workers = SCALES[scaled % len(SCALES)]
        scaled += kind is Kind.SCALED
        planned.append(
            Fault(
                number=number,
                kind=kind,
                draw=random.randrange(1000),
                seconds=random.uniform(0.0, 3.0),
                strength=random.random(),
                at_once=random.random() < _AT_ONCE,
                everywhere=random.random() < 0.5,
                workers=workers,
            )
        )
    return planned


def _kinds(faults: int, brokers: int) -> list[Kind]:
    """How many faults of each kind, by their shares; of scalings either all or none."""
    shares = {kind: share for kind, share in _SHARES.items() if brokers > 1 or kind not in _ON_THREE_BROKERS_ONLY}
    kinds = _apportioned(shares, faults)
    if kinds.count(Kind.SCALED) < len(SCALES):
        del shares[Kind.SCALED]
        kinds = _apportioned(shares, faults)
    return kinds


def _apportioned(shares: Mapping[Kind, int], faults: int) -> list[Kind]:
    """Kinds in the order of a plan: each next one is the kind that is furthest below its share."""
    total = sum(shares.values())
    kinds: list[Kind] = []
    given = dict.fromkeys(shares, 0)
    for number in range(1, faults + 1):
        kind = max(shares, key=lambda kind: shares[kind] * number / total - given[kind])
        given[kind] += 1
        kinds.append(kind)
    return kinds
