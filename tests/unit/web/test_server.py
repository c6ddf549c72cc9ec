"""The pages over HTTP: answers of a real ledger, ids with anything in them, and what is said without an answer."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar
from urllib.parse import quote

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from yarl import URL

from schemas.topics import Topic
from worker.domain.ledger import Ledger
from worker.domain.policies import Policies
from worker.inspection.members import WORKER_HEADER
from worker.processors.ledger import PartitionProcessor
from worker.stream import NotAssigned
from worker.stream.partitioning import partition_of
from worker.stream.records import InputRecord
from worker.stream.status import EngineStatus, PartitionState, PartitionStatus
from worker.web import server as pages_module
from worker.web.server import AddressInUse, Ledgers, NoLedgers, Pages

NOW = "2026-03-01T10:00:00Z"
NOW_MS = 1_772_359_200_000
PARTITIONS = 4
STRANGE_IDS = ["a/b", "100%", "%2F", "склад №1", "a b+c?d#e", "..", "."]

Answer = TypeVar("Answer")


class FakeEngine:
    """The partitions of one worker, each with a real ledger."""

    def __init__(self) -> None:
        self.partition_count: int | None = PARTITIONS
        self.processors: dict[int, PartitionProcessor] = {}
        self.states: dict[int, PartitionStatus] = {}
        self.problem: str | None = None
        self.joined = True
        self.busy = False

    def apply(self, topic: Topic, event: dict[str, Any]) -> None:
        partition = partition_of(event["account_id"], PARTITIONS)
        if partition not in self.processors:
            self.processors[partition] = PartitionProcessor(
                partition=partition, partition_count=PARTITIONS, prefix="", policies=Policies()
            )
            self.states[partition] = PartitionStatus(PartitionState.RUNNING)
        value = json.dumps({"event_id": "e", "occurred_at": NOW, **event}).encode()
        self.processors[partition].process(
            InputRecord(topic, partition, 0, NOW_MS, event["account_id"].encode(), value)
        )
        self.processors[partition].ledger.finish()

    def status(self) -> EngineStatus | None:
        return EngineStatus(joined=self.joined, problem=self.problem, partitions=self.states)

    async def read(self, partition: int, question: Callable[[Ledger], Answer]) -> Answer:
        if self.busy:
            await asyncio.Event().wait()
        if partition not in self.processors:
            raise NotAssigned(partition)
        return question(self.processors[partition].ledger)


def order(account_id: str, order_id: str, sku: str = "s1") -> dict[str, Any]:
    lines = [{"sku": sku, "quantity": 2}]
    return {"type": "order.created", "account_id": account_id, "order_id": order_id, "lines": lines}


class FakeDirectory:
    """Where other workers are, as the group would tell."""

    def __init__(self) -> None:
        self.urls: dict[int, str] = {}

    async def url_of(self, partition: int) -> str | None:
        return self.urls.get(partition)

    async def close(self) -> None:
        self.urls.clear()


class Site:
    """Running pages, and a client of them."""

    def __init__(self, engine: FakeEngine, directory: FakeDirectory, url: str, session: aiohttp.ClientSession) -> None:
        self.engine = engine
        self.directory = directory
        self._url = url.rstrip("/")
        self._session = session

    async def get(self, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, str]:
        async with self._session.get(
            URL(self._url + path, encoded=True), headers=headers, allow_redirects=False
        ) as response:
            return response, await response.text()

    async def json(self, path: str) -> tuple[int, Any]:
        response, text = await self.get(path)
        assert response.content_type == "application/json"
        return response.status, json.loads(text)


def make_pages(engine: Ledgers, port: int = 0, directory: FakeDirectory | None = None) -> Pages:
    registry = CollectorRegistry()
    Counter("stockfreeze_example", "An example.", registry=registry).inc()
    return Pages(
        host="127.0.0.1",
        port=port,
        ledgers=engine,
        directory=directory or FakeDirectory(),
        roles=lambda: {"ledger": engine.status()},
        registry=registry,
        title="Stockfreeze <test>",
        worker="worker-1",
    )


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    engine, directory = FakeEngine(), FakeDirectory()
    pages = make_pages(engine, directory=directory)
    await pages.start()
    async with aiohttp.ClientSession() as session:
        yield Site(engine, directory, pages.url, session)
    await pages.stop()


async def test_the_stock_of_an_account_is_told(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    status, told = await site.json("/accounts/shop/stock")
    assert status == 200
    assert told["account_id"] == "shop"
    assert told["partition"] == partition_of("shop", PARTITIONS)
    assert told["levels"] == [
        {
            "warehouse_id": "default",
            "sku": "s1",
            "on_hand": None,
            "frozen": 2,
            "available": None,
            "publishable": None,
            "as_of": None,
        }
    ]


async def test_the_stock_of_an_account_can_be_narrowed_to_a_warehouse_and_a_sku(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1", "s/1"))
    site.engine.apply(Topic.ORDERS, order("shop", "o2", "s2") | {"event_id": "e2"})
    skus = [level["sku"] for level in (await site.json("/accounts/shop/stock?sku=s%2F1"))[1]["levels"]]
    assert skus == ["s/1"]
    assert len((await site.json("/accounts/shop/stock?warehouse_id=default"))[1]["levels"]) == 2
    assert len((await site.json("/accounts/shop/stock?warehouse_id=default&sku=s2"))[1]["levels"]) == 1
    assert (await site.json("/accounts/shop/stock?warehouse_id=other"))[1]["levels"] == []
    assert (await site.json("/accounts/shop/stock?sku=other"))[1]["levels"] == []


async def test_levels_are_paged_by_following_next(site: Site) -> None:
    for number, sku in enumerate(["s/2", "s1", "s%3"]):
        site.engine.apply(Topic.ORDERS, order("shop", f"o{number}", sku) | {"event_id": f"e{number}"})

    seen, after = [], ""
    while True:
        status, told = await site.json(f"/accounts/shop/stock?limit=1{after}")
        assert status == 200
        seen += [level["sku"] for level in told["levels"]]
        if told["next"] is None:
            break
        after = f"&after={quote(told['next'], safe='')}"

    assert seen == ["s%3", "s/2", "s1"]


async def test_levels_can_be_narrowed_to_those_with_little_available(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    site.engine.apply(
        Topic.STOCK,
        {
            "type": "stock.counted",
            "account_id": "shop",
            "origin": "erp",
            "snapshot_id": "n",
            "part": 1,
            "parts": 1,
            "warehouse_id": "default",
            "as_of": NOW,
            "counts": [{"sku": "s1", "on_hand": 1}, {"sku": "s2", "on_hand": 9}],
        },
    )
    oversold = (await site.json("/accounts/shop/stock?below=0"))[1]["levels"]
    assert [(level["sku"], level["available"]) for level in oversold] == [("s1", -1)]
    assert len((await site.json("/accounts/shop/stock?below=10"))[1]["levels"]) == 2


@pytest.mark.parametrize("parameters", ["limit=0", "limit=x", "limit=10001", "below=1.5", "after=a", "after=%25FF%2Fs"])
async def test_a_parameter_with_a_wrong_value_is_refused(site: Site, parameters: str) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    status, told = await site.json(f"/accounts/shop/stock?{parameters}")
    assert (status, told["error"]) == (400, "bad_parameter")
    assert parameters.split("=", maxsplit=1)[0] in told["detail"]


async def test_accounts_are_listed_page_by_page_over_all_partitions(site: Site) -> None:
    names = [f"shop-{number}" for number in range(7)]
    for name in names:
        site.engine.apply(Topic.ORDERS, order(name, "o1"))

    status, first = await site.json("/accounts?limit=4")
    rest = (await site.json(f"/accounts?limit=4&after={first['next']}"))[1]

    assert status == 200
    assert [account["account_id"] for account in first["accounts"] + rest["accounts"]] == names
    assert (rest["next"], first["accounts"][0]["orders"], first["accounts"][0]["stock_keys"]) == (None, 1, 1)
    assert first["accounts"][0]["partition"] == partition_of("shop-0", PARTITIONS)
    assert set(first["partitions"]) == set(site.engine.processors)


async def test_a_stock_key_is_told_with_those_who_hold_it(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1", "s/1"))
    site.engine.apply(Topic.ORDERS, order("shop", "o2", "s/1"))
    status, told = await site.json("/accounts/shop/stock/default/s%2F1?limit=1")
    assert (status, told["level"]["frozen"], told["orders_holding"]) == (200, 4, 2)
    assert told["held_by"] == [{"order_id": "o1", "sub_order_id": None, "open": 2}]
    status, told = await site.json("/accounts/shop/stock/default/other")
    assert (status, told["error"]) == (404, "unknown_stock")


async def test_a_partition_is_told_in_numbers(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    site.engine.apply(Topic.ORDERS, order("shop", "o1") | {"lines": 5, "event_id": "bad"})
    partition = partition_of("shop", PARTITIONS)
    status, told = await site.json(f"/partitions/{partition}")
    assert (status, told["orders"], told["orders_open"], told["stock_keys"]) == (200, 1, 1, 1)
    assert (told["dead_letters_pending"], told["dead_letters"]) == (1, [f"orders.events.v1/{partition}/0"])
    for wrong in ("x", str(PARTITIONS)):
        assert (await site.json(f"/partitions/{wrong}"))[1]["error"] == "unknown_partition"


async def test_an_order_is_told_with_its_units(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    status, told = await site.json("/accounts/shop/orders/o1")
    assert status == 200
    assert (told["status"], told["placed"], told["eligible"]) == ("processing", True, False)
    unit = {"sub_order_id": None, "warehouse_id": "default", "sku": "s1", "open": 2, "shipped": 0, "cancelled": 0}
    assert told["units"] == [unit]


@pytest.mark.parametrize("strange", STRANGE_IDS)
async def test_ids_with_anything_in_them_are_reached_percent_encoded(site: Site, strange: str) -> None:
    site.engine.apply(Topic.ORDERS, order(strange, strange))
    encoded = quote(strange, safe="").replace(".", "%2E")
    status, told = await site.json(f"/accounts/{encoded}/stock")
    assert (status, told["account_id"]) == (200, strange)
    status, told = await site.json(f"/accounts/{encoded}/orders/{encoded}")
    assert (status, told["account_id"], told["order_id"]) == (200, strange, strange)


async def test_what_is_not_known_is_404_and_named(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    status, told = await site.json("/accounts/shop/orders/o2")
    assert (status, told["error"]) == (404, "unknown_order")
    assert "o2" in told["detail"]
    here = partition_of("shop", PARTITIONS)
    nobody = next(name for name in map(str, range(100)) if partition_of(name, PARTITIONS) == here)
    status, told = await site.json(f"/accounts/{nobody}/stock")
    assert (status, told["error"]) == (404, "unknown_account")
    status, told = await site.json("/nothing/here")
    assert (status, told["error"]) == (404, "not_found")


async def test_a_parameter_that_is_misspelt_is_no_answer_for_all_levels(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    status, told = await site.json("/accounts/shop/stock?warehouse=w")
    assert (status, told["error"]) == (400, "unknown_parameter")
    assert "'warehouse'" in told["detail"]


async def test_an_account_of_another_worker_is_421_and_its_partition_is_named(site: Site) -> None:
    status, told = await site.json("/accounts/shop/stock")
    assert (status, told["error"], told["partition"]) == (421, "other_worker", partition_of("shop", PARTITIONS))


async def test_a_worker_without_the_ledger_answers_503_for_every_account() -> None:
    pages = make_pages(NoLedgers())
    await pages.start()
    async with aiohttp.ClientSession() as session:
        site = Site(FakeEngine(), FakeDirectory(), pages.url, session)
        status, body = await site.json("/accounts/shop/stock")
        assert (status, body["error"]) == (503, "unavailable")
        status, body = await site.json("/accounts")
        assert (status, body["accounts"]) == (200, [])
    await pages.stop()


async def test_a_421_has_the_address_of_the_right_worker_where_it_is_known(site: Site) -> None:
    partition = partition_of("shop", PARTITIONS)
    response, _ = await site.get("/accounts/shop/stock/w%2F1/s?limit=3")
    assert (response.status, "Location" in response.headers) == (421, False)

    site.directory.urls[partition] = "http://other:1"
    response, text = await site.get("/accounts/shop/stock/w%2F1/s?limit=3")
    assert (response.status, response.headers["Location"]) == (
        421,
        "http://other:1/accounts/shop/stock/w%2F1/s?limit=3",
    )
    assert "http://other:1" in json.loads(text)["detail"]
    assert (await site.get(f"/partitions/{partition}"))[0].headers[
        "Location"
    ] == f"http://other:1/partitions/{partition}"


async def test_every_answer_names_the_worker(site: Site) -> None:
    for path in ("/", "/health/live", "/accounts/shop/stock", "/nothing"):
        assert (await site.get(path))[0].headers[WORKER_HEADER] == "worker-1"


async def test_a_worker_that_is_out_of_its_group_does_not_send_people_to_another(site: Site) -> None:
    site.engine.problem = "topics are missing"
    status, told = await site.json("/accounts/shop/stock")
    assert (status, told["detail"]) == (503, "topics are missing")
    site.engine.problem, site.engine.joined = None, False
    status, told = await site.json("/accounts/shop/stock")
    assert (status, told["detail"]) == (503, "The worker is joining its consumer group.")


async def test_a_partition_that_is_here_but_not_running_is_503_with_the_reason(site: Site) -> None:
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    partition = partition_of("shop", PARTITIONS)
    site.engine.states[partition] = PartitionStatus(PartitionState.HALTED, reason="the breaker is open")
    response, text = await site.get("/accounts/shop/orders/o1")
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert "the breaker is open" in json.loads(text)["detail"]
    site.engine.states[partition] = PartitionStatus(PartitionState.RUNNING)
    del site.engine.processors[partition]
    assert (await site.json("/accounts/shop/orders/o1"))[0] == 503
    site.engine.partition_count = None
    assert (await site.json("/accounts/shop/orders/o1"))[0] == 503


async def test_a_transaction_that_does_not_end_keeps_no_question_waiting(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_module, "READ_SECONDS_MAX", 0.05)
    site.engine.apply(Topic.ORDERS, order("shop", "o1"))
    site.engine.busy = True
    assert (await site.json("/accounts/shop/stock"))[0] == 503


async def test_health_is_told(site: Site) -> None:
    assert await site.json("/health/live") == (200, {"live": True})
    assert (await site.json("/health/ready"))[0] == 200
    site.engine.problem = "the broker is away"
    status, told = await site.json("/health/ready")
    assert (status, told["ready"], told["problem"]) == (503, False, "the broker is away")


async def test_metrics_are_told_in_the_format_that_is_asked_for(site: Site) -> None:
    response, text = await site.get("/metrics")
    assert response.content_type == "text/plain"
    assert "stockfreeze_example_total 1.0" in text
    response, text = await site.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")
    assert response.content_type == "application/openmetrics-text"
    assert text.endswith("# EOF\n")


async def test_the_first_page_lists_the_others(site: Site) -> None:
    response, text = await site.get("/")
    assert response.content_type == "text/html"
    assert "Stockfreeze &lt;test&gt;" in text
    for address in ("/health/live", "/health/ready", "/metrics", "/accounts/{account}/stock"):
        assert address in text


async def test_an_address_that_is_taken_is_one_sentence_that_names_the_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        pages = make_pages(FakeEngine(), port)
        with pytest.raises(AddressInUse) as caught:
            await pages.start()
        await pages.stop()
    assert "WEB_PORT" in str(caught.value)
    assert f"127.0.0.1:{port}" in str(caught.value)
