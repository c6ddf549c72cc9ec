"""The judgement: the system's outputs, compared with those of one undisturbed worker on the same inputs.

Nothing here asks how the system worked: it counts what lies in the topics. The calm run has topics of its own, into
which the inputs are copied, each with its partition, its offset and its timestamp (their producers send no headers).
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from schemas.topics import LEDGER, Topic
from tests.brokers import unique_names
from tests.chaos.fleet import new_fleet
from tests.e2e.end_state import EndState, end_state_of
from tests.e2e.system import Message, System

_EXAMPLES_MAX: Final = 5
_APPENDED: Final = (Topic.MOVEMENTS, Topic.ELIGIBILITY, Topic.DRIFT, Topic.ALERTS)
"""Outputs of which every record stays."""
_EFFECTS: Final[Mapping[str, tuple[str, int]]] = {
    "freeze": ("frozen", 1),
    "unfreeze": ("frozen", -1),
    "release": ("released", 1),
    "restock": ("restocked", 1),
}
"""What the movements of an order come to in the end, in whatever order its events were read."""

Effect = tuple[str, str, str, str, str]
"""Account, order, warehouse, SKU, and what happened to it."""


@dataclass
class Books:
    """What lies in a system's topics, when all has been processed."""

    inputs: int
    outcomes: Counter[str]
    """By `applied`, `duplicate`, `stale` and `dead_lettered`."""
    effects: Counter[Effect] = field(default_factory=Counter)
    """Units, by what happened to them."""
    repeated: int = 0
    """Outputs that were written once more than they should."""
    movements: int = 0
    end: EndState = field(default_factory=EndState)
    findings: list[str] = field(default_factory=list)
    """Of `stockfreeze verify`."""


@dataclass
class Verdict:
    """What differs between the system and the calm run."""

    books: Books
    lost: int = 0
    """Acknowledged inputs that are not there or have no outcome, and (order, SKU, effect)s that lack units."""
    doubled: int = 0
    """Inputs with two outcomes, outputs written twice, and (order, SKU, effect)s with units too many."""
    different: int = 0
    """Levels, statuses, eligibilities and dead letters that do not end as in the calm run."""
    examples: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        """Whether nothing was found."""
        return not (self.lost or self.doubled or self.different or self.books.findings)


async def judge(system: System, folder: Path, *, sent: int, copies: int, note: Callable[[str], None]) -> Verdict:
    """Compare a system that has processed everything with a calm run.

    `sent`: how many inputs the brokers have acknowledged. `copies`: the topics' replication factor.
    """
    note("verify")
    found = await books_of(system)
    note(f"a calm run of the same {found.inputs} records by one worker")
    expected = await books_of(await _calm_run(system, folder, copies))
    verdict = compared(found, expected)
    verdict.lost += max(0, sent - found.inputs)
    return verdict


async def books_of(system: System) -> Books:
    """Read all of a system's topics. Raises AssertionError when `verify` cannot judge it."""
    result = await system.stockfreeze("verify", "--json")
    assert result.code in (0, 1), result
    verified = result.json()
    outcomes = Counter({name: count for name, count in verified["records"].items() if name != "gaps"})
    inputs = sum([len(await system.read(topic)) for topic in LEDGER.inputs])
    books = Books(inputs, outcomes, findings=[json.dumps(finding) for finding in verified["findings"]])
    if result.code == 1 and not books.findings:
        books.findings.append(f"verify ended with 1: {verified['found']}")
    for topic in _APPENDED:
        records = await system.read(topic)
        values: list[dict[str, Any]] = [json.loads(record.value) for record in records if record.value is not None]
        books.repeated += len(values) - len({value["event_id"] for value in values})
        if topic is Topic.MOVEMENTS:
            books.movements = len(values)
            _add_effects(values, books.effects)
        await asyncio.sleep(0)
    books.end = await end_state_of(system)
    prefix = system.names.prefix
    books.end.dead_letters = Counter(
        {(place.removeprefix(prefix), code): count for (place, code), count in books.end.dead_letters.items()}
    )
    return books


def compared(found: Books, expected: Books) -> Verdict:
    """Compare what was found with what should be."""
    verdict = Verdict(found)
    outcomes = found.outcomes.total()
    verdict.lost += max(0, found.inputs - outcomes)
    verdict.doubled += max(0, outcomes - found.inputs) + found.repeated
    for effect in found.effects.keys() | expected.effects.keys():
        missing = expected.effects[effect] - found.effects[effect]
        verdict.lost += missing > 0
        verdict.doubled += missing < 0
        if missing:
            verdict.examples.append(f"{effect}: {found.effects[effect]} units instead of {expected.effects[effect]}")
    duplicates = abs(found.outcomes["duplicate"] - expected.outcomes["duplicate"])
    if duplicates:
        verdict.examples.append(f"duplicates: {found.outcomes} instead of {expected.outcomes}")
    verdict.different += duplicates
    for name in ("levels", "statuses"):
        ours, theirs = getattr(found.end, name), getattr(expected.end, name)
        differing = [key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)]
        verdict.different += len(differing)
        verdict.examples += [f"{name}: {ours.get(key)} instead of {theirs.get(key)}" for key in differing]
    eligible = found.end.eligible ^ expected.end.eligible
    dead_letters = (found.end.dead_letters - expected.end.dead_letters) | (
        expected.end.dead_letters - found.end.dead_letters
    )
    verdict.different += len(eligible) + len(dead_letters)
    verdict.examples += [f"eligible in one of them: {order}" for order in eligible]
    verdict.examples += [f"a dead letter in one of them: {place}" for place in dead_letters]
    del verdict.examples[_EXAMPLES_MAX:]
    return verdict


async def _calm_run(system: System, folder: Path, copies: int) -> System:
    """Have one worker process a copy of the inputs, undisturbed; gives its system."""
    calm = System(system.broker, unique_names(), system.partitions, system.wait_seconds_max)
    result = await calm.stockfreeze("topics", "create", REPLICATION_FACTOR=str(copies))
    assert result.code == 0, result
    for topic in LEDGER.inputs:
        await calm.send(
            Message(topic, record.key, record.value, partition=record.partition, timestamp_ms=record.timestamp)
            for record in await system.read(topic)
        )
    settings = {
        "BOOTSTRAP_SERVERS": system.broker.bootstrap_servers,
        "APP_ID": calm.names.app_id,
        "TOPIC_PREFIX": calm.names.prefix,
        "LOG_FORMAT": "json",
    }
    calm_folder = folder / "calm"
    calm_folder.mkdir()
    with new_fleet(calm_folder, settings, calm.partitions) as fleet:
        fleet.slots[0].start()
        await fleet.whole()
        await calm.settled()
        await fleet.slots[0].process.terminate()
    return calm


def _add_effects(movements: list[dict[str, Any]], effects: Counter[Effect]) -> None:
    for moved in movements:
        effect = _EFFECTS.get(moved["movement"])
        if effect is not None:
            name, sign = effect
            key = moved["account_id"], moved.get("order_id", ""), moved["warehouse_id"], moved["sku"], name
            effects[key] += sign * moved["quantity"]
