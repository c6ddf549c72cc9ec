"""`stockfreeze why` and `order` on a broker."""

from __future__ import annotations

import json
from typing import Any

from schemas.encoding import key_of
from schemas.times import timestamp_text
from schemas.topics import Topic
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import NOW_MS, Input, Transaction, account_in
from worker.stream.records import OutputRecord

ACCOUNT = account_in(0, PARTITIONS)


def order_of(order_id: str, lines: list[dict[str, Any]]) -> Input:
    event = {
        "type": "order.created",
        "event_id": "e1",
        "account_id": ACCOUNT,
        "order_id": order_id,
        "occurred_at": timestamp_text(NOW_MS),
        "lines": lines,
    }
    return Input(Topic.ORDERS, ACCOUNT, json.dumps(event).encode())


async def test_why_names_the_orders_that_hold_units_and_the_last_movements(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()

    answer = (await stockfreeze("why", ACCOUNT, "main", "A", "--movements", "3", "--json")).json()
    shown = await stockfreeze("why", ACCOUNT, "main", "A")

    assert (answer["level"]["on_hand"], answer["level"]["frozen"], answer["level"]["available"]) == (12, 3, 9)
    assert answer["held_by"] == [{"order_id": "o2", "sub_order_id": None, "open": 3}]
    assert [movement["movement"] for movement in answer["movements"]] == ["adjust", "unfreeze", "freeze"]
    assert (shown.code, "o2" in shown.out) == (0, True)


async def test_order_tells_all_that_is_known(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    delivered = (await stockfreeze("order", ACCOUNT, "o1", "--json")).json()
    waiting = (await stockfreeze("order", ACCOUNT, "o2", "--json")).json()
    shown = await stockfreeze("order", ACCOUNT, "o2")

    assert (delivered["status"], delivered["eligible"], delivered["sub_orders"]) == (
        "delivered",
        True,
        {"o1-1": "delivered"},
    )
    assert [movement["movement"] for movement in delivered["movements"]] == ["release"] * 2 + ["freeze"] * 2
    assert waiting["dead_letters"] == [{"id": f"{system.topic(Topic.ORDERS)}/0/6", "code": "invalid"}]
    assert waiting["lines"] == [
        {"sku": "A", "warehouse_id": "main", "quantity": 3},
        {"sku": "B", "warehouse_id": "main", "quantity": 1},
    ]
    assert {(unit["sku"], unit["open"]) for unit in waiting["units"]} == {("A", 3), ("B", 1)}
    assert (shown.code, "Pending dead letters" in shown.out) == (0, True)


async def test_why_shows_what_was_published_whatever_buffer_the_command_has(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()

    answer = (await stockfreeze("why", ACCOUNT, "main", "A", "--json", BUFFER="5")).json()

    assert (answer["level"]["available"], answer["level"]["publishable"]) == (9, 9)


async def test_why_shows_the_greatest_holders_first_and_all_if_asked(stockfreeze: Command, system: System) -> None:
    numbers = range(25)
    orders = [order_of(f"o{n:02}", [{"sku": "A", "quantity": 1 + n, "warehouse_id": "main"}]) for n in numbers]
    await system.process(0, orders)

    shown = (await stockfreeze("why", ACCOUNT, "main", "A", "--json")).json()
    every = (await stockfreeze("why", ACCOUNT, "main", "A", "--all", "--json")).json()
    printed = (await stockfreeze("why", ACCOUNT, "main", "A")).out

    assert [held["open"] for held in shown["held_by"]] == list(range(25, 5, -1))
    assert [held["open"] for held in every["held_by"]] == list(range(25, 0, -1))
    assert (shown["orders_holding"], shown["level"]["frozen"]) == (25, 325)
    assert "310 of 325 frozen units are shown; 25 orders hold some" in printed


async def test_movements_are_looked_for_as_far_back_as_asked(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    near = (await stockfreeze("why", ACCOUNT, "main", "A", "--look-back", "1", "--json")).json()
    far = (await stockfreeze("why", ACCOUNT, "main", "A", "--look-back", "0", "--json")).json()

    assert len(near["movements"]) < len(far["movements"])
    assert near["movements_from"] > 0
    assert far["movements_from"] is None


async def test_what_nobody_knows_is_one_sentence(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    why = await stockfreeze("why", ACCOUNT, "main", "Z")
    order = await stockfreeze("order", "nobody", "o1")

    assert (why.code, order.code) == (1, 1)
    assert why.err.startswith("stockfreeze: nothing is known of SKU Z in warehouse main")
    assert order.err.startswith("stockfreeze: nothing is known of order o1 of account nobody")


async def test_an_order_that_has_left_by_retention_is_told_from_its_last_status(
    stockfreeze: Command, system: System
) -> None:
    def retire(records: Transaction) -> Transaction:
        state = system.topic(Topic.STATE)
        return [*records, OutputRecord(state, key_of("order", ACCOUNT, "o1"), None)]

    await system.process_story(retire)

    answer = (await stockfreeze("order", ACCOUNT, "o1", "--json")).json()

    assert (answer["status"], answer["eligible"], answer["left_by_retention"]) == ("delivered", True, True)
