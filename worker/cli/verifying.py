"""Verifying all partitions of a system: in this process, or in several together where there is much to read.

Verification is bound by the processor, and partitions are independent. So each process verifies some of them, with
connections of its own. It reports over a pipe how many offsets it has read, and each partition's report. Memory does
not grow with the journal, because a process holds one partition at a time.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Final, NamedTuple

from worker.cli.answering import inputs_of
from worker.cli.asking import OpenSystem, ask, open_system
from worker.cli.bars import CountingBar
from worker.cli.context import CommandError
from worker.clock import Clock
from worker.ops.garbage import collect_little
from worker.settings import Settings
from worker.verification.partition import TOPICS_READ, PartitionReport, VerifiedSystem, verify_partition

OFFSETS_PER_PROCESS_MIN: Final = 200_000
"""Offsets that can be read in the time that a process takes to start."""

REPORT_SECONDS: Final = 0.1
WAIT_SECONDS: Final = 0.2

TakeOffsets = Callable[[int], object]
"""Called with the number of further offsets that were read."""


class Group(NamedTuple):
    """The consumer group of APP_ID: whether it has committed offsets of the inputs, else which groups have."""

    id: str
    known: bool
    others: list[str]


async def verify_all(settings: Settings, processes: int | None) -> tuple[list[PartitionReport], Group]:
    """Verify every partition in `processes` (None: as many as processors and work allow). Raises CommandError."""
    async with open_system(settings) as system:
        sizes = await _sizes(system)
        group = await _group(system)
    if processes is None:
        processes = min(os.cpu_count() or 1, sum(sizes.values()) // OFFSETS_PER_PROCESS_MIN)
    with CountingBar("verify", "offsets", sum(sizes.values())) as bar:
        if processes > 1:
            reports = await _in_processes(settings, _shares(sizes, processes), bar.advance)
        else:
            reports = [report async for report in _reports(settings, sorted(sizes), bar.advance)]
    return sorted(reports, key=lambda report: report.partition), group


async def _group(system: OpenSystem) -> Group:
    inputs, app_id = inputs_of(system.settings), system.settings.app_id
    known = any(topic in inputs for topic, _ in await system.cluster.committed(app_id))
    return Group(app_id, known, [] if known else await system.cluster.groups_of(inputs))


async def _sizes(system: OpenSystem) -> dict[int, int]:
    """Count the offsets to be read of each partition."""
    sizes = {}
    for partition in range(system.partition_count):
        bounds = [await system.reader.bounds(system.settings.topic(topic), partition) for topic in TOPICS_READ]
        sizes[partition] = sum(of.end - of.start for of in bounds)
    return sizes


def _shares(sizes: Mapping[int, int], processes: int) -> list[list[int]]:
    """Divide the partitions so that each process has about as much to read, and at least one."""
    shares: list[list[int]] = [[] for _ in range(min(processes, len(sizes)))]
    for partition in sorted(sizes, key=lambda partition: -sizes[partition]):
        min(shares, key=lambda share: (sum(sizes[taken] for taken in share), len(share))).append(partition)
    return shares


async def _reports(
    settings: Settings, partitions: Sequence[int], advanced: TakeOffsets
) -> AsyncIterator[PartitionReport]:
    """Verify partitions, one after the other."""
    async with open_system(settings, _ProgressSum(advanced)) as system:
        verified = VerifiedSystem(
            app_id=settings.app_id,
            prefix=settings.topic_prefix,
            partition_count=system.partition_count,
            new_processor=system.new_processor,
        )
        for partition in partitions:
            yield await verify_partition(system.cluster, system.reader, verified, partition)


class _ProgressSum:
    """Sums up the progress of single reads as the offsets read in all."""

    def __init__(self, advanced: TakeOffsets) -> None:
        self._advanced = advanced
        self._read: tuple[str, int, int, int] | None = None
        self._position = 0

    def __call__(self, topic: str, partition: int, start: int, position: int, end: int) -> None:
        read = topic, partition, start, end
        if read != self._read or position < self._position:
            self._read, self._position = read, start
        self._advanced(position - self._position)
        self._position = position


# Several processes.


class _VerifyingProcess(NamedTuple):
    """A child process, the pipe of its messages, and the partitions whose reports have not come yet."""

    process: BaseProcess
    receiving: Connection
    owed: set[int]


async def _in_processes(
    settings: Settings, shares: Sequence[list[int]], advanced: TakeOffsets
) -> list[PartitionReport]:
    children: list[_VerifyingProcess] = []
    reports: list[PartitionReport] = []
    # Spawned, not forked: this process has threads and a loop.
    context = multiprocessing.get_context("spawn")
    try:
        for share in shares:
            receiving, sending = context.Pipe(duplex=False)
            process = context.Process(target=_verify_share, args=(settings, share, sending), daemon=True)
            with _interrupts_ignored():
                process.start()
            sending.close()  # so that the pipe ends with the child
            children.append(_VerifyingProcess(process, receiving, set(share)))
        while waiting := [child.receiving for child in children if child.owed]:
            ready = await asyncio.to_thread(wait, waiting, WAIT_SECONDS)
            for child in children:
                if child.receiving in ready:
                    _take(child, reports, advanced)
    finally:
        for child in children:
            child.process.terminate()
            child.process.join()
            child.receiving.close()
    return reports


@contextmanager
def _interrupts_ignored() -> Iterator[None]:
    """Ctrl-C reaches all processes of a terminal. One started in this block ignores it, and ends as its parent does."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's alone
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _take(child: _VerifyingProcess, reports: list[PartitionReport], advanced: TakeOffsets) -> None:
    """Take a message of a child. Raises CommandError where it cannot go on."""
    try:
        message = child.receiving.recv()
    except EOFError:
        child.process.join()
        partitions = ", ".join(map(str, sorted(child.owed)))
        raise CommandError(
            f"The process that verified partitions {partitions} ended early, with exit code {child.process.exitcode}."
        ) from None
    match message:
        case int():
            advanced(message)
        case PartitionReport():
            reports.append(message)
            child.owed.discard(message.partition)
        case _:
            raise CommandError(str(message))


def _verify_share(settings: Settings, partitions: Sequence[int], sending: Connection) -> None:
    """Verify partitions in a child process, and send the reports, until all are done or the parent has gone."""
    with suppress(BrokenPipeError):
        try:
            ask(_send_reports(settings, partitions, sending))
        except CommandError as refusal:
            sending.send(refusal.message)


async def _send_reports(settings: Settings, partitions: Sequence[int], sending: Connection) -> None:
    collect_little()
    clock = Clock()
    unsent, sent_at = 0, clock.monotonic()

    def advanced(offsets: int) -> None:
        nonlocal unsent, sent_at
        unsent += offsets
        if clock.monotonic() - sent_at >= REPORT_SECONDS:
            sending.send(unsent)
            unsent, sent_at = 0, clock.monotonic()

    async for report in _reports(settings, partitions, advanced):
        sending.send(unsent)
        unsent = 0
        sending.send(report)
