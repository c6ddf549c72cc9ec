"""Planting a fault: a function, class or constant of the worker is replaced, in a process of its own.

A seam is the place of what is replaced. Most mutants put code of their own there, which is typed, so a renamed field or
argument shows in mypy. Where the fault lies inside a function, its source text is edited; the text is sought in that
function alone. A seam that is gone fails loudly (`Stale`), when it is planted and in a test.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import NamedTuple, TypeAlias

Owner: TypeAlias = type | ModuleType


class Stale(Exception):
    """What a mutant replaces is not in the worker: the mutant must be rewritten."""


class Seam(NamedTuple):
    """A name of a class or module, and what makes the replacement out of what is there now."""

    owner: Owner
    name: str
    altered: Callable[[object], object]

    def __str__(self) -> str:
        return f"{self.owner.__name__}.{self.name}"

    def replacement(self) -> object:
        """What is to be planted. Raises Stale when it does not fit."""
        there = vars(self.owner).get(self.name)
        if there is None:
            raise Stale(f"there is no {self}")
        by = self.altered(there)
        if isinstance(there, FunctionType):
            if not callable(by):
                raise Stale(f"{self} is a function")
            wanted, given = _parameters(there), _parameters(by)
            if given != wanted:
                raise Stale(f"{self} takes ({', '.join(wanted)}), not ({', '.join(given)})")
        elif isinstance(there, property) != isinstance(by, property):
            raise Stale(f"{self} is {type(there).__name__}, not {type(by).__name__}")
        return by


class Mutant(NamedTuple):
    """A planted fault."""

    name: str
    what: str
    seams: tuple[Seam, ...]
    with_loss: bool | None = None
    """Whether it is hunted where a topic is lost, or a part of one; None: in all seeds."""


def replace(owner: Owner, name: str, by: object) -> Seam:
    """Put `by` in the place of a function, property or constant."""
    return Seam(owner, name, lambda _there: by)


def wrap(owner: Owner, name: str, around: Callable[..., object]) -> Seam:
    """Put `around` in the place of a function or class; its first argument is what was there."""

    def altered(there: object) -> object:
        def planted(*args: object, **options: object) -> object:
            return around(there, *args, **options)

        signature = inspect.signature(around)
        planted.__dict__["__signature__"] = signature.replace(parameters=[*signature.parameters.values()][1:])
        return planted

    return Seam(owner, name, altered)


def edit(owner: Owner, name: str, old: str, new: str) -> Seam:
    """Replace text inside a function: `old` must be there exactly once."""

    def altered(there: object) -> object:
        if not isinstance(there, FunctionType):
            raise Stale(f"{owner.__name__}.{name} is no function")
        source = textwrap.dedent(inspect.getsource(there))
        if source.count(old) != 1:
            raise Stale(f"{owner.__name__}.{name} has this text {source.count(old)} times, not once:\n{old}")
        functions: dict[str, object] = {}
        code = compile(source.replace(old, new), f"<mutant of {there.__module__}>", "exec")
        exec(code, there.__globals__, functions)  # noqa: S102 - the source is the worker's, with the fault in it
        return functions[there.__name__]

    return Seam(owner, name, altered)


def plant(mutant: Mutant) -> None:
    """From now on this process runs the worker with the fault. Raises Stale when a seam is gone."""
    for seam in mutant.seams:
        setattr(seam.owner, seam.name, seam.replacement())


def _parameters(function: Callable[..., object]) -> list[str]:
    """Names and kinds of what it takes; defaults may differ, and be what is broken."""
    return [str(one.replace(annotation=one.empty, default=one.empty)) for one in _own_order(function)]


def _own_order(function: Callable[..., object]) -> list[inspect.Parameter]:
    return [*inspect.signature(function).parameters.values()]
