"""The verification of one partition: what is read when, and again if the system moved on meanwhile.

A round reads, in this order: the group's offsets, the state, levels, statuses, dead letters, the journal. The input
positions in the state are the *cut*: outputs of later inputs are left out (`worker.verification.sources`). Each output
is read to the end that it has after the state was read. If a transaction is open there, the read waits for its end.

While the system runs, a round may find a difference that is none: it read a compacted topic during a compaction, or
before all markers of a transaction were written. So a round with a difference is repeated, at most five rounds in all,
and only what the last round finds is reported. The journal is read once: a round continues where the one before met its
cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from schemas.topics import LEDGER, Topic
from worker.domain.views import OrderView
from worker.inspection.belonging import Belonging, JournalSeen
from worker.inspection.cluster import Cluster
from worker.inspection.state_reader import ALL, NewProcessor, StateAtOffset, StateUnreadable, read_cut, read_state
from worker.inspection.topic_reader import PartitionBounds, TakeRecords, TopicReader
from worker.stream.partitioning import partition_of
from worker.stream.start import guards as guarded
from worker.stream.start.guards import Guards
from worker.verification.accounting import DeadLetterCount, InputFacts, check_input
from worker.verification.findings import Check, FindingLog
from worker.verification.levels import LastLevels
from worker.verification.movements import Journal
from worker.verification.order_statuses import Statuses
from worker.verification.sources import Cut, unknown_sources
from worker.verification.stock_sums import Balance, StockKey, compare_stock

TOPICS_READ = (Topic.STATE, Topic.LEVELS, Topic.STATUS, Topic.DEAD_LETTERS, Topic.MOVEMENTS)
"""Every round reads all of these, the last one from where the round before met its cut."""

ROUNDS_MAX = 5
SETTLE_SECONDS = 0.5
"""How long a system must stand still for its differences to count without another round: longer than markers take to be
written.
"""


@dataclass(frozen=True, slots=True)
class VerifiedSystem:
    """The system that is verified: its group, its topics by full name, their partition count, and what restores its
    state.
    """

    app_id: str
    prefix: str
    partition_count: int
    new_processor: NewProcessor

    def topic(self, topic: Topic) -> str:
        """The full name of a topic."""
        return f"{self.prefix}{topic.value}"


@dataclass(slots=True)
class PartitionReport:
    """The report on a partition: the numbers read, and the findings.

    `unread`: input offsets that the state has not reached yet, which is no fault. `unsettled`: keys and orders that
    changed faster than they could be read, and were not judged.
    """

    partition: int
    findings: FindingLog
    rounds: int = 1
    orders: int = 0
    stock_keys: int = 0
    movements: int = 0
    dead_letters: int = 0
    unread: int = 0
    unsettled: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Round:
    """The connections and names that a round reads with."""

    cluster: Cluster
    reader: TopicReader
    system: VerifiedSystem
    partition: int

    async def bounds(self, topic: Topic) -> PartitionBounds:
        return await self.reader.bounds(self.system.topic(topic), self.partition)

    async def read_to_end(self, topic: Topic, take: TakeRecords, start: int = 0) -> int:
        """Read all there is from `start` on, open transactions included. Returns the end."""
        bounds = await self.bounds(topic)
        first = max(start, bounds.start)  # records may have been deleted, which `_check_kept` reports
        await self.reader.read(self.system.topic(topic), self.partition, start=first, end=bounds.end, take=take)
        return bounds.end

    async def committed(self) -> dict[str, int]:
        """Read the group's committed offsets of this partition, by topic."""
        offsets = await self.cluster.committed(self.system.app_id)
        return {topic: offset for (topic, partition), offset in offsets.items() if partition == self.partition}

    async def stamp(self) -> tuple[PartitionBounds, dict[str, int]]:
        """Return numbers that change whenever the system moves."""
        return await self.bounds(Topic.STATE), await self.committed()


