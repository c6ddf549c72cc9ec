"""The judge of the breakers: it wants them to open at the record that is one too many, not before, and not after."""

from __future__ import annotations

import json
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest

from tests.model.reading import ORDERS, partition_of
from tests.simulator.audit.breakers import BREAKER, NOBODY, RETRY, Breakers, Floods, party_of
from tests.simulator.audit.findings import Kind
from tests.simulator.faults.flood import Flood, flood
from tests.simulator.history import ACCOUNTS, Entry, moment
from tests.simulator.loop import EPOCH_MS
from tests.simulator.run import run
from tests.simulator.scenario import Act, Action, Plan
from worker.stream.records import InputRecord

SEEDS = range(600)


class _Judged:
    """A breaker that must open at 2 bad ones of the last 3, and what was found wrong with it."""

    def __init__(self) -> None:
        self.findings: list[str] = []
        self.breakers = Breakers(2, 3, self._find)
        self.breakers.started("w")

    def _find(self, kind: Kind, partition: int, message: str) -> None:
        assert (kind, partition) == (Kind.BREAKER, 0)
        self.findings.append(message)

    def decide(self, ends: str, worker: str = "w") -> None:
        """Records, in one transaction: `b` is a bad one, `g` a good one."""
        for end in ends:
            self.breakers.decided(worker, 0, bad=end == "b")
        self.breakers.committed(worker, 0)

    def halt(self, reason: str = BREAKER) -> None:
        self.breakers.halted("w", 0, reason)


@pytest.mark.parametrize("transactions", [["bb"], ["b", "b"], ["bgb"], ["ggbg", "b"], ["bgg", "bgb"]])
def test_a_breaker_that_opens_at_the_record_that_is_one_too_many_is_right(transactions: list[str]) -> None:
    judged = _Judged()
    for ends in transactions:
        judged.decide(ends)
    judged.halt()
    judged.breakers.check_all()
    assert judged.findings == []


@pytest.mark.parametrize("ends", ["", "b", "gbg", "bggb", "bggbggb"])
def test_a_breaker_that_opens_without_cause_is_found(ends: str) -> None:
    judged = _Judged()
    judged.decide(ends)
    judged.breakers.check_all()
    assert judged.findings == []
    judged.halt()
    assert len(judged.findings) == 1


def test_a_record_decided_after_the_breaker_had_to_open_is_found() -> None:
    judged = _Judged()
    judged.decide("bgbg")
    assert [finding.split(",")[0] for finding in judged.findings] == ["w goes on"]


def test_a_breaker_that_must_have_opened_is_missed_at_the_end() -> None:
    judged = _Judged()
    judged.decide("bb")
    assert judged.findings == []
    judged.breakers.check_all()
    assert [finding.split(",")[0] for finding in judged.findings] == ["w has not halted"]


def test_a_breaker_opens_only_with_what_was_committed() -> None:
    judged = _Judged()
    judged.decide("b")
    judged.breakers.decided("w", 0, bad=True)  # and then its process sleeps: seed 9451
    judged.breakers.check_all()
    assert judged.findings == []
    judged.halt()
    assert len(judged.findings) == 1


def test_who_begins_to_read_anew_counts_anew_and_nobody_counts_for_another() -> None:
    judged = _Judged()
    judged.decide("b")
    judged.breakers.begun("w", 0)
    judged.decide("b")
    judged.breakers.begun("w")
    judged.decide("b")
    judged.breakers.started("w")
    judged.decide("b")
    judged.breakers.started("v")
    judged.decide("b", worker="v")
    judged.breakers.check_all()
    assert judged.findings == []


def test_only_a_new_process_starts_a_halted_partition_again() -> None:
    judged = _Judged()
    judged.decide("g")
    judged.halt("for some other cause")
    judged.breakers.begun("w", 0)
    judged.breakers.begun("w")
    judged.decide("g")
    assert judged.findings == ["w goes on with a partition that it halted"]
    judged.breakers.started("w")
    judged.decide("g")
    assert len(judged.findings) == 1


def _decisions(*parties: str | None, known: str = "ab", flooding: str = "", window: int = 3) -> list[Floods]:
    """What begins and ends with each record; None is a good one."""
    breakers = Breakers(2, window, lambda *_: None)
    breakers.started("w")
    return [
        breakers.decided(
            "w", 0, bad=party is not None, party=party or NOBODY, known=lambda: known, flooding=lambda: flooding
        )
        for party in parties
    ]


def test_a_flood_of_one_account_among_several_begins_once_and_ends() -> None:
    assert _decisions("a", "a", "a", None, None, "a") == [
        Floods(),
        Floods("a"),
        Floods(),
        Floods(),
        Floods(ceased=("a",)),
        Floods(),
    ]
    assert _decisions("a", "a", flooding="a") == [Floods(), Floods()]


