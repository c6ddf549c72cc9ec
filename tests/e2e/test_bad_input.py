"""Bad records of every kind between good ones: nothing good is lost, and everything bad is a dead letter."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import Any
from urllib.parse import quote

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.topics import Topic
from tests.e2e.end_state import assert_as_if_calm
from tests.e2e.messages import Bad, bad_records, count, message, order, rewritten, sub_order
from tests.e2e.system import Message, Place, Record, System
from tests.e2e.worker_process import StartWorker
from tests.offline import account_in

ACCOUNT = "лавка/50% ü 東"
WAREHOUSE = "склад/1"
SKU = "артикул/%20"
ORDER = "заказ/1%2F"
SUB_ORDER = "s/1 %"
HEADERS = {"error-code", "error", "source-topic", "source-partition", "source-offset", "source-timestamp"}
OWN_HEADERS = (("trace", b"\xff"), ("trace", b"2"), ("empty", b""))
MEGABYTE = 1_000_000


def good_messages() -> list[Message]:
    """What an account does while its integration goes wrong: `expected_levels` and `EXPECTED_STATUSES` follow."""
    lines = [{"sku": SKU, "quantity": 5, "warehouse_id": WAREHOUSE}]
    whose = (ACCOUNT, "e1", ORDER)

    def of_b(order_id: str, quantity: int, **fields: object) -> Message:
        line = {"sku": "B", "quantity": quantity, "warehouse_id": WAREHOUSE}
        return order("created", ACCOUNT, "e1", order_id, **{"lines": [line]} | fields)

    twice = rewritten(of_b("twice", 4), '"lines"', '"lines": 7, "lines"')
    deep = "[" * 100 + "]" * 100
    return [
        count(ACCOUNT, "c1", WAREHOUSE, {SKU: 100, "B": 50}),
        order("created", *whose, lines=lines),
        of_b("megabyte", 2, note="x" * MEGABYTE),
        sub_order("created", ACCOUNT, "e2", ORDER, SUB_ORDER, warehouse_id=WAREHOUSE, lines=lines),
        twice,
        rewritten(of_b("beyond 64 bits", 1, note="N"), '"N"', "9" * 400 + ', "more": [1e999, -0.0]'),
        of_b("nested", 1, note="N", reason=None)._replace(headers=OWN_HEADERS),
        rewritten(of_b("deep", 1, note="N"), '"N"', deep),
        of_b("thousand lines", 1, lines=[{"sku": "L", "quantity": 1, "warehouse_id": WAREHOUSE}] * 1000),
        sub_order("shipped", ACCOUNT, "e3", ORDER, SUB_ORDER),
        message(Topic.STOCK, "stock.adjusted", ACCOUNT, "a1", warehouse_id=WAREHOUSE, sku="B", delta=-7),
        order("created", ACCOUNT, "e1", "no default", lines=[{"sku": "B", "quantity": 1}]),
        sub_order("delivered", ACCOUNT, "e4", ORDER, SUB_ORDER),
    ]


EXPECTED_LEVELS = {
    (WAREHOUSE, SKU): (95, 0, 95),
    (WAREHOUSE, "B"): (43, 9, 34),
    (WAREHOUSE, "L"): (None, 1000, None),
    ("default", "B"): (None, 1, None),
    ("default", "K"): (None, 5, None),
}
EXPECTED_STATUSES = {
    ORDER: ("delivered", True),
    **dict.fromkeys(
        ("megabyte", "twice", "beyond 64 bits", "nested", "deep", "thousand lines", "no default", "known"),
        ("processing", False),
    ),
}


async def test_bad_records_are_dead_lettered_and_good_ones_between_applied(
    system: System, start_worker: StartWorker
) -> None:
    own = system.partition_of(ACCOUNT)
    known = order("created", ACCOUNT, "known", "known", lines=[{"sku": "K", "quantity": 5}])
    bad = [
        of._replace(message=of.message._replace(partition=own, headers=OWN_HEADERS))
        for of in bad_records(ACCOUNT, account_in((own + 1) % system.partitions, system.partitions), known=known)
    ]
    assert {of.code for of in bad} == set(DEAD_LETTER_CODES)
    good = good_messages()
    worker = start_worker()
    await worker.ready()

    sent: list[tuple[Bad | None, Message]] = [(None, known)]
    for of, good_one in zip_longest(bad, good):
        sent += [(of, of.message)] if of is not None else []
        sent += [(None, good_one)] if good_one is not None else []
    places = await system.send(record for _, record in sent)
    await system.settled()

    refused = {place: of for place, (of, _) in zip(places, sent, strict=True) if of is not None}
    await assert_dead_letters(system, refused)
    levels = {
        (level["warehouse_id"], level["sku"]): (level["on_hand"], level["frozen"], level["available"])
        for level in await latest(system, Topic.LEVELS, ("warehouse_id", "sku"))
    }
    assert levels == EXPECTED_LEVELS
    statuses = await latest(system, Topic.STATUS, ("order_id",))
    found = {status["order_id"]: (status["status"], status["eligible"]) for status in statuses}
    assert found == EXPECTED_STATUSES
    answer = await worker.get("/metrics")
    assert answer is not None
    for code, number in Counter(of.code for of in bad).items():
        assert f'stockfreeze_dead_letters_total{{code="{code}"}} {number}.0' in answer.body
    await assert_as_if_calm(system)
    ready = await worker.get("/health/ready")
    assert ready is not None
    assert ready.status == 200


async def assert_dead_letters(system: System, refused: dict[Place, Bad]) -> None:
    """Each is in the dead letters once: where it lay, as it was, with exactly the contract's headers and its own."""
    found: dict[Place, Record] = {}
    for record in await system.read(Topic.DEAD_LETTERS):
        as_sent = _headers_of(record)
        place = Place(
            as_sent["source-topic"].decode(),
            int(as_sent["source-partition"].decode()),
            int(as_sent["source-offset"].decode()),
        )
        assert place not in found
        found[place] = record
    assert found.keys() == refused.keys()
    originals = {
        Place(record.topic, record.partition, record.offset): record
        for topic in {of.message.topic for of in refused.values()}
        for record in await system.read(topic)
    }
    for place, of in refused.items():
        record, as_sent = found[place], _headers_of(found[place])
        assert (record.partition, record.key, record.value) == (place.partition, of.message.key, of.message.value)
        assert as_sent["error-code"].decode() == of.code, (of.message.key, as_sent["error"])
        assert of.names in as_sent["error"].decode()
        assert int(as_sent["source-timestamp"]) == originals[place].timestamp
        names = [name for name, _ in record.headers]
        assert sorted(name for name in names if name in HEADERS) == sorted(HEADERS)
        assert tuple(header for header in record.headers if header[0] not in HEADERS) == OWN_HEADERS


