"""Histories are as nasty as they are meant to be: every way a record can end is among them."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from tests.model.run import Model
from tests.property.drafts import RULES, Menu
from tests.simulator.history import Menus, history
from tests.simulator.loop import EPOCH_MS
from tests.simulator.scenario import record_of

CODES = {
    "undecodable",
    "unknown_type",
    "invalid",
    "key_mismatch",
    "wrong_partition",
    "future",
    "too_late",
    "conflict",
}


def _ends(menu: Menu) -> Counter[str]:
    """How the records of some histories end."""
    ends: Counter[str] = Counter()
    for seed in range(60):
        partitions = 1 + seed % 3
        models = [Model(number, partitions, "", RULES[0]) for number in range(partitions)]
        sent: dict[int, str] = {}
        offsets: Counter[tuple[str, int]] = Counter()
        for entry in history(Random(seed), Menus(partitions, 40, menu), EPOCH_MS):
            value, headers = entry.sent(sent, "nothing/0/0")
            place = (entry.topic, entry.partition)
            step = models[entry.partition].feed(record_of(entry, offsets[place], value, headers))
            sent[entry.index] = f"{entry.topic}/{entry.partition}/{offsets[place]}"
            offsets[place] += 1
            ends.update([step.code or min(step.outcomes), *(row["type"] for row in step.eligibility)])
            ends.update(row["type"] for row in step.drift)
            ends.update(str(alert[0]) for alert in step.alerts)
            ends.update(row["movement"] for row in step.movements)
    return ends


def test_histories_have_every_outcome_every_refusal_and_every_movement() -> None:
    ends = _ends(Menu(jumps=True)) + _ends(Menu())
    movements = {"count", "adjust", "transfer", "freeze", "release", "unfreeze", "restock"}
    answers = {"archive.eligible", "archive.revoked", "archive.rejected", "drift.detected", "drift.summary"}
    alerts = {"oversold", "over_allocated", "over_returned", "superseded_shipped"}
    assert {"applied", "duplicate", "stale", *CODES, *movements, *answers, *alerts} <= set(ends)


@pytest.mark.parametrize("jumps", [True, False])
def test_the_same_chance_gives_the_same_history(jumps: bool) -> None:  # noqa: FBT001 -- a parameter of the test
    menus = Menus(3, 30, Menu(jumps=jumps))
    assert history(Random(5), menus, EPOCH_MS) == history(Random(5), menus, EPOCH_MS)