async def verify_partition(
    cluster: Cluster, reader: TopicReader, system: VerifiedSystem, partition: int
) -> PartitionReport:
    """Verify one partition. Raises ReadStalled, ClusterError or an error of Kafka when it cannot be read."""
    reading = _Round(cluster, reader, system, partition)
    journal = Journal(system.topic(Topic.MOVEMENTS), partition)
    for number in range(1, ROUNDS_MAX + 1):
        stamp = await reading.stamp()
        report = await _run_round(reading, journal)
        report.rounds = number
        if not report.findings and not report.unsettled:
            break
        await asyncio.sleep(SETTLE_SECONDS)
        if await reading.stamp() == stamp:
            break
    await _check_kept(reading, report.findings)
    report.findings.extend(journal.findings)
    return report


async def _run_round(reading: _Round, journal: Journal) -> PartitionReport:
    findings = FindingLog(reading.partition)
    report = PartitionReport(reading.partition, findings)
    system, partition = reading.system, reading.partition
    committed_before = await reading.committed()
    # The dead letters before this end were committed before the state was read, so the state has counted them.
    sure_end = (await reading.bounds(Topic.DEAD_LETTERS)).stable_end
    try:
        state = await read_state(reading.reader, system.topic(Topic.STATE), partition, system.new_processor)
    except StateUnreadable as error:
        findings.add(
            Check.FORMAT,
            system.topic(Topic.STATE),
            f"the partition was not judged, as its state cannot be read: {error}",
        )
        return report
    committed_after = await reading.committed()
    _check_format(system, state, findings)
    cut = state.cut
    # `topics republish` writes levels and statuses from the state. Their source is the state topic, and all of it
    # counts as read.
    published = {**cut, system.topic(Topic.STATE): ALL}

    levels = LastLevels(system.topic(Topic.LEVELS), partition, published)
    open_units: dict[StockKey, int] = {}
    statuses = Statuses(system.topic(Topic.STATUS), partition, published, _summing(state.ledger.orders(), open_units))
    dead_letters = DeadLetterCount(system.topic(Topic.DEAD_LETTERS), partition, cut, sure_end)
    await reading.read_to_end(Topic.LEVELS, levels.take)
    await reading.read_to_end(Topic.STATUS, statuses.take)
    await reading.read_to_end(Topic.DEAD_LETTERS, dead_letters.take)
    journal.start(cut)
    journal.end(await reading.read_to_end(Topic.MOVEMENTS, journal.take, journal.next_offset))

    report.unread = await _check_inputs(reading, state, committed_before, committed_after, findings)
    dead_letters.check(
        sum(position.dead_lettered + position.dead_lettered_before for position in state.engine.positions.values())
    )
    await _check_belonging(reading, state, journal, committed_before, findings)
    report.stock_keys = _check_stock(journal, levels, state, open_units, findings)
    statuses.conclude(state.ledger.order_of)
    _check_placement(system, statuses, levels, journal, findings)
    for taken in (levels, statuses, dead_letters):
        findings.extend(taken.findings)
    # The newest sources after the cut: a later state must have read them.
    beyond = _newest(levels.beyond, statuses.beyond, dead_letters.beyond, journal.beyond)
    await _check_sources(reading, state, beyond, findings)

    report.orders, report.movements, report.dead_letters = statuses.orders, journal.movements, dead_letters.count_max
    report.unsettled = len(levels.unsettled()) + len(statuses.unsettled())
    report.outcomes = _outcomes(state)
    return report


def _check_format(system: VerifiedSystem, state: StateAtOffset, findings: FindingLog) -> None:
    subject = system.topic(Topic.STATE)
    if state.engine.partition_count is None and (state.engine.positions or state.records):
        findings.add(Check.FORMAT, subject, "the state has not recorded the partition count it was built with")
    elif state.engine.partition_count not in (None, system.partition_count):
        count = state.engine.partition_count
        message = f"the state was built with {count} partitions, but the topics have {system.partition_count}"
        findings.add(Check.FORMAT, subject, message)


async def _check_inputs(
    reading: _Round,
    state: StateAtOffset,
    committed_before: dict[str, int],
    committed_after: dict[str, int],
    findings: FindingLog,
) -> int:
    """Check all input topics. Returns how many of their offsets the state has not reached."""
    unread = 0
    for topic in LEDGER.inputs:
        name = reading.system.topic(topic)
        facts = InputFacts(
            topic=name,
            position=state.engine.positions.get(name),
            committed_before=committed_before.get(name),
            committed_after=committed_after.get(name),
        )
        check_input(facts, findings)
        next_offset = 0 if facts.position is None else facts.position.next_offset
        bounds = await reading.bounds(topic)
        unread += max(0, bounds.stable_end - max(bounds.start, next_offset))
    return unread


