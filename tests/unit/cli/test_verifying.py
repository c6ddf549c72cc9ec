"""Sharing a verification among processes, and its progress."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

from worker.cli.context import CommandError
from worker.cli.verifying import _ProgressSum, _shares, _take, _VerifyingProcess
from worker.verification.findings import Check, FindingLog
from worker.verification.partition import PartitionReport


def test_partitions_are_shared_by_how_much_is_to_be_read() -> None:
    assert _shares({0: 10, 1: 70, 2: 20, 3: 30}, 2) == [[1], [3, 2, 0]]


def test_no_process_is_without_a_partition() -> None:
    assert _shares({0: 0, 1: 0, 2: 0}, 8) == [[0], [1], [2]]
    assert _shares({0: 0, 1: 0, 2: 0}, 2) == [[0, 2], [1]]


def test_what_single_reads_tell_adds_up() -> None:
    answer: list[int] = []
    advance = _ProgressSum(answer.append)
    for start, position, end in [(0, 4, 10), (0, 10, 10), (0, 10, 10), (5, 7, 9), (5, 9, 9)]:
        advance("topic", 0, start, position, end)
    advance("topic", 1, 0, 3, 3)
    advance("topic", 1, 0, 3, 3)
    assert sum(answer) == 10 + 4 + 3


def test_a_read_from_the_same_place_again_counts_again() -> None:
    answer: list[int] = []
    advance = _ProgressSum(answer.append)
    for position in (4, 10, 4, 10):
        advance("topic", 0, 0, position, 10)
    assert sum(answer) == 20


def child(owed: set[int], *messages: object, code: int = 0) -> _VerifyingProcess:
    """A child that has sent these messages and has ended."""
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    for message in messages:
        sending.send(message)
    sending.close()
    process = context.Process(target=sys.exit, args=(code,))
    process.start()
    process.join()
    return _VerifyingProcess(process, receiving, owed)


def test_progress_and_reports_of_a_child_are_taken() -> None:
    findings = FindingLog(3)
    findings.add(Check.BALANCE, "a/w/k", "is broken")
    telling = child({3, 4}, 70, PartitionReport(3, findings, movements=5))
    answer: list[int] = []
    reports: list[PartitionReport] = []
    _take(telling, reports, answer.append)
    _take(telling, reports, answer.append)
    assert (answer, telling.owed) == ([70], {4})
    assert reports[0].findings.counts == {Check.BALANCE: 1}


def test_a_child_that_fails_ends_the_verification_with_a_sentence() -> None:
    with pytest.raises(CommandError, match="partition 3 could not be read"):
        _take(child({3}, "partition 3 could not be read"), [], print)
    with pytest.raises(CommandError, match="verified partitions 3, 4 ended early, with exit code 9"):
        _take(child({4, 3}, code=9), [], print)
