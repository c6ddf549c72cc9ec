"""What goes wrong in a simulated world: a plan, drawn from a seed, of faults with stable numbers.

Each fault is drawn from the seed and its own number alone, so it stays what it is when others are left out. It strikes
either at a request (the so-manyth of its kind: before it, after it, in place of its answer) or at a time. As every
request and every answer is a point to strike at, so is every moment between two effects on the cluster.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from aiokafka.protocol import commit, coordination, fetch, group, metadata, offset, produce, transaction

from tests.simulator.kafka.error_answers import ERRORS

FAULTS_MAX = 12
OLD_OFFSETS_SHARE = 0.25
GARBLED_SHARE = 0.25
OUTLIVED_SHARE = 0.25
AGREED_SHARE = 0.25
"""Of the seeds."""
OUTLIVED_SECONDS_MAX = 0.0015
"""After a produce was sent, which takes as long until it is everywhere."""


class AtRequest(StrEnum):
    """What a fault does to a request, or to the process that sent it."""

    LOSE_REQUEST = "is lost"
    CUT_BEFORE = "is lost, and its connection cut"
    LOSE_ANSWER = "takes effect, but is never answered"
    CUT_AFTER = "takes effect, then its connection is cut"
    DELAY_REQUEST = "is late"
    DELAY_ANSWER = "is answered late"
    REFUSE = "is refused"
    REFUSE_AFTER = "takes effect, but is answered with an error"
    CRASH_SENT = "is the last thing its process does"
    CRASH_DONE = "takes effect, then its process crashes before it is answered"
    FREEZE_SENT = "is the last thing its process does before it is held up"
    FREEZE_DONE = "takes effect, then its process is held up before it is answered"
    GARBLE = "is answered with a batch in which a byte is wrong"
    OUTLIVE = "arrives when its sender has given it up and produces again"


class AtTime(StrEnum):
    """What a fault does by itself."""

    CRASH_STEP = "crashes within a few steps"
    CRASH = "crashes"
    FREEZE = "is held up"
    ISOLATE = "cannot reach the cluster"
    MOVE_CLOCK = "has its wall clock moved"
    KILL_NODE = "a node dies and comes back"
    FREEZE_NODE = "a node is held up"
    CUT_NODE = "all connections of a node are cut"
    MOVE_GROUP = "the coordinators of the groups move"
    MOVE_TRANSACTIONS = "the coordinators of the transactions move"
    SLOW_MARKERS = "the markers of transactions are late"
    SLOW_NETWORK = "all messages are late"
    COMPACT = "the log cleaner runs"
    OLD_OFFSETS = "the coordinators of the groups answer offsets of so many commits ago"
    AGREE = "the brokers agree on transactions of this version"


APART = (AtRequest.GARBLE, AtRequest.OUTLIVE, AtTime.OLD_OFFSETS, AtTime.AGREE)
"""Drawn for themselves, after all others: so the others are what they were before there were these."""
PROCESS_BLOWS = (AtTime.CRASH_STEP, AtTime.CRASH, AtTime.FREEZE, AtTime.ISOLATE, AtTime.MOVE_CLOCK)

REQUESTS: Sequence[tuple[Any, int, int]] = (
    # The request, how often faults choose it, and how many of it a run has about.
    (transaction.EndTxnRequest_v0, 20, 40),
    (produce.ProduceRequest_v7, 20, 60),
    (transaction.InitProducerIdRequest_v0, 10, 12),
    (transaction.AddPartitionsToTxnRequest_v0, 8, 60),
    (transaction.AddOffsetsToTxnRequest_v0, 6, 30),
    (transaction.TxnOffsetCommitRequest_v0, 6, 30),
    (fetch.FetchRequest_v11, 8, 150),
    (group.JoinGroupRequest_v5, 6, 8),
    (group.SyncGroupRequest_v3, 6, 6),
    (group.HeartbeatRequest_v1, 4, 30),
    (metadata.MetadataRequest_v5, 4, 30),
    (offset.OffsetRequest_v3, 3, 8),
    (coordination.FindCoordinatorRequest_v1, 3, 12),
    (commit.OffsetFetchRequest_v3, 1, 3),
    (group.LeaveGroupRequest_v1, 1, 2),
)
OF_TRANSACTIONS = (
    transaction.EndTxnRequest_v0,
    transaction.AddPartitionsToTxnRequest_v0,
    transaction.AddOffsetsToTxnRequest_v0,
    transaction.TxnOffsetCommitRequest_v0,
    produce.ProduceRequest_v7,
)
WEIGHTS = {
    AtRequest.CRASH_DONE: 4,
    AtRequest.LOSE_ANSWER: 3,
    AtRequest.CUT_AFTER: 3,
    AtRequest.FREEZE_DONE: 3,
    AtRequest.CRASH_SENT: 2,
    AtRequest.FREEZE_SENT: 2,
    AtRequest.REFUSE: 3,
    AtTime.CRASH_STEP: 4,
    AtTime.FREEZE: 3,
    AtTime.COMPACT: 2,
}
"""How often a blow is chosen, against 1 of the others."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that goes wrong. Its number is the same whatever other faults are left out."""

    number: int
    blow: AtRequest | AtTime
    request: Any = None
    """The type of the request that is struck; None: it strikes at a time."""
    nth: int = 0
    """Which of them, counted over the whole run."""
    at_seconds: float = 0.0
    process: str = ""
    seconds: float = 0.0
    """How long it lasts, or how late something is."""
    amount: int = 0
    """Steps, the number of a node, or commits."""
    code: int = 0
    """The error that is answered."""

    @property
    def what(self) -> str:
        """A sentence for people: what happens when."""
        if self.request is not None:
            name = self.request.__name__.split("Request_", maxsplit=1)[0]
            error = f" (error {self.code})" if self.code else ""
            late = f", for {self.seconds:.1f} s" if self.seconds else ""
            return f"{name} number {self.nth} {self.blow.value}{error}{late}"
        whose = f"{self.process} " if self.process else ""
        return f"at {self.at_seconds:.2f} s, for {self.seconds:.1f} s: {whose}{self.blow.value} ({self.amount})"


