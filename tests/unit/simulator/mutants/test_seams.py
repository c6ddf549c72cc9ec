"""Each planted fault fits the worker as it is, and what no longer fits is rejected."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.simulator.mutants.catalogue import BY_NAME, MUTANTS
from tests.simulator.mutants.seams import Mutant, Seam, Stale, edit, plant, replace, wrap


class Worker:
    """Something that can be broken."""

    bound = 3

    def work(self, units: int) -> int:
        return units + 1

    @property
    def limit(self) -> int:
        return self.bound


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Callable[[Seam], Worker]:
    """A worker with one seam planted, which is undone after the test."""

    def break_at(seam: Seam) -> Worker:
        monkeypatch.setattr(seam.owner, seam.name, vars(seam.owner)[seam.name])
        plant(Mutant("broken", "Broken.", (seam,)))
        return Worker()

    return break_at


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_every_seam_of_a_mutant_is_in_the_worker(mutant: Mutant) -> None:
    assert mutant.seams
    for seam in mutant.seams:
        assert seam.replacement() is not vars(seam.owner)[seam.name]


def test_mutants_have_names_of_their_own() -> None:
    assert len(BY_NAME) == len(MUTANTS)


def test_a_replaced_function_runs_instead(broken: Callable[[Seam], Worker]) -> None:
    def work(self: Worker, units: int) -> int:
        return units * self.bound

    assert broken(replace(Worker, "work", work)).work(5) == 15


def test_a_wrapped_function_is_given_the_original(broken: Callable[[Seam], Worker]) -> None:
    def work(original: Callable[..., int], self: Worker, units: int) -> int:
        return original(self, units) * 10

    assert broken(wrap(Worker, "work", work)).work(5) == 60


def test_an_edited_function_runs_its_new_text(broken: Callable[[Seam], Worker]) -> None:
    assert broken(edit(Worker, "work", "units + 1", "units - 1")).work(5) == 4


def test_a_constant_and_a_property_can_be_replaced(broken: Callable[[Seam], Worker]) -> None:
    assert broken(replace(Worker, "bound", 7)).limit == 7
    assert broken(replace(Worker, "limit", property(lambda _: 9))).limit == 9


@pytest.mark.parametrize(
    ("seam", "reason"),
    [
        (replace(Worker, "rest", None), "there is no Worker.rest"),
        (replace(Worker, "work", 3), "Worker.work is a function"),
        (replace(Worker, "work", lambda self: self), r"takes \(self, units\), not \(self\)"),
        (wrap(Worker, "work", lambda _, self: self), r"takes \(self, units\), not \(self\)"),
        (replace(Worker, "limit", 3), "Worker.limit is property, not int"),
        (edit(Worker, "work", "units + 2", ""), "has this text 0 times"),
        (edit(Worker, "work", "units", ""), "has this text 2 times"),
        (edit(Worker, "bound", "3", "4"), "Worker.bound is no function"),
    ],
)
def test_a_seam_that_is_gone_is_rejected(seam: Seam, reason: str) -> None:
    with pytest.raises(Stale, match=reason):
        plant(Mutant("stale", "Stale.", (seam,)))
