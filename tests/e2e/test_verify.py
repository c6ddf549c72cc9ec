"""`stockfreeze verify` on a real system: a real worker's output passes, and each corruption of it is found, with its
place.

A corrupted system is a copy of a sound one under another prefix of the same length, so that whatever names a topic in
keys, values and headers goes on naming the copy's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from schemas.encoding import key_of
from schemas.topics import LEDGER, RECORD_BYTES_MAX, Topic
from tests.brokers import unique_names
from tests.e2e.messages import count, order, sub_order
from tests.e2e.system import Message, Record, System
from tests.e2e.worker_process import StartWorker
from worker.stream.state.positions import TOPICS_KEY

pytestmark = pytest.mark.apache

ACCOUNT, WAREHOUSE, SKU = "shop-1", "main", "A"
STOCK = f"{ACCOUNT}/{WAREHOUSE}/{SKU}"

Records = dict[Topic, list[Record]]
Corruption = Callable[[Topic, list[Message]], list[Message]]


async def run_story(system: System, start_worker: StartWorker) -> None:
    """Stock is counted; of three orders one ships, one waits and one is cancelled."""
    worker = start_worker()
    await worker.ready()
    lines = [{"sku": SKU, "quantity": 2, "warehouse_id": WAREHOUSE}]
    await system.send(
        [
            count(ACCOUNT, "c1", WAREHOUSE, {SKU: 10, "B": 5}),
            *(order("created", ACCOUNT, "e1", order_id, lines=lines) for order_id in ("o1", "o2", "o3")),
            sub_order("created", ACCOUNT, "e2", "o1", "s1", warehouse_id=WAREHOUSE, lines=lines),
            sub_order("shipped", ACCOUNT, "e3", "o1", "s1"),
            order("cancelled", ACCOUNT, "e2", "o3"),
            order("created", ACCOUNT, "e1", "o4", lines=[{"sku": "B", "quantity": 0}]),
            Message(Topic.ORDERS, ACCOUNT.encode(), b"bad"),
        ]
    )
    await system.settled()
    assert await worker.terminate() == 0


async def copy_of(system: System, records: Records, corrupt: Corruption) -> System:
    """The system's records under another prefix, corrupted on the way."""
    copy = System(system.broker, unique_names(), system.partitions)
    old, new = system.names.prefix.encode(), copy.names.prefix.encode()
    assert len(old) == len(new)

    def renamed(of: Record, topic: Topic) -> Message:
        key = None if of.key is None else of.key.replace(old, new)
        value = None if of.value is None else of.value.replace(old, new)
        headers = tuple((name, (header or b"").replace(old, new)) for name, header in of.headers)
        return Message(topic, key, value, headers, of.partition, of.timestamp)

    await copy.broker.create_topics([copy.topic(topic) for topic in Topic], partitions=copy.partitions)
    for topic, all_of_topic in records.items():
        # The copy's topics have ids of their own, which its state would hold.
        of_topic = [record for record in all_of_topic if record.key != TOPICS_KEY]
        messages = [renamed(record, topic) for record in of_topic]
        if topic in LEDGER.inputs:
            await copy.send(corrupt(topic, messages))
            continue
        # Where a marker lay, one lies in the copy: the state knows offsets of the journal.
        corrupted = corrupt(topic, messages)
        ends = {(record.partition, record.offset) for record in of_topic}
        last = {
            id(message)
            for record, message in zip(of_topic, messages, strict=True)
            if (record.partition, record.offset + 1) not in ends
        }
        await _send_in_transactions(copy, corrupted, last)
    await copy.commit(await copy.ends())
    return copy


