"""`stockfreeze why` and `order` on a broker."""

from __future__ import annotations

from schemas.encoding import key_of
from schemas.topics import Topic
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import Transaction, account_in
from worker.stream.records import OutputRecord

ACCOUNT = account_in(0, PARTITIONS)


async def test_why_names_the_orders_that_hold_units_and_the_last_movements(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()

    told = (await stockfreeze("why", ACCOUNT, "main", "A", "--movements", "3", "--json")).json()
    shown = await stockfreeze("why", ACCOUNT, "main", "A")

    assert (told["level"]["on_hand"], told["level"]["frozen"], told["level"]["available"]) == (12, 3, 9)
    assert told["held_by"] == [{"order_id": "o2", "sub_order_id": None, "open": 3}]
    assert [movement["movement"] for movement in told["movements"]] == ["adjust", "unfreeze", "freeze"]
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
    assert waiting["dead_letters"] == [f"{system.topic(Topic.ORDERS)}/0/6"]
    assert {(unit["sku"], unit["open"]) for unit in waiting["units"]} == {("A", 3), ("B", 1)}
    assert (shown.code, "Pending dead letters" in shown.out) == (0, True)


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

    told = (await stockfreeze("order", ACCOUNT, "o1", "--json")).json()

    assert (told["status"], told["eligible"], told["left_by_retention"]) == ("delivered", True, True)