class FaultPlan:
    """All faults of a run. Immutable: a simulation takes its own course with it."""

    def __init__(self, faults: Sequence[Fault], until_seconds: float) -> None:
        self.faults = list(faults)
        """In the order of their numbers."""
        self.until_seconds = until_seconds
        """No fault strikes later."""

    @classmethod
    def drawn(cls, seed: int, *, processes: Collection[str] = (), until_seconds: float = 20.0) -> Self:
        """The faults of a seed: of the network, the brokers and the `processes`; none begins after `until_seconds`.

        One that has begun is over 12 seconds later at most.
        """
        count = random.Random(f"faults/{seed}").randint(0, FAULTS_MAX)
        names = sorted(processes)
        faults = [_drawn(seed, number, names, until_seconds) for number in range(count)]
        for apart in (_old_offsets, _garbled, _outlived, _agreed):
            faults += apart(seed, len(faults), until_seconds)
        return cls(faults, until_seconds)

    @classmethod
    def none(cls) -> Self:
        """A calm run."""
        return cls([], 0.0)

    def without(self, numbers: Collection[int]) -> Self:
        """The same plan with some faults left out, for shrinking."""
        return type(self)([fault for fault in self.faults if fault.number not in numbers], self.until_seconds)

    def only(self, numbers: Collection[int]) -> Self:
        """The same plan with all others left out, for replaying."""
        return type(self)([fault for fault in self.faults if fault.number in numbers], self.until_seconds)


def _drawn(seed: int, number: int, processes: Sequence[str], until_seconds: float) -> Fault:
    chance = random.Random(f"fault/{seed}/{number}")
    if chance.random() < 0.65:
        return _at_request(number, chance)
    return _at_time(number, chance, processes, until_seconds)


def _at_request(number: int, chance: random.Random) -> Fault:
    request, _, about = chance.choices(REQUESTS, [weight for _, weight, _ in REQUESTS])[0]
    blows = [blow for blow in AtRequest if blow not in APART]
    blow = chance.choices(blows, [WEIGHTS.get(blow, 1) for blow in blows])[0]
    code = 0
    if blow in (AtRequest.REFUSE, AtRequest.REFUSE_AFTER):
        if request in ERRORS:
            code = int(chance.choice(ERRORS[request]))
        else:
            blow = AtRequest.CUT_BEFORE
    return Fault(
        number=number,
        blow=blow,
        request=request,
        nth=1 + int(about * chance.random() * chance.random()),
        seconds=_request_seconds(blow, chance),
        code=code,
    )


