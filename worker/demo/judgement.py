"""What was injected against what was found: the demo passes only if every row agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from worker.demo.disturbance import Injected
from worker.demo.scenario import Scenario
from worker.demo.shelves import ShelfLevel
from worker.demo.tally import SeenLevel, Tally


@dataclass(frozen=True)
class Row:
    """A comparison of injected and found. `where`: an example of a difference."""

    what: str
    injected: int
    found: int
    where: str = ""

    @property
    def agrees(self) -> bool:
        """Return whether it was found as injected."""
        return self.injected == self.found and not self.where


def judge(scenario: Scenario, injected: Injected, outcomes: Mapping[str, int], tally: Tally) -> list[Row]:
    """Compare everything that the scenario knows with what came out. `outcomes`: input records by outcome."""
    sent = injected.records + len(scenario.requests)
    bad = sum(injected.broken.values())
    good = outcomes.get("applied", 0) + outcomes.get("stale", 0)
    rows = [
        Row("good events → applied, or nothing new in them", sent - injected.repeats - bad, good),
        Row("repeated events → duplicates", injected.repeats, outcomes.get("duplicate", 0)),
    ]
    rows += [
        Row(f"broken records → dead letters, {code}", injected.broken.get(code, 0), tally.dead_letters[code])
        for code in sorted({*injected.broken, *tally.dead_letters})
    ]
    rows += [_drift(scenario, tally, "on_hand", "units lost → drift found by the daily counts")]
    rows += [_drift(scenario, tally, "reserved", "wrong reservations → drift in reserved")]
    rows += [_levels(scenario, tally), _eligible(scenario, injected, tally), _answers(scenario, injected, tally)]
    return rows


def _drift(scenario: Scenario, tally: Tally, measure: str, what: str) -> Row:
    planted = Counter(drift for drift in scenario.planted if drift.measure == measure)
    found = Counter(drift for drift in tally.drift if drift.measure == measure)
    differing = [*(planted - found), *(found - planted)]
    return Row(what, planted.total(), found.total(), f"{differing[0]}" if differing else "")


def _levels(scenario: Scenario, tally: Tally) -> Row:
    """Every level, against the scenario's own arithmetic."""
    expected = {key: _seen(level) for key, level in scenario.levels.items()}
    same = sum(tally.levels.get(key) == level for key, level in expected.items())
    differing = [key for key in {**expected, **tally.levels} if tally.levels.get(key) != expected.get(key)]
    example = min(differing, default=None)
    where = f"{'/'.join(example)}: {expected.get(example)} but {tally.levels.get(example)}" if example else ""
    return Row("levels by plain arithmetic → published levels", len(expected), same, where)


def _seen(level: ShelfLevel) -> SeenLevel:
    return SeenLevel(level.on_hand, level.frozen, level.on_hand - level.frozen)


def _eligible(scenario: Scenario, injected: Injected, tally: Tally) -> Row:
    expected = scenario.eligible - injected.blocked
    differing = sorted(expected ^ tally.eligible)
    where = f"{'/'.join(differing[0])}" if differing else ""
    return Row("finished orders → may be archived", len(expected), len(tally.eligible), where)


def _answers(scenario: Scenario, injected: Injected, tally: Tally) -> Row:
    expected = {
        str(request.value["event_id"]): scenario.answer_to(request, injected.blocked) for request in scenario.requests
    }
    differing = sorted(
        cause for cause in {**expected, **tally.answers} if expected.get(cause) != tally.answers.get(cause)
    )
    where = f"{differing[0]}: {expected.get(differing[0])} but {tally.answers.get(differing[0])}" if differing else ""
    right = sum(tally.answers.get(cause) == answer for cause, answer in expected.items())
    return Row("archive requests → answers as foretold", len(expected), right, where)
