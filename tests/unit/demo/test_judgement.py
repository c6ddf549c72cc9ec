"""The demo's judgement passes a perfect run, and sees every way in which a run can be wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache

import pytest

from worker.demo.disturbance import Injected, disturb, injected
from worker.demo.judgement import Row, judge
from worker.demo.retail import read_invoices
from worker.demo.scenario import Scenario, scenario_of
from worker.demo.tally import SeenLevel, Tally

NOW_MS = 1_790_000_000_000
Run = tuple[Counter[str], Tally]


@cache
def story() -> tuple[Scenario, Injected]:
    scenario = scenario_of(read_invoices()[:80], now_ms=NOW_MS)
    return scenario, injected(disturb(scenario.events, now_ms=NOW_MS, broken_each=2))


def perfect() -> Run:
    scenario, added = story()
    tally = Tally()
    tally.levels = {
        key: SeenLevel(on_hand, frozen, on_hand - frozen) for key, (on_hand, frozen) in scenario.levels.items()
    }
    tally.eligible = set(scenario.eligible - added.blocked)
    tally.drift = list(scenario.planted)
    tally.dead_letters = Counter(added.broken)
    tally.answers = {str(r.value["event_id"]): scenario.answer_to(r, added.blocked) for r in scenario.requests}
    bad = sum(added.broken.values())
    good = added.records + len(scenario.requests) - added.repeats - bad
    return Counter(applied=good - 5, stale=5, duplicate=added.repeats, dead_lettered=bad), tally


def wrong_rows(run: Run) -> list[Row]:
    return [row for row in judge(*story(), *run) if not row.agrees]


def lose_a_record(run: Run) -> None:
    run[0]["applied"] -= 1


def apply_a_repeat(run: Run) -> None:
    run[0]["duplicate"] -= 1


def miscode_a_dead_letter(run: Run) -> None:
    run[1].dead_letters["invalid"] -= 1
    run[1].dead_letters["undecodable"] += 1


def publish_a_wrong_level(run: Run) -> None:
    key = min(run[1].levels)
    run[1].levels[key] = run[1].levels[key]._replace(frozen=run[1].levels[key].frozen + 1)


def publish_a_level_of_an_unknown_key(run: Run) -> None:
    run[1].levels[min(run[1].levels)._replace(sku="nobody's")] = SeenLevel(1, 0, 1)


def forget_a_level(run: Run) -> None:
    del run[1].levels[min(run[1].levels)]


def swap_an_eligible_order(run: Run) -> None:
    run[1].eligible.remove(min(run[1].eligible))
    run[1].eligible.add(("bath", "order-of-nobody"))


def find_a_drift_elsewhere(run: Run) -> None:
    run[1].drift[0] = run[1].drift[0]._replace(drift=run[1].drift[0].drift - 1)


def answer_wrongly(run: Run) -> None:
    run[1].answers[min(run[1].answers)] = "NOBODY_KNOWS"


def test_a_perfect_run_agrees_in_every_row() -> None:
    assert wrong_rows(perfect()) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lose_a_record,
        apply_a_repeat,
        miscode_a_dead_letter,
        publish_a_wrong_level,
        publish_a_level_of_an_unknown_key,
        forget_a_level,
        swap_an_eligible_order,
        find_a_drift_elsewhere,
        answer_wrongly,
    ],
)
def test_every_kind_of_error_is_seen(spoil: Callable[[Run], None]) -> None:
    run = perfect()
    spoil(run)
    assert wrong_rows(run)
