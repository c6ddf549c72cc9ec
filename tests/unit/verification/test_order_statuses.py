"""The status records of a partition, against the orders of its state."""

from __future__ import annotations

import json

import pytest

from schemas.encoding import key_of
from schemas.state import VERSION, RetiredOrder, encode
from schemas.topics import Topic
from tests.offline import NOW_MS, Transaction
from tests.property.drafts import RULES
from tests.property.histories import long_history
from tests.property.real import Real
from tests.unit.verification.world import ACCOUNT, changed, found, world
from worker.stream.records import OutputRecord
from worker.verification.findings import Check
from worker.verification.order_statuses import _fingerprint, _written


@pytest.mark.parametrize(
    "fields", [{"status": "completed"}, {"placed": False}, {"eligible": True}, {"sub_orders": {"x": "processing"}}]
)
async def test_a_wrong_status_record_is_found(fields: dict[str, object]) -> None:
    def wrong(number: int, records: Transaction) -> Transaction:
        del number
        key = key_of(ACCOUNT, "o2")
        return [
            changed(record, **fields) if record.topic == Topic.STATUS and record.key == key else record
            for record in records
        ]

    report = await world(wrong).verify()

    assert found(report) == {Check.STATUS}
    [(name, value)] = fields.items()
    shown = json.dumps(value, separators=(",", ":"))
    assert f"{name} is {shown} in the record" in report.findings.examples[0].message


async def test_a_missing_status_record_is_found() -> None:
    def lose(number: int, records: Transaction) -> Transaction:
        del number
        return [record for record in records if record.key != key_of(ACCOUNT, "o2")]

    report = await world(lose).verify()

    assert found(report) == {Check.STATUS}


@pytest.mark.parametrize("transactions", [3, 12], ids=["written once", "written at each step"])
async def test_an_eligible_order_that_left_the_state_may_keep_its_status(transactions: int) -> None:
    def retire(number: int, records: Transaction) -> Transaction:
        if number == transactions - 1:
            left = encode(RetiredOrder(VERSION, NOW_MS, NOW_MS, []))
            records = [
                *records,
                OutputRecord(Topic.STATE, key_of("order", ACCOUNT, "o3"), None),
                OutputRecord(Topic.STATE, key_of("retired", ACCOUNT, "o3"), left),
            ]
        return records

    report = await world(retire, transactions).verify()

    assert report.findings.examples == []


async def test_what_the_worker_writes_of_any_order_is_known_by_its_fingerprint() -> None:
    """Or every status would be kept until the end, and read field by field."""
    for seed in range(6):
        real = Real(RULES[0])
        written: dict[bytes, bytes] = {}
        for given in long_history(seed, 60):
            _, outputs = real.feed(given)
            written |= {of.key or b"": of.value or b"" for of in outputs.of(Topic.STATUS)}
        for view in real.processor.ledger.orders():
            if view.known:
                key = key_of(view.account_id, view.order_id)
                assert _fingerprint(written[key]) == _fingerprint(_written(view))


async def test_a_status_that_says_the_same_in_another_spelling_is_no_finding() -> None:
    def respelt(number: int, records: Transaction) -> Transaction:
        del number
        return [
            record._replace(value=json.dumps(json.loads(record.value or b""), indent=1).encode())
            if record.topic == Topic.STATUS
            else record
            for record in records
        ]

    assert not (await world(respelt).verify()).findings
