"""What a seed means: a history, the workers that come and go, what fails, and when the failing ends.

A plan is data, drawn as a whole and before anything runs. Its items have names that do not change when others are left
out, and every draw that is made during a run depends on the seed and a name alone: so a failing plan can be made
smaller, item by item, and passed on in one line.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random

from tests.model.run import AccountPolicies, Record
from tests.property.drafts import ADOPTING, RULES, Menu
from tests.simulator.faults.faults import FaultPlan
from tests.simulator.faults.flood import Flood, flood
from tests.simulator.faults.losses import Loss, drawn_loss
from tests.simulator.history import Entry, Menus, history
from tests.simulator.kafka.transactions import EPOCHS_MAX
from tests.simulator.loop import EPOCH_MS
from tests.simulator.upstream import InputTransaction, input_transactions

FAULTS_UNTIL_SECONDS = 7.0
HEAL_SECONDS = 9.0
"""When the world has become calm: no fault begins any more, halted workers are restarted, all workers are up."""
WITHIN_SECONDS = 90.0
"""Within so long after that everything must be consumed: a session, a rebalance, a transaction and a silent restore
may each have to time out first.
"""
BEGINS_MS = (0, 0, 1500, 3000)
"""When the inputs begin: before anybody reads, or when nothing is left to read and they overtake each other on their
way.
"""
RESTARTS_SECONDS = (0.05, 0.3, 1.0, 4.0)
WORKERS_MAX = 3


class Act(StrEnum):
    """What an operator, or the passing of time, does."""

    JOIN = "join"
    LEAVE = "leave"
    COMPACT = "compact"
    TRUNCATE = "truncate"


@dataclass(frozen=True)
class Action:
    """Something done at a moment. `subject` is a worker, or a partition's number."""

    index: int
    at_seconds: float
    act: Act
    subject: str

    def __str__(self) -> str:
        return f"a{self.index}: {self.act} {self.subject} at {self.at_seconds:.2f} s"


