"""Comparing the four records of a key's stock: journal, level, state, and the open units of the orders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.encoding import key_of
from worker.verification.findings import Check, FindingLog

StockKey = tuple[str, str, str]
"""Account, warehouse, SKU."""


class Balance(NamedTuple):
    """A key's stock in units, from one of the four; `on_hand` None: never counted."""

    on_hand: int | None = None
    frozen: int = 0


NOTHING = Balance()


def path_of(parts: Iterable[str]) -> str:
    """The parts of a longer key as its text: contract section 1."""
    return key_of(*parts).decode()


def compare_stock(
    journal: Mapping[StockKey, Balance],
    levels: Mapping[StockKey, Balance],
    state: Mapping[StockKey, Balance],
    open_units: Mapping[StockKey, int],
    unsettled: frozenset[StockKey] | set[StockKey],
    findings: FindingLog,
) -> int:
    """Compare all keys; the levels of `unsettled` ones are newer than the cut and left out. Returns the number of keys.

    A missing key counts as nothing frozen and never counted. The journal has 0 for "never counted".
    """
    keys = set(journal) | set(levels) | set(state) | set(open_units)
    for key in sorted(keys):
        in_journal, in_state = journal.get(key, NOTHING), state.get(key, NOTHING)
        in_level = in_state if key in unsettled else levels.get(key, NOTHING)
        frozen = {
            "the journal's sum": in_journal.frozen,
            "the level": in_level.frozen,
            "the state": in_state.frozen,
            "the open units of its orders": open_units.get(key, 0),
        }
        on_hand = {
            "the journal's sum": in_journal.on_hand or 0,
            "the level": in_level.on_hand,
            "the state": in_state.on_hand,
        }
        for message in _differences("frozen", frozen), _differences("on_hand", on_hand):
            if message:
                findings.add(Check.STOCK, path_of(key), message)
    return len(keys)


def _differences(measure: str, found: Mapping[str, int | None]) -> str:
    values = set(found.values())
    # The journal writes 0 for null, the others must agree on which of the two it is.
    if len(values) == 1 or (
        measure == "on_hand" and values == {0, None} and found["the level"] is found["the state"] is None
    ):
        return ""
    return f"{measure} is " + ", ".join(f"{_shown(value)} in {place}" for place, value in found.items())


def _shown(value: int | None) -> str:
    return "null" if value is None else str(value)