async def _check_belonging(
    reading: _Round, state: StateAtOffset, journal: Journal, committed: dict[str, int], findings: FindingLog
) -> None:
    system = reading.system
    inputs = tuple(system.topic(topic) for topic in LEDGER.inputs)
    guards = Guards(reading.partition, inputs, journal.topic, system.topic(Topic.STATE))
    ids = await reading.cluster.ids([*inputs, journal.topic, system.topic(Topic.STATE)])
    # Asked for after the journal was read: by then the marker of the state's transaction is written.
    bounds = await reading.bounds(Topic.MOVEMENTS)
    seen = JournalSeen(guarded.Bounds(bounds.start, bounds.end), journal.last_offset)
    group_offsets = {topic: offset for topic, offset in committed.items() if topic in inputs}
    belonging = Belonging(reading.reader, guards, ids)
    for breach in await belonging.breaches(state.engine, seen, state.ledger.state_records, group_offsets):
        findings.add(Check.TOPICS, breach.topic, breach.sentence)


def _summing(orders: Iterable[OrderView], open_units: dict[StockKey, int]) -> Iterator[OrderView]:
    """Pass orders on, and add up their open units by stock key too, because decoding them twice would be slow."""
    for order in orders:
        for _, warehouse_id, sku, still_open, _, _ in order.units:
            if still_open:
                key = (order.account_id, warehouse_id, sku)
                open_units[key] = open_units.get(key, 0) + still_open
        yield order


def _check_stock(
    journal: Journal, levels: LastLevels, state: StateAtOffset, open_units: dict[StockKey, int], findings: FindingLog
) -> int:
    in_state = {
        (view.account_id, view.warehouse_id, view.sku): Balance(view.on_hand, view.frozen)
        for view in state.ledger.levels()
    }
    return compare_stock(journal.stocks(), levels.stocks, in_state, open_units, levels.unsettled(), findings)


def _check_placement(
    system: VerifiedSystem, statuses: Statuses, levels: LastLevels, journal: Journal, findings: FindingLog
) -> None:
    accounts_by_topic: tuple[tuple[str, Iterable[str]], ...] = (
        (levels.topic, (key[0] for key in levels.stocks)),
        (statuses.topic, statuses.accounts()),
        (journal.topic, (key[0] for key in journal.stocks())),
    )
    for topic, accounts in accounts_by_topic:
        for account_id in sorted(set(accounts)):
            own = partition_of(account_id, system.partition_count)
            if own != findings.partition:
                message = (
                    f"account {account_id} belongs to partition {own}, but has records in {topic}/{findings.partition}"
                )
                findings.add(Check.PLACEMENT, account_id, message)


async def _check_sources(reading: _Round, state: StateAtOffset, beyond: Cut, findings: FindingLog) -> None:
    if not beyond:
        return
    topic = reading.system.topic(Topic.STATE)
    later = await read_cut(reading.reader, topic, reading.partition, state.end) or state.cut
    for source, offset, next_offset in unknown_sources(beyond, later):
        message = (
            f"there are outputs of {source}/{reading.partition}/{offset}, but the state's next offset is {next_offset}"
        )
        findings.add(Check.UNKNOWN_SOURCE, source, message)


async def _check_kept(reading: _Round, findings: FindingLog) -> None:
    for topic in (Topic.MOVEMENTS, Topic.DEAD_LETTERS):
        start = (await reading.bounds(topic)).start
        if start > 0:
            name = reading.system.topic(topic)
            findings.add(
                Check.DELETED, name, f"its records before offset {start} were deleted, so sums and counts cannot agree"
            )


def _newest(*parts: Cut) -> Cut:
    """The greatest offset of each topic."""
    newest: dict[str, int] = {}
    for part in parts:
        for topic, offset in part.items():
            newest[topic] = max(offset, newest.get(topic, -1))
    return newest


def _outcomes(state: StateAtOffset) -> dict[str, int]:
    names = ("applied", "duplicate", "stale", "dead_lettered", "gaps")
    return {name: sum(getattr(position, name) for position in state.engine.positions.values()) for name in names}