@dataclass(frozen=True)
class Plan:
    """All that happens in a run."""

    seed: int
    partitions: int
    rules: AccountPolicies
    clean: bool
    """Every record can be applied in any order: the end must be that of a calm run."""
    entries: tuple[Entry, ...]
    skipped: int
    """So many records lay in every input before it was truncated, ahead of the first worker."""
    workers: tuple[str, ...]
    static: bool
    pace: float
    """What all of the engine's time-outs are multiplied by: the less, the more happens while faults strike."""
    nodes: int
    jitter_seconds: float
    """Every message is late by up to so much."""
    markers_seconds: float
    """The markers of every transaction are late by up to so much."""
    breaker_bad_max: int
    poisoned: int | None
    """The entry that the workers cannot process until they are mended."""
    actions: tuple[Action, ...]
    faults: FaultPlan
    gaps: bool
    """The inputs come from a transactional producer, whose markers take offsets."""
    input_transactions: tuple[InputTransaction, ...] = ()
    transaction_version: int = 2
    """Of the brokers: from 2 on the engine speaks the way of Kafka 4."""
    epochs_max: int = EPOCHS_MAX
    """The last epoch of a producer id."""
    breaker_window: int = 8
    loss: Loss | None = None
    """What is taken away from the system."""
    unattended: bool = False
    """Nobody restarts who was halted by the breaker: such a partition is not expected to come to its end."""

    @classmethod
    def drawn(cls, seed: int) -> Plan:
        """The plan of a seed."""
        r = Random(f"plan/{seed}")
        clean = r.random() < 0.25
        menus = Menus(
            partitions=r.choice((1, 2, 2, 3)),
            drafts=r.randint(6, 40),
            menu=Menu(clean=clean, jumps=not clean and r.random() < 0.3),
            begins_ms=r.choice(BEGINS_MS),
        )
        entries = history(r, menus, EPOCH_MS)
        rules = r.choice(ADOPTING if clean else RULES)
        workers = tuple(f"w{number}" for number in range(r.choice((1, 2, 2, 3))))
        breaker = 3 if not clean and r.random() < 0.15 else 0
        drawn = cls(
            seed=seed,
            partitions=menus.partitions,
            rules=rules,
            clean=clean,
            entries=tuple(entries),
            skipped=r.choice((0, 0, 0, 3)),
            workers=workers,
            static=r.random() < 0.25,
            pace=r.choice((1.0, 0.3, 0.3)),
            nodes=r.choice((1, 1, 2, 3)),
            jitter_seconds=r.choice((0.0, 0.0, 0.0, 0.02, 0.1, 0.6)),
            markers_seconds=r.choice((0.0, 0.0, 0.0, 0.1, 0.5)),
            breaker_bad_max=breaker,
            poisoned=r.randrange(len(entries)) if entries and r.random() < 0.1 else None,
            actions=tuple(_actions(r, workers, menus.partitions)),
            faults=FaultPlan.drawn(seed, processes=workers, until_seconds=FAULTS_UNTIL_SECONDS),
            gaps=r.random() < 0.3,
            input_transactions=tuple(input_transactions(seed, entries, menus.partitions, EPOCH_MS)),
            # Drawn by themselves: so all else of a seed is what it was before there were these.
            transaction_version=Random(f"transaction version/{seed}").choice((1, 2)),
            epochs_max=Random(f"epochs/{seed}").choice((EPOCHS_MAX, EPOCHS_MAX, 4, 40)),
        )
        loss = drawn_loss(seed, menus.partitions, FAULTS_UNTIL_SECONDS)
        if loss is not None:
            # Nothing else may halt a partition, and nobody may compare its end with that of a calm run.
            return replace(drawn, loss=loss, clean=False, breaker_bad_max=0, poisoned=None)
        flooded = None if clean else flood(seed, entries, menus.partitions, EPOCH_MS)
        return drawn if flooded is None else drawn._flooded(flooded)

    def _flooded(self, flooded: Flood) -> Plan:
        return replace(
            self,
            entries=(*self.entries, *flooded.entries),
            breaker_bad_max=flooded.bad_max,
            breaker_window=flooded.window,
            unattended=flooded.unattended,
        )

    @property
    def items(self) -> list[str]:
        """The names of everything that can be left out, those that explain most first."""
        return [
            *(f"f{fault.number}" for fault in self.faults.faults),
            *(f"a{action.index}" for action in self.actions),
            *(worker for worker in self.workers[1:]),
            *(f"t{one.index}" for one in self.input_transactions),
            *(f"r{entry.index}" for entry in self.entries),
            *(["loss"] if self.loss is not None else []),
            *(["poison"] if self.poisoned is not None else []),
            *(["breaker"] if self.breaker_bad_max else []),
            *(["unattended"] if self.unattended else []),
            *(["static"] if self.static else []),
            *(["skipped"] if self.skipped else []),
            *(["gaps"] if self.gaps else []),
            *(["jitter"] if self.jitter_seconds else []),
            *(["markers"] if self.markers_seconds else []),
            *(["nodes"] if self.nodes > 1 else []),
            *(["epochs"] if self.epochs_max < EPOCHS_MAX else []),
        ]

    def without(self, names: Collection[str]) -> Plan:
        """The same plan with some items left out."""
        left_out = set(names)
        return replace(
            self,
            faults=self.faults.without([f.number for f in self.faults.faults if f"f{f.number}" in left_out]),
            actions=tuple(a for a in self.actions if not {f"a{a.index}", a.subject} & left_out),
            workers=tuple(worker for worker in self.workers if worker not in left_out),
            entries=tuple(entry for entry in self.entries if f"r{entry.index}" not in left_out),
            loss=None if "loss" in left_out else self.loss,
            poisoned=None if "poison" in left_out else self.poisoned,
            breaker_bad_max=0 if "breaker" in left_out else self.breaker_bad_max,
            unattended=self.unattended and not {"breaker", "unattended"} & left_out,
            static=self.static and "static" not in left_out,
            skipped=0 if "skipped" in left_out else self.skipped,
            gaps=self.gaps and "gaps" not in left_out,
            input_transactions=tuple(t for t in self.input_transactions if f"t{t.index}" not in left_out),
            jitter_seconds=0.0 if "jitter" in left_out else self.jitter_seconds,
            markers_seconds=0.0 if "markers" in left_out else self.markers_seconds,
            nodes=1 if "nodes" in left_out else self.nodes,
            epochs_max=EPOCHS_MAX if "epochs" in left_out else self.epochs_max,
        )

    def restart_seconds(self, worker: str, incarnation: int) -> float:
        """How long a crashed worker stays away."""
        return Random(f"restart/{self.seed}/{worker}/{incarnation}").choice(RESTARTS_SECONDS)

    def starts_late(self, worker: str) -> bool:
        """Whether a worker only comes with its action."""
        first = next((action for action in self.actions if action.subject == worker), None)
        return first is not None and first.act is Act.JOIN

    def lines(self) -> list[str]:
        """What a reader of a trace wants to know first."""
        of_last = f"of the last {self.breaker_window}"
        traits = [
            f"{self.partitions} partitions, {len(self.entries)} records, workers {', '.join(self.workers)}",
            *([f"time-outs of {self.pace}"] if self.pace != 1 else []),
            *([f"{self.nodes} nodes"] if self.nodes > 1 else []),
            f"transactions of version {self.transaction_version}",
            *([f"epochs up to {self.epochs_max}"] if self.epochs_max < EPOCHS_MAX else []),
            *(["inputs with markers"] if self.gaps else []),
            *(["static members"] if self.static else []),
            *([f"messages late by up to {self.jitter_seconds} s"] if self.jitter_seconds else []),
            *([f"markers late by up to {self.markers_seconds} s"] if self.markers_seconds else []),
            *([f"{self.skipped} records truncated before the beginning"] if self.skipped else []),
            *([f"the breaker opens at {self.breaker_bad_max} bad records {of_last}"] if self.breaker_bad_max else []),
            *(["and nobody restarts who was halted by it"] if self.unattended else []),
            *([f"record r{self.poisoned} is poison"] if self.poisoned is not None else []),
        ]
        return [
            f"seed {self.seed}: {'; '.join(traits)}",
            *(f"f{fault.number}: {fault.what}" for fault in self.faults.faults),
            *(str(action) for action in self.actions),
            *(str(one) for one in self.input_transactions),
            *([str(self.loss)] if self.loss is not None else []),
        ]


