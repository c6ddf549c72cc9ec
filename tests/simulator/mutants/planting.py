"""Planting a fault: a change of source text, made while the module is imported, in a process of its own.

It fails loudly when the text is not there (any more). This module imports nothing of the worker: what it changes must
not have been imported before.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import NamedTuple


class Edit(NamedTuple):
    """A change of a module's source: `old` must be there exactly once."""

    module: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A planted fault."""

    name: str
    what: str
    edits: tuple[Edit, ...]


class Stale(Exception):
    """The text that a mutant changes is not in the source: the mutant must be rewritten."""


def mutated(source: str, edits: Sequence[Edit]) -> str:
    """The source with all edits. Raises Stale."""
    for edit in edits:
        if source.count(edit.old) != 1:
            raise Stale(f"{edit.module} has this text {source.count(edit.old)} times, not once:\n{edit.old}")
        source = source.replace(edit.old, edit.new)
    return source


def install(mutant: Mutant) -> None:
    """From now on the modules of a mutant are imported in its form. Raises Stale when its text is not there."""
    by_module: dict[str, list[Edit]] = {}
    for edit in mutant.edits:
        if edit.module in sys.modules:
            raise RuntimeError(f"{edit.module} has been imported already")
        by_module.setdefault(edit.module, []).append(edit)
    sys.meta_path.insert(0, _Finder(by_module))
    for module in by_module:
        importlib.import_module(module)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, edits: dict[str, list[Edit]]) -> None:
        self._edits = edits

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target) if fullname in self._edits else None
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(fullname, spec.origin, self._edits[fullname])
        return spec


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, fullname: str, path: str, edits: Sequence[Edit]) -> None:
        super().__init__(fullname, path)
        self._edits = edits

    def get_code(self, fullname: str) -> types.CodeType:
        source = self.get_data(self.get_filename(fullname)).decode()
        code: types.CodeType = compile(mutated(source, self._edits), f"<mutant of {fullname}>", "exec")
        return code
