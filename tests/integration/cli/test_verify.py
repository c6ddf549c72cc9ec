"""`stockfreeze verify` on a broker: it is the judge, so each kind of corruption is shown to it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from schemas.encoding import key_of
from schemas.topics import Topic
from tests.brokers import Names
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import Transaction, account_in

ACCOUNT = account_in(0, PARTITIONS)


async def test_a_system_without_a_record_passes(stockfreeze: Command, system: System) -> None:
    del system

    result = await stockfreeze("verify")

    assert result.code == 0
    assert "verify: nothing lost, nothing doubled: 0 movements of 0 keys in 2 partitions" in result.out


async def test_a_sound_system_passes_and_is_counted(stockfreeze: Command, system: System) -> None:
    await system.process_story()

    result = await stockfreeze("verify", "--json")

    assert result.code == 0
    answer = result.json()
    assert (answer["ok"], answer["orders"], answer["stock_keys"], answer["movements"]) == (True, 6, 6, 26)
    assert answer["records"] == {"applied": 18, "duplicate": 2, "stale": 0, "dead_lettered": 4, "gaps": 0}


def lost_movement(records: Transaction) -> Transaction:
    lost = next((r for r in records if r.value is not None and b'"unfreeze"' in r.value), None)
    return [record for record in records if record is not lost]


def doubled_movement(records: Transaction) -> Transaction:
    doubled = next((r for r in records if r.value is not None and b'"movement":"release"' in r.value), None)
    return [copy for record in records for copy in ([record, record] if record is doubled else [record])]


def wrong_level(records: Transaction) -> Transaction:
    return [
        record._replace(value=json.dumps(json.loads(record.value) | {"frozen": 77}).encode())
        if record.value is not None and record.topic.endswith(Topic.LEVELS)
        else record
        for record in records
    ]


def wrong_state(records: Transaction) -> Transaction:
    return [record for record in records if record.key != key_of("order", ACCOUNT, "o2")]


def wrong_status(records: Transaction) -> Transaction:
    return [record for record in records if record.key != key_of(ACCOUNT, "o2")]


def lost_dead_letter(records: Transaction) -> Transaction:
    return [record for record in records if not record.topic.endswith(Topic.DEAD_LETTERS)]


@pytest.mark.parametrize(
    ("corrupt", "check"),
    [
        (lost_movement, "balance"),
        (doubled_movement, "repeated"),
        (wrong_level, "stock"),
        (wrong_state, "status"),
        (wrong_status, "status"),
        (lost_dead_letter, "dead_letters"),
    ],
)
async def test_a_corrupted_system_is_found_and_what_differs_is_told(
    stockfreeze: Command, system: System, corrupt: Callable[[Transaction], Transaction], check: str
) -> None:
    await system.process_story(corrupt)

    result = await stockfreeze("verify", "--json")

    assert result.code == 1
    assert check in result.json()["found"]
    assert {finding["partition"] for finding in result.json()["findings"]} == {0}


async def test_what_differs_is_shown_to_people_too(stockfreeze: Command, system: System) -> None:
    await system.process_story(lost_movement)

    result = await stockfreeze("verify")

    assert result.code == 1
    assert "What differs" in result.out
    assert "verify: " in result.out.splitlines()[-1]


async def test_a_missing_topic_cannot_be_judged(stockfreeze: Command) -> None:
    result = await stockfreeze("verify")

    assert result.code == 2
    assert "is missing" in result.err


@pytest.mark.parametrize("corrupt", [lambda records: records, lost_movement])
async def test_several_processes_count_and_find_what_one_does(
    stockfreeze: Command, system: System, corrupt: Callable[[Transaction], Transaction]
) -> None:
    await system.process_story(corrupt)

    alone = await stockfreeze("verify", "--json", "--processes", "1")
    shared = await stockfreeze("verify", "--json", "--processes", "2")

    assert (shared.code, shared.json()) == (alone.code, alone.json())


@pytest.mark.apache
async def test_an_app_id_that_is_another_systems_is_named(stockfreeze: Command, system: System, names: Names) -> None:
    await system.process_story()

    right = await stockfreeze("verify")
    wrong = await stockfreeze("verify", APP_ID="mistyped")
    answer = (await stockfreeze("verify", "--json", APP_ID="mistyped")).json()

    assert (right.code, right.err) == (0, "")
    assert "the group mistyped is unknown, although the state has positions" in wrong.err
    assert f"{names.app_id} has read these inputs" in wrong.err
    assert answer["group"] == {"id": "mistyped", "known": False, "others": [names.app_id]}


async def test_a_system_that_never_ran_is_told_nothing_of_its_group(stockfreeze: Command, system: System) -> None:
    del system

    assert (await stockfreeze("verify")).err == ""