def _headers_of(record: Record) -> dict[str, bytes]:
    return {name: value or b"" for name, value in record.headers}


async def latest(system: System, topic: Topic, key: tuple[str, ...]) -> list[dict[str, Any]]:
    """The last record of each key, which has to be the fields `account_id` and `key`, percent-encoded."""
    last: dict[bytes, dict[str, Any]] = {}
    records = await system.read(topic)
    for record, value in zip(records, await system.values(topic), strict=True):
        assert record.key is not None
        encoded = "/".join(quote(str(value[name]), safe="-._~") for name in ("account_id", *key))
        assert record.key.decode() == encoded
        assert record.partition == system.partition_of(value["account_id"])
        last[record.key] = value
    return list(last.values())


async def test_ids_of_any_letters_are_found_on_the_pages_and_by_the_command(
    system: System, start_worker: StartWorker
) -> None:
    worker = start_worker()
    await worker.ready()
    await system.send(good_messages())
    await system.settled()

    account, order_id = quote(ACCOUNT, safe=""), quote(ORDER, safe="")
    page = await worker.get(f"/accounts/{account}/orders/{order_id}")
    stock = await worker.get(
        f"/accounts/{account}/stock?warehouse_id={quote(WAREHOUSE, safe='')}&sku={quote(SKU, safe='')}"
    )
    unknown = await worker.get(f"/accounts/{account}/orders/{quote('заказ/1', safe='')}")
    shown = await system.stockfreeze("order", ACCOUNT, ORDER, "--json")
    why = await system.stockfreeze("why", ACCOUNT, WAREHOUSE, "B", "--json")

    assert page is not None
    assert stock is not None
    assert unknown is not None
    assert page.status == 200, page
    assert (page.json()["account_id"], page.json()["order_id"]) == (ACCOUNT, ORDER)
    assert page.json()["sub_orders"] == {SUB_ORDER: "delivered"}
    assert [(level["sku"], level["on_hand"]) for level in stock.json()["levels"]] == [(SKU, 95)]
    assert unknown.status == 404
    assert shown.code == 0
    assert shown.json()["sub_orders"] == {SUB_ORDER: "delivered"}
    assert why.code == 0
    assert "megabyte" in why.out
