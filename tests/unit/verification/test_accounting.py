"""The accounting of a partition: offsets, outcomes, commits and dead letters."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.offline import record
from worker.stream.records import InputRecord
from worker.stream.state.positions import Position
from worker.verification.accounting import DeadLetterCount, InputFacts, check_input, source_of
from worker.verification.findings import EXAMPLES_MAX, Check, FindingLog, merged

SOUND = Position(next_offset=10, applied=5, duplicate=1, stale=1, dead_lettered=1, gaps=2)


def facts(**changes: object) -> InputFacts:
    sound = {
        "topic": "orders",
        "position": SOUND,
        "committed_before": 10,
        "committed_after": 10,
    }
    return InputFacts(**(sound | changes))  # type: ignore[arg-type]  # the tests' own keywords


def checks(of: InputFacts) -> list[Check]:
    findings = FindingLog(0)
    check_input(of, findings)
    return [finding.check for finding in findings.examples]


def test_a_partition_whose_offsets_are_all_accounted_for_has_no_findings() -> None:
    assert checks(facts()) == []


def test_a_partition_that_was_never_read_has_no_findings() -> None:
    assert checks(facts(position=None, committed_before=None, committed_after=None)) == []


def test_a_system_whose_group_the_broker_has_forgotten_has_no_findings() -> None:
    assert checks(facts(committed_before=None, committed_after=None)) == []


def test_a_state_between_two_commits_of_a_running_group_has_no_findings() -> None:
    assert checks(facts(committed_before=8, committed_after=13)) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"position": SOUND._replace(applied=6)}, [Check.ACCOUNTING]),
        ({"committed_before": 11, "committed_after": 11}, [Check.ACCOUNTING]),
        ({"committed_before": 9, "committed_after": 9}, [Check.ACCOUNTING]),
    ],
)
def test_offsets_that_are_not_accounted_for_are_found(changes: dict[str, object], expected: list[Check]) -> None:
    assert checks(facts(**changes)) == expected


def dead_letter(offset: int, source_offset: int, *, replay: bool = False) -> InputRecord:
    headers = [
        ("source-topic", b"orders"),
        ("source-partition", b"0"),
        ("source-offset", str(source_offset).encode()),
    ]
    if replay:
        headers.append(("replay-of", f"orders/0/{source_offset}".encode()))
    return record(Topic.DEAD_LETTERS, 0, offset, b"a", b"x", headers)


def counted(records: list[InputRecord], sure_end: int) -> tuple[int, int]:
    letters = DeadLetterCount(Topic.DEAD_LETTERS, 0, {"orders": 10}, sure_end)
    letters.take(records)
    return letters.count_min, letters.count_max


def test_dead_letters_of_sources_beyond_the_cut_are_not_counted() -> None:
    assert counted([dead_letter(0, 3), dead_letter(1, 12), dead_letter(2, 14)], sure_end=1) == (1, 1)


def test_a_replay_that_was_there_before_the_state_was_read_is_counted() -> None:
    assert counted([dead_letter(0, 3), dead_letter(1, 3, replay=True)], sure_end=2) == (2, 2)


def test_a_replay_that_came_meanwhile_may_be_before_or_after_the_cut() -> None:
    assert counted([dead_letter(0, 3), dead_letter(1, 3, replay=True)], sure_end=1) == (1, 2)


def test_a_replay_before_a_dead_letter_that_is_before_the_cut_is_counted() -> None:
    records = [dead_letter(0, 3), dead_letter(1, 3, replay=True), dead_letter(2, 7)]

    assert counted(records, sure_end=1) == (3, 3)


def test_a_replay_of_what_its_sender_made_up_is_no_finding_of_its_own() -> None:
    letters = DeadLetterCount(Topic.DEAD_LETTERS, 0, {"orders": 10}, 1)

    letters.take([dead_letter(0, 999, replay=True)])

    assert (letters.beyond, letters.count_max, bool(letters.findings)) == ({}, 1, False)


def test_findings_are_all_counted_and_the_first_of_each_kind_kept() -> None:
    findings = FindingLog(0)
    for number in range(EXAMPLES_MAX + 5):
        findings.add(Check.STOCK, f"key {number}", "differs")
    findings.add(Check.BALANCE, "key", "is broken")

    counts, examples = merged([findings, FindingLog(1)])

    assert counts == {"balance": 1, "stock": EXAMPLES_MAX + 5}
    assert [example.check for example in examples] == [Check.BALANCE, *[Check.STOCK] * EXAMPLES_MAX]


def test_of_several_replay_headers_the_first_counts() -> None:
    headers = [("source-topic", b"orders"), ("source-partition", b"0"), ("source-offset", b"7")]
    headers += [("replay-of", b"orders/0/7"), ("replay-of", b"orders/0/8")]
    assert source_of(record("dead", 0, 0, b"a", b"{}", headers), 0).is_replay
