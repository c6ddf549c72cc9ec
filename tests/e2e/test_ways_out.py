"""Topics that were lost or made anew: the worker stops, and what it advises leads to right books."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from schemas.topics import Topic
from tests.e2e.messages import count, order, sub_order
from tests.e2e.system import Message, System, until
from tests.e2e.worker_process import StartWorker, WorkerProcess
from worker.settings import Settings
from worker.stream.accepting import Acceptor, Start

pytestmark = [pytest.mark.apache, pytest.mark.timeout(300)]

WAREHOUSE = "main"
ACCOUNTS = [f"shop-{number}" for number in range(8)]
LINES = [{"sku": "A", "quantity": 2, "warehouse_id": WAREHOUSE}]


def created(numbers: Iterable[int]) -> list[Message]:
    """Orders of every account; the last of each cannot be applied."""
    return [
        order("created", account, f"e{number}", f"o{number}", lines=LINES) for number in numbers for account in ACCOUNTS
    ] + [order("created", account, "bad", "o0", lines=[{"sku": "A", "quantity": 0}]) for account in ACCOUNTS]


async def delete(system: System, *topics: Topic) -> None:
    names = {system.topic(topic) for topic in topics}
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics(sorted(names))

        async def gone() -> bool:
            return not names & {topic["topic"] for topic in await admin.describe_topics()}

        await until(gone)
    finally:
        await admin.close()


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


async def halted(worker: WorkerProcess, part: str) -> None:
    await worker.until(lambda told: told.status == 503 and part in told.body, "/health/ready", 60)


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
    await delete(system, Topic.ORDERS)
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
    await delete(system, Topic.ORDERS)
    await system.stockfreeze("topics", "create")
    await system.send(created(range(6, 9)))
    said = await system.stockfreeze("topics", "accept", str(Topic.ORDERS), "--from", "end", "--yes", "--json")
    assert said.code == 0, said
    assert sum(each["unread"] for each in said.json()["accepted"]) == 4 * len(ACCOUNTS)
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
    await delete(system, Topic.ORDERS)
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
    said = await system.stockfreeze("topics", "accept", str(Topic.ORDERS), "--from", "beginning", "--yes", "--json")
    assert {each["partition"] for each in said.json()["accepted"]} == {1, 2, 3}
    worker.start()
    await worker.ready()
    await system.settled()
    await system.assert_sound()
    assert await freezes(system) == {(account, f"o{number}"): 1 for account in ACCOUNTS for number in range(1, 9)}
