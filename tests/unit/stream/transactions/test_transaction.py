"""What a writer sends for appended records, to scripted brokers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from aiokafka.errors import InvalidTxnState, KafkaError

from tests.unit.stream.brokers import (
    COMMIT_OFFSETS,
    END,
    KAFKA_4,
    OFFSETS,
    OLD,
    PARTITION,
    PARTITIONS,
    PRODUCE,
    Brokers,
    topics_of,
)
from tests.unit.stream.fakes import CONFIG, Time
from worker.stream import OutputRecord
from worker.stream.errors import StateTaken, StepTimeout
from worker.stream.kafka.reaper import Reaper
from worker.stream.state.positions import FENCE_KEY, JournalEnd
from worker.stream.transactions.transaction import TransactionWriter

HASTY = replace(CONFIG, step_ms_max=200, abort_ms_max=200)
STATE = CONFIG.state_topic
RECORDS = [("out", b"key", b"value", ()), (STATE, b"a", b"1", ()), (STATE, b"b", b"2", ())]


@pytest.fixture
async def reaper() -> AsyncIterator[Reaper]:
    reaper = Reaper()
    yield reaper
    assert await reaper.wait(1.0)


@pytest.fixture
async def writer(brokers: Brokers, reaper: Reaper) -> TransactionWriter:
    writer = TransactionWriter(HASTY, PARTITION, Time().clock, reaper)
    writer._producer._client = brokers
    await writer.start()
    brokers.course.clear()
    return writer


def _ends(brokers: Brokers) -> list[bool]:
    """The transactions that were ended: whether committed."""
    old = brokers.transaction_version == OLD
    return [request._transaction_result if old else request.transaction_result for request in brokers.requests[END]]


async def test_a_commit_gives_the_place_of_the_last_record_of_the_state(
    writer: TransactionWriter, brokers: Brokers
) -> None:
    writer.append(RECORDS)
    assert await writer.commit({"a": 5}) == brokers.base_offset + 1
    writer.append(RECORDS[:1])
    assert await writer.commit({"a": 6}) == -1
    assert _ends(brokers) == [True, True]


async def test_another_writer_to_the_state_is_found_before_the_commit(
    writer: TransactionWriter, brokers: Brokers
) -> None:
    brokers.base_offset = 10
    assert await writer.fence() == 10
    brokers.base_offset = 12  # after the marker of the fence record
    writer.append(RECORDS)
    assert await writer.commit({"a": 5}) == 13
    brokers.base_offset = 16  # a record and a marker are in between
    writer.append(RECORDS)
    with pytest.raises(StateTaken, match="state/3 does not continue at offset 15: it was recreated, or a worker with"):
        await writer.commit({"a": 6})
    assert _ends(brokers) == [True, True]
    await writer.discard()
    assert _ends(brokers) == [True, True, False]


async def test_a_state_that_is_shorter_than_before_was_made_anew(writer: TransactionWriter, brokers: Brokers) -> None:
    brokers.base_offset = 10
    await writer.fence()
    brokers.base_offset = 0
    writer.append(RECORDS)
    with pytest.raises(StateTaken, match="state/3 does not continue at offset 12"):
        await writer.commit({"a": 5})


async def test_an_offset_that_is_not_reported_raises_no_suspicion(writer: TransactionWriter, brokers: Brokers) -> None:
    for brokers.base_offset in (10, -1, 16):
        writer.append(RECORDS)
        await writer.commit({"a": 5})
    assert _ends(brokers) == [True, True, True]
    writer.append(RECORDS)
    brokers.base_offset = 40
    with pytest.raises(StateTaken):
        await writer.commit({"a": 5})


@pytest.mark.parametrize(("ends_at", "begins_at"), [(100, 101), (100, 99), (0, 3)])
async def test_a_journal_that_does_not_go_on_where_it_ended_stops_the_commit(
    writer: TransactionWriter, brokers: Brokers, ends_at: int, begins_at: int
) -> None:
    writer.note_journal_end(JournalEnd(next_offset=ends_at))
    writer.append(RECORDS[:1])
    brokers.base_offset = begins_at
    with pytest.raises(StateTaken, match=f"out/3 does not continue at offset {ends_at}"):
        await writer.commit({"a": 5})


async def test_the_journal_continues_behind_the_marker_of_its_transaction(
    writer: TransactionWriter, brokers: Brokers
) -> None:
    brokers.base_offset = 100
    writer.note_journal_end(JournalEnd(95, 100))
    assert writer.journal_end() == (95, 100)
    writer.append(RECORDS[:1])
    assert writer.journal_end() == (100, 102)
    await writer.commit({"a": 5})
    assert writer.journal_end() == (100, 102)
    writer.append(RECORDS[1:])
    assert writer.journal_end() == (100, 102), "nothing of it is for the journal"


async def test_a_fence_is_a_record_of_the_state_and_nothing_of_the_group(
    writer: TransactionWriter, brokers: Brokers
) -> None:
    assert await writer.fence() == brokers.base_offset
    (produce,) = brokers.requests[PRODUCE]
    ((topic, data),) = topics_of(produce).items()
    assert (topic, FENCE_KEY in data) == (STATE, True)
    assert not brokers.requests[COMMIT_OFFSETS]


async def test_a_fence_without_a_reported_offset_fails(writer: TransactionWriter, brokers: Brokers) -> None:
    brokers.base_offset = -1
    with pytest.raises(KafkaError, match="did not report the offset of the fence record"):
        await writer.fence()


@pytest.mark.parametrize(
    ("brokers", "held", "what"),
    [
        (OLD, PARTITIONS, "beginning a transaction"),
        (OLD, OFFSETS, "beginning a transaction"),
        *(
            (version, held, what)
            for version in (OLD, KAFKA_4)
            for held, what in (
                (PRODUCE, "writing records and offsets"),
                (COMMIT_OFFSETS, "writing records and offsets"),
                (END, "committing"),
            )
        ),
    ],
    indirect=["brokers"],
)
async def test_a_step_has_a_bound_and_what_it_leaves_open_is_aborted(
    writer: TransactionWriter, brokers: Brokers, held: str, what: str
) -> None:
    brokers.next[held].append(asyncio.Event())
    writer.append(RECORDS)
    with pytest.raises(StepTimeout, match=what):
        await writer.commit({"a": 5})
    await writer.discard()
    assert _ends(brokers) == ([True, False] if held == END else [False])


async def test_what_is_not_open_is_not_aborted(writer: TransactionWriter, brokers: Brokers) -> None:
    writer.append(RECORDS)
    await writer.commit({"a": 5})
    writer.append(RECORDS)
    await writer.discard()
    assert _ends(brokers) == [True]


@pytest.mark.parametrize("becomes", [InvalidTxnState, "no answer"])
async def test_who_cannot_abort_leaves_it_to_the_successor(
    writer: TransactionWriter, brokers: Brokers, reaper: Reaper, becomes: type[KafkaError] | str
) -> None:
    writer.append([OutputRecord(STATE, b"key", b"value")])
    brokers.next[PRODUCE].append(InvalidTxnState)
    with pytest.raises(InvalidTxnState):
        await writer.commit({})
    brokers.next[END].append(asyncio.Event() if isinstance(becomes, str) else becomes)
    await writer.discard()
    assert await reaper.wait(1.0)
    assert brokers.course[-1] == "close"