def _actions(r: Random, workers: tuple[str, ...], partitions: int) -> list[Action]:
    """Workers that come late, leave and come back; a log cleaner; old inputs that are deleted."""
    drawn: list[tuple[float, Act, str]] = []
    for worker in workers:
        at = 0.0
        if worker != workers[0] and r.random() < 0.4:
            at = r.uniform(0.5, FAULTS_UNTIL_SECONDS)
            drawn.append((at, Act.JOIN, worker))
        if r.random() < 0.35:
            left_at = r.uniform(at + 0.2, FAULTS_UNTIL_SECONDS + 1)
            drawn.append((left_at, Act.LEAVE, worker))
            if r.random() < 0.6:
                drawn.append((left_at + r.choice((0.1, 1.0, 3.0)), Act.JOIN, worker))
    drawn += [(r.uniform(1, HEAL_SECONDS), Act.COMPACT, "") for _ in range(r.choice((0, 1, 2)))]
    if r.random() < 0.2:
        drawn.append((r.uniform(2, HEAL_SECONDS), Act.TRUNCATE, str(r.randrange(partitions))))
    return [Action(index, *action) for index, action in enumerate(sorted(drawn))]


def record_of(entry: Entry, offset: int, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> Record:
    """An entry as it lies in its topic."""
    timestamp_ms = EPOCH_MS + entry.timestamp_ms
    return Record(entry.topic, entry.partition, offset, timestamp_ms, entry.key, value, headers)
