"""A worker's answers agree with the topics, and a command finds the worker that has the partition."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import pytest
from yarl import URL

from tests.e2e.messages import count, order, sub_order
from tests.e2e.system import CommandResult, System, until
from tests.e2e.worker_process import StartWorker, WorkerProcess

pytestmark = pytest.mark.apache

ACCOUNT, WAREHOUSE = "shop-1", "main"
FROM_TOPICS = "read from the topics"

QUESTIONS: Sequence[Sequence[str]] = [
    ("why", ACCOUNT, WAREHOUSE, "A"),
    ("why", ACCOUNT, WAREHOUSE, "never counted"),
    ("order", ACCOUNT, "o1"),
    ("order", ACCOUNT, "o/2"),
    ("stock", ACCOUNT),
    ("stock", ACCOUNT, "--limit", "1", "--after", f"{WAREHOUSE}/A"),
    ("stock", ACCOUNT, "--oversold"),
    ("alerts", "--open"),
    ("alerts", "--open", "--account", ACCOUNT),
]


async def run_story(system: System) -> None:
    lines = [{"sku": "A", "quantity": 2, "warehouse_id": WAREHOUSE}]
    more = [{"sku": "A", "quantity": 5}]
    await system.send(
        [
            count(ACCOUNT, "c1", WAREHOUSE, {"A": 10, "B": 5}),
            *(order("created", ACCOUNT, "e1", order_id, lines=lines) for order_id in ("o1", "o/2")),
            order("created", ACCOUNT, "e1", "o3", lines=[{"sku": "B", "quantity": 7, "warehouse_id": WAREHOUSE}]),
            order(
                "created",
                ACCOUNT,
                "e1",
                "o4",
                lines=[{"sku": "never counted", "quantity": 1, "warehouse_id": WAREHOUSE}],
            ),
            sub_order("created", ACCOUNT, "e2", "o1", "s1", warehouse_id=WAREHOUSE, lines=more),
            order("cancelled", ACCOUNT, "e2", "o/2", reason=5),
            *(order("created", f"shop-{number}", "e1", "o", lines=lines) for number in range(2, 12)),
        ]
    )
    await system.settled()


async def ask(system: System, question: Sequence[str], **settings: str) -> CommandResult:
    return await system.stockfreeze(*question, "--json", **settings)


async def test_a_worker_and_the_topics_give_the_same_answers(system: System, start_worker: StartWorker) -> None:
    worker = start_worker(BUFFER="2")
    await worker.ready()
    await run_story(system)

    of_worker = [await ask(system, question) for question in QUESTIONS]
    assert await worker.terminate() == 0
    of_topics = [await ask(system, question) for question in QUESTIONS]

    for question, one, other in zip(QUESTIONS, of_worker, of_topics, strict=True):
        assert (one.code, other.code) == (0, 0), (question, one, other)
        assert one.json() == other.json(), question
        assert FROM_TOPICS not in one.err, (question, one)
    why, order_1, order_2 = of_worker[0].json(), of_worker[2].json(), of_worker[3].json()
    assert (why["level"]["frozen"], why["level"]["publishable"]) == (7, 1)
    assert [alert["alert"] for alert in order_1["alerts"]] == ["over_allocated"]
    assert [letter["code"] for letter in order_2["dead_letters"]] == ["invalid"]
    assert of_worker[7].json()["counts"] == {"oversold": 1, "over_allocated": 1, "order_refused": 1}


async def test_a_command_asks_the_worker_and_not_the_topics(system: System, start_worker: StartWorker) -> None:
    worker = start_worker(WEB_URL="http://localhost:1")
    await worker.ready()
    await run_story(system)
    unreachable = await ask(system, ("stock", ACCOUNT))
    assert await worker.terminate() == 0

    worker = start_worker()
    await worker.ready()
    reachable = await ask(system, ("stock", ACCOUNT))

    assert "the worker at http://localhost:1 cannot be reached" in unreachable.err
    assert (unreachable.json(), reachable.err) == (reachable.json(), "")


async def test_a_worker_names_the_one_that_has_a_partition(system: System, start_worker: StartWorker) -> None:
    workers = [start_worker(), start_worker()]
    for worker in workers:
        await worker.ready()
    await until(lambda: share_partitions(workers))
    await run_story(system)

    async with aiohttp.ClientSession() as session:
        bodies, locations = [], []
        for worker in workers:
            page = URL(f"http://127.0.0.1:{worker.port}/accounts/{ACCOUNT}/stock?limit=2", encoded=True)
            async with session.get(page, allow_redirects=False) as answer:
                if answer.status == 421:
                    locations.append(answer.headers["Location"])
                else:
                    bodies.append(await answer.json())
        async with session.get(URL(locations[0], encoded=True)) as answer:
            bodies.append(await answer.json())

    bodies.append((await ask(system, ("stock", ACCOUNT, "--limit", "2"))).json())
    assert len(bodies) == 3
    assert bodies[0] == bodies[1] == bodies[2]
    status = await ask(system, ("status",))
    assert (status.code, len(status.json()["workers"]), status.err) == (0, 2, "")
    assert {line["state"] for line in status.json()["partitions"]} == {"running"}


async def share_partitions(workers: Sequence[WorkerProcess]) -> bool:
    shares = []
    for worker in workers:
        answer = await worker.get("/health/ready")
        shares.append(0 if answer is None or answer.status != 200 else len(answer.json()["partitions"]))
    return all(shares) and sum(shares) == 4
