"""Topics that were lost or made anew: the worker stops, and what it advises leads to right books."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import LEDGER, Topic
from tests.e2e.messages import count, order, sub_order
from tests.e2e.system import Message, Record, System
from tests.e2e.worker_process import StartWorker, WorkerProcess
from worker.inspection.cluster import open_cluster
from worker.settings import Settings
from worker.stream.start.accepting import Acceptor, Start

pytestmark = [pytest.mark.apache, pytest.mark.timeout(300)]

WAREHOUSE = "main"
ACCOUNTS = [f"shop-{number}" for number in range(8)]
LINES = [{"sku": "A", "quantity": 2, "warehouse_id": WAREHOUSE}]


def created(numbers: Iterable[int]) -> list[Message]:
    """Orders of every account; the last of each cannot be applied."""
    return [
        order("created", account, f"e{number}", f"o{number}", lines=LINES) for number in numbers for account in ACCOUNTS
    ] + [order("created", account, "bad", "o0", lines=[{"sku": "A", "quantity": 0}]) for account in ACCOUNTS]


async def worked(system: System, start_worker: StartWorker) -> None:
    """A system that has counted, taken orders and shipped, and was stopped."""
    worker = start_worker()
    await worker.ready()
    await system.send([count(account, "c1", WAREHOUSE, {"A": 100, "B": 7}) for account in ACCOUNTS])
    await system.send(created(range(1, 6)))
    await system.send(
        [
            event
            for account in ACCOUNTS
            for event in (
                sub_order("created", account, "s1", "o1", "p1", warehouse_id=WAREHOUSE, lines=LINES),
                sub_order("shipped", account, "s2", "o1", "p1"),
            )
        ]
    )
    await system.settled()
    assert await worker.terminate() == 0


ALL_LEVELS = {(account, sku): at for account in ACCOUNTS for sku, at in (("A", (98, 8)), ("B", (7, 0)))}
"""What is left of what `worked` sends."""


async def halted(worker: WorkerProcess, part: str) -> None:
    await worker.until(lambda answer: answer.status == 503 and part in answer.body, "/health/ready", 60)


async def freezes(system: System) -> Counter[tuple[str, str]]:
    """How often the units of each order were frozen."""
    return Counter(
        (event["account_id"], event["order_id"])
        for event in await system.values(Topic.MOVEMENTS)
        if event["movement"] == "freeze"
    )


async def levels(system: System) -> dict[tuple[str, str], tuple[int | None, int]]:
    return {
        (event["account_id"], event["sku"]): (event["on_hand"], event["frozen"])
        for event in await system.values(Topic.LEVELS)
    }


async def test_an_input_made_anew_is_accepted_from_its_beginning(system: System, start_worker: StartWorker) -> None:
    await worked(system, start_worker)
    await system.delete(Topic.ORDERS)
    made = await system.stockfreeze("topics", "create")
    assert made.code == 0
    name = system.topic(Topic.ORDERS)
    assert f"`stockfreeze topics accept {name}" in made.out
    await system.send(created(range(1, 9)))  # what was sent before, and more: longer than what was read
    worker = start_worker()
    await halted(worker, f"`stockfreeze topics accept {name} --from beginning`")

    refused = await system.stockfreeze("topics", "accept", name, "--from", "beginning", "--yes")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "stop all workers of this system" in refused.err
    judged = await system.stockfreeze("verify", "--json")
    assert (judged.code, set(judged.json()["found"])) == (1, {"topics"})
    checked = await system.stockfreeze("topics", "check", "--json")
    wrong = {topic["name"]: topic["problems"] for topic in checked.json()["topics"] if topic["problems"]}
    assert (checked.code, list(wrong)) == (1, [name])
    assert "`stockfreeze topics accept" in wrong[name][0]
    assert await worker.terminate() == 0

    unasked = await system.stockfreeze("topics", "accept", name, "--from", "beginning")
    assert unasked.code == 2
    assert "run it again with --yes" in unasked.err
    accepted = await system.stockfreeze("topics", "accept", str(Topic.ORDERS), "--from", "beginning", "--yes", "--json")
    assert accepted.code == 0, accepted
    assert {each["generation"] for each in accepted.json()["accepted"]} == {2}
    again = await system.stockfreeze("topics", "accept", name, "--from", "beginning", "--yes")
    assert again.code == 2
    assert "there is nothing to accept" in again.err

    worker.start()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await freezes(system) == {(account, f"o{number}"): 1 for account in ACCOUNTS for number in range(1, 9)}
    assert await levels(system) == {(a, sku): at for a in ACCOUNTS for sku, at in (("A", (98, 14)), ("B", (7, 0)))}
    ids = [event["event_id"] for event in await system.values(Topic.MOVEMENTS)]
    assert len(ids) == len(set(ids))
    assert sum(f"{name}~2/" in event_id for event_id in ids) == 3 * len(ACCOUNTS)
    letters = {dict(record.headers)["source-topic"] for record in await system.read(Topic.DEAD_LETTERS)}
    assert letters == {name.encode(), f"{name}~2".encode()}


async def test_an_input_accepted_from_its_end_leaves_what_it_has_unread(
    system: System, start_worker: StartWorker
) -> None:
    await worked(system, start_worker)
    await system.delete(Topic.ORDERS)
    await system.stockfreeze("topics", "create")
    await system.send(created(range(6, 9)))
    result = await system.stockfreeze("topics", "accept", str(Topic.ORDERS), "--from", "end", "--yes", "--json")
    assert result.code == 0, result
    assert sum(each["unread"] for each in result.json()["accepted"]) == 4 * len(ACCOUNTS)
    worker = start_worker()
    await worker.ready()
    await system.send(created([9]))
    await system.settled()
    await system.assert_sound()
    assert await freezes(system) == {(account, f"o{n}"): 1 for account in ACCOUNTS for n in (1, 2, 3, 4, 5, 9)}


async def test_accepting_that_was_interrupted_is_finished_by_another_run(
    system: System, start_worker: StartWorker
) -> None:
    await worked(system, start_worker)
    await system.delete(Topic.ORDERS)
    await system.stockfreeze("topics", "create")
    await system.send(created(range(1, 9)))
    config = Settings(
        bootstrap_servers=system.broker.bootstrap_servers,
        app_id=system.names.app_id,
        topic_prefix=system.names.prefix,
    ).engine_config()
    acceptor = Acceptor(config, system.topic(Topic.ORDERS), None, Start.BEGINNING)
    assert await acceptor.accept(0, system.partitions) is not None  # and then no more
    await acceptor.close()

    worker = start_worker()
    await halted(worker, "`stockfreeze topics accept")
    assert await worker.terminate() == 0
    result = await system.stockfreeze("topics", "accept", str(Topic.ORDERS), "--from", "beginning", "--yes", "--json")
    assert {each["partition"] for each in result.json()["accepted"]} == {1, 2, 3}
    worker.start()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await freezes(system) == {(account, f"o{number}"): 1 for account in ACCOUNTS for number in range(1, 9)}


async def test_a_state_lost_under_a_running_worker_begins_anew(system: System, start_worker: StartWorker) -> None:
    await worked(system, start_worker)
    worker = start_worker()
    await worker.ready()
    await system.delete(Topic.STATE)
    name = system.topic(Topic.STATE)
    await halted(worker, f"topics are missing: {name}")
    assert "`stockfreeze begin-anew`" in (await worker.until(lambda _: True, "/health/ready", 5)).body
    refused = await system.stockfreeze("topics", "create")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "`stockfreeze begin-anew`" in refused.err
    assert await worker.terminate() == 0

    shown = await system.stockfreeze("begin-anew")
    assert shown.code == 2
    assert f"add --confirm {system.names.app_id}" in shown.err
    assert "missing: created" in shown.out
    wrong = await system.stockfreeze("begin-anew", "--confirm", "another")
    assert wrong.code == 2
    done = await system.stockfreeze("begin-anew", "--confirm", system.names.app_id)
    assert done.code == 0, done

    worker.start()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await levels(system) == ALL_LEVELS
    assert await freezes(system) == {(account, f"o{number}"): 1 for account in ACCOUNTS for number in range(1, 6)}
    checked = await system.stockfreeze("topics", "check")
    assert checked.code == 0, checked


async def test_a_state_made_anew_while_nobody_ran_begins_anew(system: System, start_worker: StartWorker) -> None:
    await worked(system, start_worker)
    await system.delete(Topic.STATE)
    compacted = {"cleanup.policy": "compact"}
    await system.broker.create_topics([system.topic(Topic.STATE)], partitions=system.partitions, config=compacted)
    checked = await system.stockfreeze("topics", "check")
    assert (checked.code, "the state of partition" in checked.out) == (1, True)
    worker = start_worker()
    await halted(worker, "the state of partition 0 is lost")
    refused = await system.stockfreeze("begin-anew", "--confirm", system.names.app_id)
    assert "stop all workers" in refused.err
    worker.kill()
    while (done := await system.stockfreeze("begin-anew", "--confirm", system.names.app_id, "--json")).code != 0:
        assert "in the group" in done.err  # until its session is over
    assert set(done.json()["kept"]) == {system.topic(topic) for topic in LEDGER.inputs}

    worker.start()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await levels(system) == ALL_LEVELS


@pytest.mark.parametrize("steps", ["ended", "deleted", "forgotten"])
async def test_beginning_anew_that_was_interrupted_is_finished_by_another_run(
    system: System, start_worker: StartWorker, steps: str
) -> None:
    await worked(system, start_worker)
    if steps != "ended":
        await system.delete(*LEDGER.outputs)
    if steps == "forgotten":
        async with open_cluster({"bootstrap_servers": system.broker.bootstrap_servers}) as cluster:
            await cluster.delete_group(system.names.app_id)
    if steps == "deleted":
        refused = await system.stockfreeze("topics", "create")
        assert "`stockfreeze begin-anew`" in refused.err
    done = await system.stockfreeze("begin-anew", "--confirm", system.names.app_id)
    assert done.code == 0, done
    again = await system.stockfreeze("begin-anew", "--confirm", system.names.app_id)
    assert again.code == 0, again
    worker = start_worker()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await levels(system) == ALL_LEVELS


async def test_topics_made_anew_keep_what_was_set_for_them(system: System) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap_servers)
    await admin.start()
    changed = {
        Topic.ALERTS: {"retention.ms": "86400000"},
        Topic.STATE: {"cleanup.policy": "delete", "segment.bytes": "1048577"},
    }
    await admin.alter_configs(
        [ConfigResource(ConfigResourceType.TOPIC, system.topic(topic), of) for topic, of in changed.items()]
    )
    await admin.close()
    done = await system.stockfreeze("begin-anew", "--confirm", system.names.app_id)
    assert done.code == 0, done
    async with open_cluster({"bootstrap_servers": system.broker.bootstrap_servers}) as cluster:
        made = await cluster.as_created([system.topic(topic) for topic in changed])
    assert made[system.topic(Topic.ALERTS)].configs == {"retention.ms": "86400000", "cleanup.policy": "delete"}
    assert made[system.topic(Topic.STATE)].configs == {"cleanup.policy": "compact", "segment.bytes": "1048577"}


@pytest.mark.parametrize("times", [1, 2])
async def test_levels_and_statuses_are_republished(system: System, start_worker: StartWorker, times: int) -> None:
    await worked(system, start_worker)
    lost = (Topic.LEVELS, Topic.STATUS)
    before = {topic: {record.key: _content(record) for record in await system.read(topic)} for topic in lost}
    await system.delete(*lost)
    made = await system.stockfreeze("topics", "create")
    assert "`stockfreeze topics republish`" in made.out
    found = await system.stockfreeze("verify")
    assert found.code == 1
    for _ in range(times):
        result = await system.stockfreeze("topics", "republish", "--json")
        assert result.code == 0, result
        assert sum(each["levels"] for each in result.json()["partitions"]) == len(before[Topic.LEVELS])
    await system.assert_sound()
    for topic in lost:
        assert {record.key: _content(record) for record in await system.read(topic)} == before[topic]
    ids = [event["event_id"] for topic in lost for event in await system.values(topic)]
    assert len(ids) == len(set(ids))
    assert all(event_id.startswith(f"{system.topic(Topic.STATE)}/") for event_id in ids)

    worker = start_worker()
    await worker.ready()
    refused = await system.stockfreeze("topics", "republish")
    assert refused.code == 2
    await system.send(created([9]))
    await system.settled()
    await system.assert_sound()


def _content(record: Record) -> dict[str, object]:
    """A level or status, without where it came from."""
    assert record.value is not None
    fields: dict[str, object] = json.loads(record.value)
    return {name: value for name, value in fields.items() if name not in {"event_id", "occurred_at", "cause"}}
