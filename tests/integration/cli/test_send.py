"""`stockfreeze send` on a broker: every event to its place, with its time, and warnings of what Kafka deletes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.times import time_text
from schemas.topics import Topic
from tests.e2e.system import until
from tests.integration.cli.conftest import PARTITIONS, Command, System
from worker.domain.policies import DAY_MS
from worker.inspection.cluster import open_cluster
from worker.stream.partitioning import partition_of

ACCOUNTS = ["acme", "shop/1", "b", "c", "d"]


def order(account_id: str, order_id: str, ago_ms: int = 0) -> dict[str, Any]:
    return {
        "type": "order.created",
        "event_id": order_id,
        "account_id": account_id,
        "order_id": order_id,
        "occurred_at": time_text(time.time_ns() // 1_000_000 - ago_ms),
        "lines": [{"sku": "k", "quantity": 1}],
    }


def count(account_id: str) -> dict[str, Any]:
    return {
        **order(account_id, "n"),
        "type": "stock.counted",
        "origin": "erp",
        "snapshot_id": "n",
        "part": 1,
        "parts": 1,
        "warehouse_id": "w",
        "as_of": time_text(time.time_ns() // 1_000_000),
        "counts": [{"sku": "k", "on_hand": 1}],
    }


def written(path: Path, *events: dict[str, Any]) -> str:
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return str(path)


async def records_of(system: System, topic: Topic) -> list[tuple[bytes, int, int, Any]]:
    """Key, partition, timestamp and event of every record, partition by partition."""
    found = []
    async with AIOKafkaConsumer(
        bootstrap_servers=system.broker.bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        for number in range(PARTITIONS):
            place = TopicPartition(system.topic(topic), number)
            consumer.assign([place])
            end = (await consumer.end_offsets([place]))[place]
            await consumer.seek_to_beginning(place)
            while await consumer.position(place) < end:
                record = await consumer.getone(place)
                found.append((record.key, record.partition, record.timestamp, json.loads(record.value)))
    return found


async def configure(system: System, topic: Topic, **configs: str) -> None:
    """Set configurations of a topic, and wait until the broker goes by them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap_servers)
    await admin.start()
    named = {name.replace("_", "."): value for name, value in configs.items()}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, system.topic(topic), named)])
    await admin.close()
    name, servers = system.topic(topic), system.broker.bootstrap_servers
    async with open_cluster({"bootstrap_servers": servers}) as cluster:

        async def is_set() -> bool:
            return (await cluster.configs([name], list(named)))[name] == named

        await until(is_set)


async def test_every_event_goes_to_its_topic_key_and_partition(
    stockfreeze: Command, system: System, tmp_path: Path
) -> None:
    events = [order(account_id, f"o{number}") for account_id in ACCOUNTS for number in range(3)]
    file = written(tmp_path / "events", *events, count("acme"))

    dry = await stockfreeze("send", "--dry-run", file)
    assert (dry.code, await records_of(system, Topic.ORDERS)) == (0, [])
    result = await stockfreeze("send", file)

    orders = await records_of(system, Topic.ORDERS)
    assert result.code == 0, result
    assert f"16 events sent: 15 to {system.topic(Topic.ORDERS)}, 1 to {system.topic(Topic.STOCK)}" in result.out
    for key, partition, _, event in orders:
        assert (key.decode(), partition) == (event["account_id"], partition_of(event["account_id"], PARTITIONS))
    for account_id in ACCOUNTS:
        sent = [event["order_id"] for key, _, _, event in orders if key == account_id.encode()]
        assert sent == ["o0", "o1", "o2"]
    assert len(await records_of(system, Topic.STOCK)) == 1


async def test_a_bad_line_keeps_the_good_ones_from_being_sent(
    stockfreeze: Command, system: System, tmp_path: Path
) -> None:
    file = written(tmp_path / "events", order("acme", "o1"), {"type": "order.crated"})

    result = await stockfreeze("send", file)

    assert result.code == 1
    assert result.err.startswith("send: line 2: There is no type")
    assert "did you mean order.created" in result.err
    assert await records_of(system, Topic.ORDERS) == []


@pytest.mark.apache
async def test_records_with_old_times_are_awaited_and_those_at_risk_named(
    stockfreeze: Command, system: System, tmp_path: Path
) -> None:
    await configure(system, Topic.ORDERS, retention_ms=str(7 * DAY_MS))
    old, new = order("acme", "o1", 100 * DAY_MS), order("acme", "o2", DAY_MS)
    file = written(tmp_path / "events", old, new)

    result = await stockfreeze("send", "--as-of-event", file)
    timestamps = [time_text(at) for _, _, at, _ in await records_of(system, Topic.ORDERS)]
    answer = (await stockfreeze("send", "--as-of-event", "--json", file)).json()

    assert result.code == 0, result
    assert timestamps == [old["occurred_at"], new["occurred_at"]]
    assert "1 of 2 records" in result.err
    assert "(retention.ms 604800000, 7.0 days)" in result.err
    assert "2 of them are not read yet: no worker runs" in result.err
    assert (answer["unread"], answer["lost"], answer["workers"]) == (2, 0, 0)


@pytest.mark.apache
async def test_a_topic_that_replaces_timestamps_is_refused_before_sending(
    stockfreeze: Command, system: System, tmp_path: Path
) -> None:
    await configure(system, Topic.ORDERS, message_timestamp_type="LogAppendTime")
    file = written(tmp_path / "events", order("acme", "o1", DAY_MS))

    result = await stockfreeze("send", "--as-of-event", file)

    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "set its message.timestamp.type to CreateTime" in result.err
    assert await records_of(system, Topic.ORDERS) == []