def test_what_is_no_flood_of_one_account_among_several_begins_nothing() -> None:
    for parties in (("a", "b"), (NOBODY, NOBODY), ("a", NOBODY), (RETRY, RETRY, "a")):
        assert not any(decision.began for decision in _decisions(*parties))
    assert not any(decision.began for decision in _decisions("a", "a", known="a"))


@pytest.mark.parametrize("bad", [b"{}", b'{"account_id": "bolt"}'])
def test_a_partition_of_several_accounts_goes_on_while_one_floods(bad: bytes, elsewhere: ProcessPoolExecutor) -> None:
    good = {"type": "order.created", "event_id": "g", "account_id": "acme", "order_id": "g"}
    lines = [{"sku": "k", "quantity": 1}]
    value = json.dumps({**good, "occurred_at": moment(EPOCH_MS), "lines": lines}).encode()
    home = partition_of("acme", 2)
    first = Entry(0, 0, 0, ORDERS, home, b"acme", value)
    flood = [Entry(number, 1000 + number, 1000 + number, ORDERS, home, b"bolt", bad) for number in range(1, 7)]
    plan = replace(_flooded(unattended=True), entries=(first, *flood))
    result = elsewhere.submit(run, plan).result()
    assert result.findings == []
    assert result.figures["halts by the breaker"] == 0
    assert result.figures["records left by the breaker"] == 0


def _floods() -> list[Flood]:
    return [drawn for seed in SEEDS if (drawn := flood(seed, (), 2, EPOCH_MS)) is not None]


def _opens(drawn: Flood) -> bool:
    """Whether the breaker of somebody who reads all of it must open."""
    found: list[Kind] = []
    breakers = Breakers(drawn.bad_max, drawn.window, lambda kind, *_: found.append(kind))
    breakers.started("w")
    for entry in drawn.entries:
        record = InputRecord(entry.topic, entry.partition, 0, 0, entry.key, entry.value)
        bad = b"flood" not in (entry.value or b"")
        breakers.decided("w", 0, bad=bad, party=party_of(record, ""), known=lambda: ACCOUNTS)
    breakers.committed("w", 0)
    breakers.check_all()
    return bool(found)


def test_most_floods_open_the_breaker_when_read_without_restart() -> None:
    opened = Counter(map(_opens, _floods()))
    assert opened[True] > opened[False] > 0


def test_floods_are_attended_to_or_not_and_clean_histories_have_none() -> None:
    assert {drawn.unattended for drawn in _floods()} == {True, False}
    plans = [Plan.drawn(seed) for seed in range(200)]
    assert any(plan.unattended for plan in plans)
    assert not any(plan.clean and plan.breaker_bad_max for plan in plans)


def _flooded(*actions: Action, unattended: bool) -> Plan:
    """Five bad records in the partition 0, and a good one behind them in each of two; the breaker opens at three."""
    calm = Plan.drawn(1)
    bad = [Entry(number, 1000 + number, 1000 + number, ORDERS, 0, b"acme", b"{") for number in range(5)]
    late = [Entry(number, 6000, 6000, ORDERS, partition, b"", b"{}") for number, partition in ((5, 0), (6, 1))]
    return replace(
        calm.without(calm.items),
        partitions=2,
        entries=(*bad, *late),
        breaker_bad_max=3,
        breaker_window=4,
        unattended=unattended,
        actions=actions,
    )


def test_an_open_breaker_stops_its_partition_and_no_other(
    elsewhere: ProcessPoolExecutor,
) -> None:
    result = elsewhere.submit(run, _flooded(unattended=True)).result()
    assert result.findings == []
    assert result.figures["halts by the breaker"] == 1
    assert result.figures["records left by the breaker"] == 3


def test_a_restart_counts_from_zero_and_stops_at_the_next_three(
    elsewhere: ProcessPoolExecutor,
) -> None:
    leaves = Action(0, at_seconds=3.0, act=Act.LEAVE, subject="w0")
    comes = Action(1, at_seconds=4.0, act=Act.JOIN, subject="w0")
    result = elsewhere.submit(run, _flooded(leaves, comes, unattended=True)).result()
    assert result.findings == []
    assert result.figures["halts by the breaker"] == 2, "after three, and after the two left and the late one"
    assert result.figures["records left by the breaker"] == 0


def test_an_operator_who_restarts_brings_every_partition_to_its_end(elsewhere: ProcessPoolExecutor) -> None:
    result = elsewhere.submit(run, _flooded(unattended=False)).result()
    assert result.findings == []
    assert result.figures["halts by the breaker"] >= 1
    assert result.figures["records left by the breaker"] == 0