async def _send_in_transactions(copy: System, messages: list[Message], last: set[int]) -> None:
    """Send what lay in transactions; `last` are those that ended one."""
    for partition in range(copy.partitions):
        producer = AIOKafkaProducer(
            bootstrap_servers=copy.broker.bootstrap_servers,
            transactional_id=f"{copy.names.app_id}-copy-{partition}",
            max_request_size=RECORD_BYTES_MAX,
        )
        of_partition = [message for message in messages if message.partition == partition]
        async with producer:
            while of_partition:
                size = next((n for n, each in enumerate(of_partition, 1) if id(each) in last), len(of_partition))
                async with producer.transaction():
                    for message in of_partition[:size]:
                        await producer.send_and_wait(
                            copy.topic(message.topic),
                            message.value,
                            key=message.key,
                            partition=partition,
                            headers=list(message.headers),
                            timestamp_ms=message.timestamp_ms,
                        )
                of_partition = of_partition[size:]


def intact(_: Topic, messages: list[Message]) -> list[Message]:
    return messages


def lost_movement(topic: Topic, messages: list[Message]) -> list[Message]:
    """The freeze of the order that ships: in whatever order its events are taken, a movement of its key follows."""
    return [each for each in messages if not (topic is Topic.MOVEMENTS and _is_first_freeze(each))]


def doubled_movement(topic: Topic, messages: list[Message]) -> list[Message]:
    releases = [each for each in messages if topic is Topic.MOVEMENTS and _is_release(each)]
    return messages + releases


def wrong_level(topic: Topic, messages: list[Message]) -> list[Message]:
    if topic is not Topic.LEVELS:
        return messages
    key = key_of(ACCOUNT, WAREHOUSE, SKU)
    return [_with_fields(each, frozen=1) if each.key == key else each for each in messages]


def wrong_state(topic: Topic, messages: list[Message]) -> list[Message]:
    """The stock's count in the state is one unit higher."""
    if topic is not Topic.STATE:
        return messages
    key = key_of("stock", ACCOUNT, WAREHOUSE, SKU)
    return [each._replace(value=_one_more(each.value, 10)) if each.key == key else each for each in messages]


CORRUPTIONS: list[tuple[Corruption, str]] = [
    (lost_movement, "balance"),
    (doubled_movement, "repeated"),
    (wrong_level, "stock"),
    (wrong_state, "stock"),
]
"""Each with the check that must find it."""


async def test_every_corruption_of_a_real_workers_output_is_found_with_its_place(
    system: System, start_worker: StartWorker
) -> None:
    await run_story(system, start_worker)
    await system.assert_sound()
    records = {topic: await system.read(topic) for topic in Topic}

    # Otherwise what is found below would be the copying.
    await (await copy_of(system, records, intact)).assert_sound()
    await asyncio.gather(*(assert_found(system, records, *corruption) for corruption in CORRUPTIONS))


async def assert_found(system: System, records: Records, corrupt: Corruption, check: str) -> None:
    copy = await copy_of(system, records, corrupt)
    result = await copy.stockfreeze("verify", "--json")
    assert result.code == 1, (corrupt.__name__, result)
    findings = result.json()["findings"]
    assert check in {finding["check"] for finding in findings}, (corrupt.__name__, findings)
    assert STOCK in {finding["subject"] for finding in findings}, (corrupt.__name__, findings)
    assert {finding["partition"] for finding in findings} == {copy.partition_of(ACCOUNT)}


def _is_release(message: Message) -> bool:
    return message.value is not None and b'"movement":"release"' in message.value


def _is_first_freeze(message: Message) -> bool:
    value = message.value or b""
    return b'"movement":"freeze"' in value and b'"order_id":"o1"' in value


def _with_fields(message: Message, **fields: object) -> Message:
    assert message.value is not None
    return message._replace(value=json.dumps(json.loads(message.value) | fields).encode())


def _one_more(value: bytes | None, number: int) -> bytes:
    assert value is not None
    fields: list[Any] = msgspec.msgpack.decode(value)
    assert fields.count(number) == 1
    return msgspec.msgpack.encode([of + 1 if of == number else of for of in fields])
