"""Sending dead letters again, on a broker: whatever a record was that could not be applied."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.brokers import Broker, Names
from worker.inspection.dead_letters import DeadLetter, Sender
from worker.inspection.topic_reader import Record, TopicReader

PARTITION = 0


@pytest.fixture
async def sender(broker: Broker) -> AsyncIterator[Sender]:
    async with Sender({"bootstrap_servers": broker.bootstrap_servers}) as sender:
        yield sender


def refused(topic: str, offset: int) -> DeadLetter:
    at = "2026-01-01T00:00:00.000Z"
    id_ = f"{topic}/{PARTITION}/{offset}"
    return DeadLetter(
        id_, "undecodable", "why", topic, PARTITION, offset, at, None, None, PARTITION, offset, at, is_replay=False
    )


def dead(key: bytes | None, value: bytes | None) -> Record:
    return Record("dead", PARTITION, 0, 0, key, value, (("error-code", b"undecodable"), ("own", None)))


async def sent_to(reader: TopicReader, topic: str) -> list[Record]:
    bounds = await reader.bounds(topic, PARTITION)
    records: list[Record] = []
    await reader.read(topic, PARTITION, start=bounds.start, end=bounds.end, take=records.extend)
    return records


async def test_a_record_without_key_and_value_is_sent_again_like_any_other(
    sender: Sender, reader: TopicReader, broker: Broker, names: Names
) -> None:
    topic = f"{names.prefix}in"
    await broker.create_topics([topic], partitions=1)

    assert await sender.replay(refused(topic, 0), dead(b"acme", b"{"))
    assert await sender.replay(refused(topic, 1), dead(None, None))

    records = await sent_to(reader, topic)
    assert [(record.key, record.value) for record in records] == [(b"acme", b"{"), (None, None)]
    assert list(records[1].headers) == [("own", None), ("replay-of", f"{topic}/0/1".encode())]


@pytest.mark.apache
async def test_a_letter_too_large_to_replay_does_not_stop_those_behind_it(
    sender: Sender, reader: TopicReader, broker: Broker, names: Names
) -> None:
    topic = f"{names.prefix}in"
    await broker.create_topics([topic], partitions=1, config={"max.message.bytes": "1000"})

    answer = [
        await sender.replay(refused(topic, number), dead(b"acme", b"x" * size)) is not None
        for number, size in enumerate([1, 1000, 2, 1000, 3])
    ]

    assert answer == [True, False, True, False, True]
    assert [record.value for record in await sent_to(reader, topic)] == [b"x", b"xx", b"xxx"]