def _request_seconds(blow: AtRequest, chance: random.Random) -> float:
    match blow:
        case AtRequest.DELAY_REQUEST | AtRequest.DELAY_ANSWER:
            return chance.choice((0.05, 0.5, 3.0, 7.0)) * (0.5 + chance.random())
        case AtRequest.CRASH_SENT:
            # What a process sent last may arrive long after it died.
            return chance.choice((0.0, 0.0, 0.5, 4.0)) * chance.random()
        case AtRequest.FREEZE_SENT | AtRequest.FREEZE_DONE:
            return chance.choice((1.0, 5.0, 9.0, 11.0)) * (0.8 + 0.2 * chance.random())
        case _:
            return 0.0


def _at_time(number: int, chance: random.Random, processes: Sequence[str], until_seconds: float) -> Fault:
    blows = [blow for blow in AtTime if blow not in APART and (processes or blow not in PROCESS_BLOWS)]
    blow = chance.choices(blows, [WEIGHTS.get(blow, 1) for blow in blows])[0]
    return Fault(
        number=number,
        blow=blow,
        at_seconds=until_seconds * chance.random(),
        process=chance.choice(processes) if blow in PROCESS_BLOWS else "",
        seconds=chance.choice((0.3, 2.0, 6.0, 12.0)) * (0.5 + 0.5 * chance.random()),
        amount=chance.randint(1, 400) if blow is AtTime.CRASH_STEP else chance.randint(0, 2),
    )


def _old_offsets(seed: int, number: int, until_seconds: float) -> list[Fault]:
    """Now and then, a coordinator that answers old offsets. The older they are, the more harm they do to a worker that
    trusts them. 0 commits back stands for no offsets at all.
    """
    chance = random.Random(f"old offsets/{seed}")
    if chance.random() >= OLD_OFFSETS_SHARE:
        return []
    fault = Fault(
        number=number,
        blow=AtTime.OLD_OFFSETS,
        at_seconds=until_seconds * chance.random(),
        seconds=chance.choice((2.0, 6.0, 12.0)) * (0.5 + 0.5 * chance.random()),
        amount=chance.choice((0, 1, 2, 5)),
    )
    return [fault]


def _garbled(seed: int, number: int, _until_seconds: float) -> list[Fault]:
    """Now and then, a fetch of which a batch cannot be read: of the inputs, or of the state."""
    chance = random.Random(f"garbled/{seed}")
    if chance.random() >= GARBLED_SHARE:
        return []
    nth = 1 + int(150 * chance.random())
    return [
        Fault(
            number=number,
            blow=AtRequest.GARBLE,
            request=fetch.FetchRequest_v11,
            nth=nth,
            amount=chance.randint(0, 3),
        )
    ]


def _outlived(seed: int, number: int, _until_seconds: float) -> list[Fault]:
    """Now and then, a request of a transaction that arrives in the middle of a later one: when its sender has given it
    up, and sends the `amount`-th produce after that.
    """
    chance = random.Random(f"outlived/{seed}")
    if chance.random() >= OUTLIVED_SHARE:
        return []
    chosen = [entry for entry in REQUESTS if entry[0] in OF_TRANSACTIONS]
    request, _, about = chance.choices(chosen, [weight for _, weight, _ in chosen])[0]
    return [
        Fault(
            number=number,
            blow=AtRequest.OUTLIVE,
            request=request,
            nth=1 + int(about * chance.random()),
            seconds=OUTLIVED_SECONDS_MAX * chance.random(),
            amount=chance.randint(1, 4),
        )
    ]


def _agreed(seed: int, number: int, until_seconds: float) -> list[Fault]:
    """Now and then, brokers that are upgraded, or taken back, while workers run: each goes on as it began."""
    chance = random.Random(f"agreed/{seed}")
    if chance.random() >= AGREED_SHARE:
        return []
    first = chance.choice((1, 2))
    return [
        Fault(number=number + later, blow=AtTime.AGREE, at_seconds=until_seconds * chance.random(), amount=amount)
        for later, amount in enumerate((first, 3 - first))
    ]
