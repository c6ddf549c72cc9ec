"""The verification of a partition as a whole, on topics in memory that the real processor wrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from schemas.encoding import key_of
from schemas.topics import Topic
from tests.offline import Transaction, account_in, replaced
from tests.topics_in_memory import MemoryCluster, MemoryReader
from tests.unit.verification.world import ACCOUNT, COUNT, PARTITION, World, changed, found, world
from worker.domain.policies import Policies
from worker.inspection.state_reader import processors
from worker.stream.records import InputRecord, OutputRecord
from worker.stream.state.positions import POSITIONS_KEY, decode_checkpoint, encode_checkpoint
from worker.verification.findings import Check
from worker.verification.partition import VerifiedSystem, verify_partition


def of(topic: Topic) -> Callable[[OutputRecord], bool]:
    return lambda record: record.topic == topic


async def test_an_untouched_partition_has_no_findings_and_is_counted() -> None:
    report = await world().verify()

    assert report.findings.examples == []
    assert (report.orders, report.stock_keys, report.movements, report.dead_letters) == (3, 3, 13, 2)
    assert report.outcomes == {"applied": 9, "duplicate": 1, "stale": 0, "dead_lettered": 2, "gaps": 0}
    assert report.rounds == 1


async def test_a_partition_that_never_had_a_record_has_no_findings() -> None:
    empty = World(MemoryReader({}), MemoryCluster({}))

    report = await empty.verify()

    assert not report.findings


async def test_a_lost_movement_is_found_at_the_movement_after_it_and_in_the_sum() -> None:
    def lose_first_freeze(number: int, records: Transaction) -> Transaction:
        lost = next((r for r in records if number == 0 and r.value is not None and b'"freeze"' in r.value), None)
        return [record for record in records if record is not lost]

    report = await world(lose_first_freeze).verify()

    assert found(report) == {Check.BALANCE, Check.STOCK, Check.TOPICS}
    [balance] = [finding for finding in report.findings.examples if finding.check is Check.BALANCE]
    assert balance.place is not None
    assert balance.place.startswith(f"{Topic.MOVEMENTS}/{PARTITION}/")
    assert "but is" in balance.message


async def test_the_last_movement_of_a_key_lost_is_found_in_the_sum() -> None:
    def lose_last(number: int, records: Transaction) -> Transaction:
        movements = [record for record in records if record.topic == Topic.MOVEMENTS]
        return [record for record in records if number != 2 or record is not movements[-1]]

    report = await world(lose_last).verify()

    assert found(report) == {Check.STOCK, Check.TOPICS}
    assert "the journal's sum" in report.findings.examples[-1].message


async def test_a_doubled_movement_is_found_by_its_event_its_balance_and_the_sum() -> None:
    def double(number: int, records: Transaction) -> Transaction:
        doubled = next((r for r in records if number == 1 and r.topic == Topic.MOVEMENTS), None)
        return [copy for record in records for copy in ([record, record] if record is doubled else [record])]

    report = await world(double).verify()

    assert {Check.REPEATED, Check.BALANCE, Check.STOCK} == found(report)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("on_hand_delta", "on_hand is 5 in the journal's sum, 12 in the level"),
        ("frozen_delta", "frozen is 6 in the journal's sum, 3 in the level"),
    ],
)
async def test_a_wrong_delta_is_found_by_its_balance_and_by_the_sum(field: str, message: str) -> None:
    def falsify_first(number: int, records: Transaction) -> Transaction:
        first = next((record for record in records if number == 0 and record.topic == Topic.MOVEMENTS), None)
        return [changed(record, **{field: 3}) if record is first else record for record in records]

    report = await world(falsify_first).verify()

    assert report.findings.counts == {Check.BALANCE: 1, Check.STOCK: 1}
    assert any(finding.message.startswith(message) for finding in report.findings.examples)


async def test_a_whole_transaction_written_twice_is_found() -> None:
    sound = world()
    journal = sound.topics[Topic.MOVEMENTS]
    last = journal[-1].offset
    again = [replaced(record, offset=last + 2 + number) for number, record in enumerate(journal[-2:])]
    journal.extend(again)

    report = await sound.verify()

    assert report.findings.counts[Check.REPEATED] == 2


async def test_a_wrong_level_is_found() -> None:
    def wrong(number: int, records: Transaction) -> Transaction:
        del number
        key = key_of(ACCOUNT, "main", "A")
        return [
            changed(record, frozen=4, available=8) if record.topic == Topic.LEVELS and record.key == key else record
            for record in records
        ]

    report = await world(wrong).verify()

    assert found(report) == {Check.STOCK}
    assert any("4 in the level" in finding.message for finding in report.findings.examples)


async def test_a_missing_level_is_found() -> None:
    def lose(number: int, records: Transaction) -> Transaction:
        del number
        return [record for record in records if record.key != key_of(ACCOUNT, "main", "A")]

    report = await world(lose).verify()

    assert found(report) == {Check.STOCK}


async def test_a_level_whose_available_does_not_follow_is_found() -> None:
    def wrong(number: int, records: Transaction) -> Transaction:
        del number
        is_level = of(Topic.LEVELS)
        return [changed(record, available=99) if is_level(record) else record for record in records]

    report = await world(wrong).verify()

    assert found(report) == {Check.STOCK}
    assert "available is 99" in report.findings.examples[0].message


async def test_a_state_that_lost_an_order_is_found_in_stock_and_status() -> None:
    def lose_order(number: int, records: Transaction) -> Transaction:
        del number
        key = key_of("order", ACCOUNT, "o2")
        return [record for record in records if record.topic != Topic.STATE or record.key != key]

    report = await world(lose_order).verify()

    assert {Check.STOCK, Check.STATUS} <= found(report)


async def test_a_state_and_level_wrong_alike_are_found_by_the_journal() -> None:
    # The order o2 never happened, for the state and the levels; journal and statuses know better.
    sound = world()
    state = sound.topics[Topic.STATE]
    state[:] = [record for record in state if record.key != key_of("order", ACCOUNT, "o2")]
    for topic_records in (sound.topics[Topic.LEVELS],):
        for index, record in enumerate(topic_records):
            assert record.value is not None
            level = json.loads(record.value)
            if level["frozen"] == (3 if level["sku"] == "A" else 1):
                level["frozen"] = 0
                level["available"] = level["on_hand"]
                topic_records[index] = replaced(record, value=json.dumps(level).encode())

    report = await sound.verify()

    assert {Check.STOCK, Check.STATUS} <= found(report)
    messages = [finding.message for finding in report.findings.examples if finding.check is Check.STOCK]
    assert any("0 in the level, 0 in the state" in message for message in messages)


def positions_with(sound: World, **fields: Any) -> None:  # noqa: ANN401 - of any kind
    """Alter the last positions of the state for the orders topic."""
    state = sound.topics[Topic.STATE]
    index = max(i for i, record in enumerate(state) if record.key == POSITIONS_KEY)
    checkpoint = decode_checkpoint(state[index].value or b"")
    positions = checkpoint.positions
    positions[Topic.ORDERS] = positions[Topic.ORDERS]._replace(**fields)
    state[index] = replaced(state[index], value=encode_checkpoint(checkpoint))


async def test_outcomes_that_do_not_add_up_are_found() -> None:
    sound = world()
    positions_with(sound, applied=5)

    report = await sound.verify()

    assert found(report) == {Check.ACCOUNTING}


async def test_a_position_behind_its_outputs_is_found() -> None:
    sound = world()
    positions_with(sound, next_offset=5, applied=3, dead_lettered=1)

    report = await sound.verify()

    assert {Check.UNKNOWN_SOURCE, Check.ACCOUNTING} <= found(report)


async def test_a_group_that_committed_another_offset_is_found() -> None:
    sound = world()
    sound.cluster.offsets[Topic.ORDERS, PARTITION] += 1

    report = await sound.verify()

    assert found(report) == {Check.ACCOUNTING}
    assert "the group has committed" in report.findings.examples[0].message


async def test_an_input_topic_made_anew_is_found() -> None:
    sound = world()
    sound.topics[Topic.ORDERS] = sound.topics[Topic.ORDERS][:2]

    report = await sound.verify()

    assert found(report) == {Check.TOPICS}


async def test_inputs_deleted_before_they_were_read_are_found() -> None:
    sound = world()
    sound.reader.starts[Topic.ORDERS] = 100

    report = await sound.verify()

    assert found(report) == {Check.TOPICS}
    assert "begins at offset 100, but was read up to" in report.findings.examples[0].message


async def test_an_input_with_other_records_than_were_read_is_found() -> None:
    sound = world()
    last = sound.topics[Topic.ORDERS][-1]
    sound.topics[Topic.ORDERS][-1] = replaced(last, value=b"{}")

    report = await sound.verify()

    assert found(report) == {Check.TOPICS}
    assert f"has another record at offset {last.offset}" in report.findings.examples[0].message


async def test_a_last_record_that_expired_is_no_finding() -> None:
    sound = world()
    last = sound.topics[Topic.ORDERS].pop()
    sound.topics[Topic.ORDERS].append(replaced(last, offset=last.offset + 3))

    report = await sound.verify()

    assert found(report) == set()


async def test_a_part_of_the_state_that_expired_is_found() -> None:
    sound = world()
    key = key_of("order", ACCOUNT, "o2")
    sound.topics[Topic.STATE] = [record for record in sound.topics[Topic.STATE] if record.key != key]

    report = await sound.verify()

    assert Check.TOPICS in found(report)
    assert any("some are lost" in finding.message for finding in report.findings.examples)


async def test_an_end_of_the_journal_that_is_lost_is_found() -> None:
    sound = world()
    sound.topics[Topic.MOVEMENTS] = sound.topics[Topic.MOVEMENTS][:-1]

    report = await sound.verify()

    [finding] = [finding for finding in report.findings.examples if finding.check is Check.TOPICS]
    assert "but by the state it continues at" in finding.message


async def test_what_was_republished_from_the_state_is_no_finding() -> None:
    sound = world()
    for topic in (Topic.LEVELS, Topic.STATUS):
        for index, record in enumerate(sound.topics[topic]):
            assert record.value is not None
            fields = json.loads(record.value) | {"event_id": f"{Topic.STATE}/{PARTITION}/99/{index}"}
            sound.topics[topic][index] = replaced(record, value=json.dumps(fields).encode())

    report = await sound.verify()

    assert found(report) == set()


async def test_a_lost_dead_letter_is_found() -> None:
    sound = world()
    sound.topics[Topic.DEAD_LETTERS].pop()

    report = await sound.verify()

    assert found(report) == {Check.DEAD_LETTERS}


async def test_a_journal_whose_beginning_was_deleted_is_found() -> None:
    sound = world()
    sound.reader.starts[Topic.MOVEMENTS] = 2

    report = await sound.verify()

    assert Check.DELETED in found(report)


async def test_a_level_under_the_key_of_another_is_found() -> None:
    sound = world()
    levels = sound.topics[Topic.LEVELS]
    first, last = levels[0], levels[-1]
    assert first.key != last.key
    levels.append(replaced(last, offset=last.offset + 1, key=first.key))

    report = await sound.verify()

    assert found(report) == {Check.PLACEMENT}
    assert report.findings.examples[0].message == f"its key is {(first.key or b'').decode()}"


async def test_an_account_of_another_partition_is_found() -> None:
    stranger = account_in(0, COUNT)
    sound = world()
    levels = sound.topics[Topic.LEVELS]
    assert levels[-1].value is not None
    level = json.loads(levels[-1].value) | {"account_id": stranger, "frozen": 0, "on_hand": None, "available": None}
    key = key_of(stranger, level["warehouse_id"], level["sku"])
    levels.append(replaced(levels[-1], offset=levels[-1].offset + 1, key=key, value=json.dumps(level).encode()))

    report = await sound.verify()

    assert found(report) == {Check.PLACEMENT}
    assert "belongs to partition 0" in report.findings.examples[0].message


async def test_a_state_of_a_newer_version_is_told_and_not_judged() -> None:
    sound = world()
    state = sound.topics[Topic.STATE]
    index = next(i for i, record in enumerate(state) if record.key == key_of("order", ACCOUNT, "o2"))
    state[index] = replaced(state[index], value=b"\x92\x7f\x00")

    report = await sound.verify()

    assert found(report) == {Check.FORMAT}
    assert "not judged" in report.findings.examples[0].message


async def test_a_state_built_for_another_partition_count_is_found() -> None:
    sound = world()
    system = VerifiedSystem(app_id="app", prefix="", partition_count=6, new_processor=processors(6, "", Policies()))

    report = await verify_partition(sound.cluster, sound.reader, system, PARTITION)

    assert Check.FORMAT in found(report)


async def test_a_movement_of_an_unknown_source_is_found_on_a_still_system() -> None:
    sound = world()
    journal = sound.topics[Topic.MOVEMENTS]
    last = journal[-1]
    assert last.value is not None
    made_up = json.loads(last.value) | {"event_id": f"{Topic.STOCK}/{PARTITION}/77/0"}
    journal.append(replaced(last, offset=last.offset + 1, value=json.dumps(made_up).encode()))

    report = await sound.verify()

    assert found(report) == {Check.UNKNOWN_SOURCE}


async def test_a_state_topic_that_was_emptied_is_found() -> None:
    sound = world()
    sound.topics[Topic.STATE] = []

    report = await sound.verify()

    assert {Check.UNKNOWN_SOURCE, Check.ACCOUNTING} <= found(report)


@pytest.mark.parametrize("topic", [Topic.MOVEMENTS, Topic.LEVELS, Topic.STATUS, Topic.DEAD_LETTERS])
async def test_a_record_that_is_none_of_its_topic_is_found(topic: Topic) -> None:
    sound = world()
    records: list[InputRecord] = sound.topics[topic]
    records.append(replaced(records[-1], offset=records[-1].offset + 1, value=b"{}", headers=()))

    report = await sound.verify()

    assert Check.FORMAT in found(report)


@pytest.mark.parametrize("topic", [Topic.MOVEMENTS, Topic.LEVELS, Topic.STATUS, Topic.DEAD_LETTERS])
@pytest.mark.parametrize("value", [b"{}", None])
async def test_records_behind_one_that_cannot_be_read_are_read(topic: Topic, value: bytes | None) -> None:
    sound = world()
    records: list[InputRecord] = sound.topics[topic]
    records.insert(0, replaced(records[0], value=value, headers=()))

    report = await sound.verify()

    assert report.findings.counts == {Check.FORMAT: 1}
