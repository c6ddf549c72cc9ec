"""`stockfreeze dead-letters` on a broker, with a worker that takes what is sent again."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from schemas.topics import Topic
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import Transaction, account_in

ACCOUNT = account_in(0, PARTITIONS)


async def test_dead_letters_are_listed_shown_and_filtered(stockfreeze: Command, system: System) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)

    listed = await stockfreeze("dead-letters", "list", "--json")
    pending = await stockfreeze("dead-letters", "list", "--json", "--pending", "--account", ACCOUNT)
    undecodable = await stockfreeze("dead-letters", "list", "--json", "--code", "undecodable", "--topic", Topic.ORDERS)
    shown = await stockfreeze("dead-letters", "show", f"{orders}/0/3")
    unknown = await stockfreeze("dead-letters", "show", f"{orders}/0/999")

    assert len(listed.json()) == 4
    assert [(row["id"], row["order_id"], row["pending"]) for row in pending.json()] == [(f"{orders}/0/6", "o2", True)]
    assert [(row["source_partition"], row["source_offset"]) for row in pending.json()] == [(0, 6)]
    assert [(row["code"], row["pending"]) for row in undecodable.json()] == [("undecodable", None)] * 2
    assert (shown.code, shown.out.splitlines()[-1]) == (0, "not JSON")
    assert (unknown.code, unknown.err) == (1, f"stockfreeze: there is no dead letter {orders}/0/999.\n")


async def test_a_replay_sends_the_original_and_one_that_is_refused_again_keeps_its_id(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)

    said = await stockfreeze("dead-letters", "replay", f"{orders}/0/3", "--json")
    [again] = await system.process_what_came(Topic.ORDERS, 0)
    listed = await stockfreeze("dead-letters", "list", "--json", "--account", ACCOUNT)
    judged = await stockfreeze("verify", "--json")

    assert said.json() == {"sent": [f"{orders}/0/3"], "too_large": [], "unknown": []}
    assert (again.key, again.value) == (ACCOUNT.encode(), b"not JSON")
    assert list(again.headers) == [("replay-of", f"{orders}/0/3".encode())]
    assert [row["id"] for row in listed.json()].count(f"{orders}/0/3") == 1
    assert (judged.code, judged.json()["dead_letters"], judged.json()["findings"]) == (0, 5, [])


async def test_a_discarded_dead_letter_no_longer_holds_its_order_back(stockfreeze: Command, system: System) -> None:
    await system.process_story()
    pending = f"{system.topic(Topic.ORDERS)}/0/6"
    of_no_order = f"{system.topic(Topic.ORDERS)}/0/3"

    unsure = await stockfreeze("dead-letters", "discard", pending)
    said = await stockfreeze("dead-letters", "discard", "--yes", pending, of_no_order)
    await system.process_what_came(Topic.COMMANDS, 0)
    still = await stockfreeze("dead-letters", "list", "--pending", "--account", ACCOUNT, "--json")
    order = await stockfreeze("order", ACCOUNT, "o2", "--json")

    assert (unsure.code, said.code) == (2, 1)
    assert "holds no order back" in said.err
    assert still.json() == []
    assert order.json()["dead_letters"] == []


async def test_all_of_a_code_are_sent_again_but_not_what_is_settled(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    said = await stockfreeze("dead-letters", "replay", "--code", "invalid")

    assert said.code == 0
    assert f"2 sent again: 2 to {system.topic(Topic.ORDERS)}" in said.out


@pytest.mark.apache
async def test_one_that_is_too_large_with_another_header_is_told_and_the_others_are_sent(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story()
    orders = system.topic(Topic.ORDERS)
    admin = AIOKafkaAdminClient(bootstrap_servers=system.broker.bootstrap_servers)
    await admin.start()
    try:
        # Between what `not JSON` takes as a record and what the other one does.
        resource = ConfigResource(ConfigResourceType.TOPIC, orders, configs={"max.message.bytes": "200"})
        await admin.alter_configs([resource])
    finally:
        await admin.close()

    said = await stockfreeze("dead-letters", "replay", "--all", "--json")
    told = await stockfreeze("dead-letters", "replay", f"{orders}/0/6")

    assert (said.code, said.json()["too_large"]) == (1, [f"{orders}/{partition}/6" for partition in range(PARTITIONS)])
    assert said.json()["sent"] == [f"{orders}/{partition}/3" for partition in range(PARTITIONS)]
    assert (told.code, f"{orders}/0/6 is larger than its topic takes" in told.err) == (1, True)


def _from_elsewhere(records: Transaction) -> Transaction:
    """What was refused in partition 0 says to be from a topic that is no input."""
    source = [("source-topic", b"elsewhere"), ("source-partition", b"0")]
    return [
        record._replace(headers=[*source, *(header for header in record.headers if header[0] != "source-topic")])
        if ("source-partition", b"0") in record.headers
        else record
        for record in records
    ]


async def test_what_came_from_no_input_keeps_none_of_the_others_from_being_sent_again(
    stockfreeze: Command, system: System
) -> None:
    await system.process_story(_from_elsewhere)

    all_of_them = await stockfreeze("dead-letters", "replay", "--all", "--json")
    itself = await stockfreeze("dead-letters", "replay", "elsewhere/0/3")

    assert all_of_them.code == 0
    assert all_of_them.json()["sent"] == [f"{system.topic(Topic.ORDERS)}/1/{offset}" for offset in (3, 6)]
    assert (itself.code, "did not come from an input of this system" in itself.err) == (2, True)


async def test_what_is_no_id_is_refused(stockfreeze: Command, system: System) -> None:
    del system

    assert (await stockfreeze("dead-letters", "show", "nonsense")).code == 2
    assert (await stockfreeze("dead-letters", "replay")).code == 2
