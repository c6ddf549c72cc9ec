"""Records to events, dead letters and back to records: contract sections 1, 2 and 7."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import TOPIC_OF, TYPES
from schemas.decoding import decode
from schemas.generate import ROOT
from schemas.topics import LEDGER, Topic
from tests.named import named
from tests.unit.domain.shop import DAY, body_of, counted, iso, ms, ordered
from tests.unit.processors.partition import (
    BROKEN,
    CREATED,
    ELSEWHERE,
    HOME,
    NEIGHBOUR,
    NOW,
    PREFIX,
    Partition,
    headers_of,
    restored,
)
from worker.domain.books import RECORDS_PER_STEP
from worker.domain.policies import Policies
from worker.processors.ledger import ERROR_HEADERS, PartitionProcessor
from worker.stream.processor import Outcome
from worker.stream.records import InputRecord

INPUT_TYPES = [name for topic in LEDGER.inputs for name in TYPES[topic]]


@pytest.fixture
def partition() -> Partition:
    return Partition()


# Codes.


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{", b"[]", b"null", b'"text"', b"\xff{}", b'{"type":NaN}', b'{"x":Infinity}', b'{"x":"\\ud800"}'],
)
def test_what_is_no_json_object_is_undecodable(partition: Partition, value: bytes | None) -> None:
    assert partition.code_of(value) == "undecodable"


@pytest.mark.parametrize("kind", ["order.deleted", None, 5, "stock.counted", "sub_order.created"])
def test_a_type_that_is_none_or_belongs_to_another_topic_is_unknown(partition: Partition, kind: object) -> None:
    assert partition.code_of({**CREATED, "type": kind}) == "unknown_type"


def test_codes_are_decided_in_their_order(partition: Partition) -> None:
    late = iso(NOW + DAY + 1)
    everything = {**BROKEN, "type": "nonsense", "account_id": ELSEWHERE, "occurred_at": late}
    assert partition.code_of(json.dumps(everything).encode()[:-1]) == "undecodable"
    assert partition.code_of(everything) == "unknown_type"
    assert partition.code_of({**BROKEN, "account_id": ELSEWHERE, "occurred_at": late}) == "invalid"
    assert partition.code_of({**CREATED, "account_id": ELSEWHERE, "occurred_at": late}) == "key_mismatch"
    elsewhere = {**CREATED, "account_id": ELSEWHERE, "occurred_at": late}
    assert partition.code_of(elsewhere, key=ELSEWHERE.encode()) == "wrong_partition"
    assert partition.code_of({**CREATED, "occurred_at": late}) == "future"
    assert partition.code_of({**CREATED, "occurred_at": iso(-91 * DAY)}) == "too_late"
    partition.process(CREATED)
    assert partition.code_of({**CREATED, "lines": ordered(2)}) == "conflict"


@pytest.mark.parametrize("key", [None, b"", b"A", b"a ", b"\xff"])
def test_a_key_that_is_not_the_account_is_a_mismatch(partition: Partition, key: bytes | None) -> None:
    assert partition.code_of(CREATED, key=key) == "key_mismatch"


def test_a_refused_record_changes_nothing_else(partition: Partition) -> None:
    partition.process(body_of("order.cancelled", NOW + DAY + 1))
    partition.process(CREATED, key=b"b")
    records = named(partition.processor.flush())
    topics = {record.topic.removeprefix(PREFIX) for record in records}
    assert topics == {Topic.DEAD_LETTERS, Topic.STATE, Topic.ALERTS}
    (order,) = partition.processor.ledger.orders()
    assert (order.known, len(order.dead_letters)) == (False, 1)


def test_bad_records_do_not_stop_good_ones(partition: Partition) -> None:
    outcomes = [partition.process(value) for value in (b"{", CREATED, BROKEN, CREATED)]
    assert outcomes == [Outcome.DEAD_LETTERED, Outcome.APPLIED, Outcome.DEAD_LETTERED, Outcome.DUPLICATE]
    records = named(partition.processor.flush())
    assert len([record for record in records if record.topic == PREFIX + Topic.DEAD_LETTERS]) == 2


# Dead letters.


def test_a_dead_letter_is_the_original_with_why_and_from_where(partition: Partition) -> None:
    raw = json.dumps(BROKEN).encode()
    partition.process(raw, headers=[("trace", b"\xff\x00")], timestamp=ms(5))
    record = partition.dead_letter()
    assert (record.key, record.value) == (b"a", raw)
    headers = dict(record.headers)
    assert (headers.pop("error") or b"").startswith(b"The field lines ")
    assert headers == {
        "error-code": b"invalid",
        "source-topic": b"shop.orders.events.v1",
        "source-partition": str(HOME).encode(),
        "source-offset": b"7",
        "source-timestamp": str(ms(5)).encode(),
        "trace": b"\xff\x00",
    }


def test_headers_without_a_value_are_kept_as_they_are(partition: Partition) -> None:
    partition.process(BROKEN, headers=[("trace", None), ("replay-of", None), ("error", None)])
    assert list(partition.dead_letter().headers[len(ERROR_HEADERS) :]) == [("trace", None), ("replay-of", None)]


def test_a_dead_letter_may_have_neither_key_nor_value(partition: Partition) -> None:
    partition.process(None, key=None)
    assert partition.dead_letter()[1:3] == (None, None)


def test_dead_letters_are_counted_by_code(partition: Partition) -> None:
    partition.process(b"{")
    partition.process(b"}")
    partition.process(BROKEN)
    tally = partition.processor.tally
    assert (tally["dead_letter", "undecodable"], tally["dead_letter", "invalid"]) == (2, 1)


def test_the_first_refusal_of_each_account_is_kept_for_the_log(partition: Partition) -> None:
    partition.process(BROKEN)
    partition.process(b"{")
    partition.process({**CREATED, "account_id": NEIGHBOUR}, key=b"a")
    partition.process(b"{", key=None)
    refusals = {
        account: (first.offset, first.code, first.count) for account, first in partition.processor.refusals.items()
    }
    assert refusals == {"a": (7, "invalid", 2), NEIGHBOUR: (9, "key_mismatch", 1), None: (10, "undecodable", 1)}


def test_many_dead_letters_are_handed_over_a_few_at_a_time() -> None:
    partition = Partition()
    for _ in range(2 * RECORDS_PER_STEP + 1):
        partition.process(b"{")
    sizes = [len(outputs) for outputs in partition.processor.flush()]
    assert (sum(sizes), max(sizes)) == (2 * RECORDS_PER_STEP + 1, RECORDS_PER_STEP)


def test_a_record_without_a_usable_timestamp_is_dead_lettered(partition: Partition) -> None:
    for timestamp in (-1, 2**62):
        assert partition.code_of(BROKEN, timestamp=timestamp) == "invalid"
    assert len(partition.pending()) == 2


# Replays.


def test_a_replay_keeps_the_place_of_the_first_and_its_own_headers(partition: Partition) -> None:
    partition.process(BROKEN)
    first = partition.dead_letter()
    name = f"shop.orders.events.v1/{HOME}/7"
    partition.process(BROKEN, headers=[*first.headers, ("replay-of", name.encode())], timestamp=ms(NOW + 1))
    again = partition.dead_letter()
    names = [header for header, _ in again.headers]
    assert len(names) == len(set(names))
    headers = headers_of(again)
    assert (headers["source-topic"], headers["source-partition"], headers["source-offset"]) == (
        "shop.orders.events.v1",
        str(HOME),
        "7",
    )
    assert headers["replay-of"] == name
    assert partition.pending() == [name]


def test_an_accepted_replay_ends_the_dead_letter(partition: Partition) -> None:
    partition.process(BROKEN)
    name = f"shop.orders.events.v1/{HOME}/7"
    assert partition.pending() == [name]
    assert partition.process(CREATED, headers=[("replay-of", name.encode())]) is Outcome.APPLIED
    assert partition.pending() == []


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"nonsense", b"a/b/c", b"\xff/0/1", b"t/0/-1", b"t/0/1/2"),
        f"orders.events.v1/{HOME}/3".encode(),  # without the prefix: another system's
        f"shop.orders.events.v1/{HOME + 1}/3".encode(),
        f"shop.orders.events.v1/0{HOME}/3".encode(),
        f"shop.orders.events.v1/{HOME}/07".encode(),
        f"shop.orders.events.v1/{HOME}/٣".encode(),
        f"shop.dead-letters.v1/{HOME}/3".encode(),
    ],
)
def test_a_header_that_names_no_dead_letter_makes_no_replay(partition: Partition, value: bytes | None) -> None:
    partition.process(BROKEN, headers=[("replay-of", value)])
    assert partition.pending() == [f"shop.orders.events.v1/{HOME}/7"]


# Which dead letters are of an order.


@pytest.mark.parametrize("topic", [Topic.ORDERS, Topic.SUB_ORDERS, Topic.STOCK])
def test_whatever_names_an_order_of_the_account_holds_it_back(partition: Partition, topic: Topic) -> None:
    assert partition.code_of({"type": "x", "account_id": "a", "order_id": "o"}, topic=topic) == "unknown_type"
    assert partition.pending() == [f"shop.{topic}/{HOME}/7"]


def test_commands_hold_nothing_back(partition: Partition) -> None:
    assert partition.code_of({"type": "x", "account_id": "a", "order_id": "o"}, topic=Topic.COMMANDS) == "unknown_type"
    assert list(partition.processor.ledger.orders()) == []


def test_an_account_of_another_partition_holds_nothing_back(partition: Partition) -> None:
    assert partition.code_of({**CREATED, "account_id": ELSEWHERE}, key=ELSEWHERE.encode()) == "wrong_partition"
    assert list(partition.processor.ledger.orders()) == []


def test_a_neighbour_in_the_partition_is_another_account(partition: Partition) -> None:
    partition.process({**BROKEN, "account_id": NEIGHBOUR}, key=NEIGHBOUR.encode())
    assert partition.pending() == []
    assert [order.account_id for order in partition.processor.ledger.orders()] == [NEIGHBOUR]


# How many are pending.


def test_pending_dead_letters_are_counted_by_their_last_code(partition: Partition) -> None:
    ahead = {**CREATED, "order_id": "ahead", "occurred_at": iso(3 * DAY)}
    name = f"shop.orders.events.v1/{HOME}/7"
    partition.process(ahead)
    partition.process(BROKEN)
    partition.process(b"{")
    partition.process({**CREATED, "order_id": "old", "occurred_at": iso(-91 * DAY)})
    assert partition.processor.pending() == {"future": 1, "invalid": 1}
    late = ms(200 * DAY)
    assert partition.process(ahead, headers=[("replay-of", name.encode())], timestamp=late) is Outcome.DEAD_LETTERED
    assert partition.processor.pending() == {"future": 0, "invalid": 1, "too_late": 1}
    assert restored(partition).processor.pending() == {"invalid": 1, "too_late": 1}
    discarded = body_of("dead_letter.discarded", order_id="ahead", dead_letter_id=name)
    assert partition.process(discarded, topic=Topic.COMMANDS, timestamp=late) is Outcome.APPLIED
    assert restored(partition).processor.pending() == {"invalid": 1}


def test_a_pending_dead_letter_without_a_code_is_counted_as_unknown(partition: Partition) -> None:
    partition.process(BROKEN)
    assert restored(partition, without=b"pending/").processor.pending() == {"unknown": 1}


# Every type of event.


EXAMPLES = sorted(path for name in INPUT_TYPES for path in (ROOT / "examples" / "valid" / name).glob("*.json"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_type_of_event_is_taken_also_by_a_large_order(path: Path) -> None:
    raw, topic = path.read_bytes(), TOPIC_OF[path.parent.name]
    body: dict[str, Any] = json.loads(raw)
    decoded = decode(topic, raw)
    recorded_at = max(decoded.occurred_at_ms, decoded.as_of_ms)
    key = body["account_id"].encode()
    processor = PartitionProcessor(partition=0, partition_count=1, prefix="", policies=Policies())
    numbers = count()

    def send(topic: Topic, value: bytes) -> Outcome:
        return processor.process(InputRecord(topic, 0, next(numbers), recorded_at, key, value, ()))

    many = [{"sku": f"sku {number}", "quantity": 1} for number in range(1000)]
    common = {name: body[name] for name in ("account_id", "occurred_at")}
    large = body_of("order.created", order_id=body.get("order_id", "o"), lines=many) | common
    assert send(Topic.ORDERS, json.dumps(large).encode()) is Outcome.APPLIED
    assert send(topic, raw) is not Outcome.DEAD_LETTERED
    list(processor.flush())


# What the engine asks.


ESCAPED = rb'{"type": "stock\u002ecounted"}'


def test_only_counts_wait_for_the_other_inputs(partition: Partition) -> None:
    waits = {
        (topic, raw): partition.processor.waits(InputRecord(PREFIX + topic, HOME, 0, 0, b"a", raw, ()))
        for topic in LEDGER.inputs
        for raw in (b'{"type": "stock.counted"}', ESCAPED, b'{"type":"stock.adjusted"}', None)
    }
    assert [place for place, waiting in waits.items() if waiting] == [
        (Topic.STOCK, b'{"type": "stock.counted"}'),
        (Topic.STOCK, ESCAPED),
    ]


def test_outputs_go_to_the_topics_with_the_prefix(partition: Partition) -> None:
    partition.process(CREATED)
    topics = {record.topic for record in named(partition.processor.flush())}
    assert topics == {PREFIX + topic for topic in (Topic.MOVEMENTS, Topic.LEVELS, Topic.STATUS, Topic.STATE)}


def test_event_ids_name_the_topic_with_its_prefix(partition: Partition) -> None:
    partition.process(CREATED)
    records = [record for record in named(partition.processor.flush()) if record.topic == PREFIX + Topic.MOVEMENTS]
    assert json.loads(records[0].value or b"")["event_id"] == f"shop.orders.events.v1/{HOME}/7/0"


def test_an_alert_of_a_conflict_says_what_it_is_about(partition: Partition) -> None:
    partition.process(body_of("sub_order.on_hold", event_id="same"), topic=Topic.SUB_ORDERS)
    partition.process(body_of("sub_order.shipped", event_id="same"), topic=Topic.SUB_ORDERS)
    alerts = [record for record in named(partition.processor.flush()) if record.topic == PREFIX + Topic.ALERTS]
    alert, _ = [json.loads(record.value or b"") for record in alerts]
    assert (alert["alert"], alert["order_id"], alert["sub_order_id"], alert["cause"]) == ("conflict", "o", "s", "same")


def test_an_alert_of_a_conflict_about_stock_says_where(partition: Partition) -> None:
    for delta in (1, 2):
        partition.process(body_of("stock.adjusted", event_id="same", delta=delta), topic=Topic.STOCK)
    for on_hand in (1, 2):
        partition.process(body_of("stock.counted", **counted(on_hand, 0)), topic=Topic.STOCK)
    alerts = [record for record in named(partition.processor.flush()) if record.topic == PREFIX + Topic.ALERTS]
    of_adjustment, of_count = [json.loads(record.value or b"") for record in alerts]
    assert (of_adjustment["warehouse_id"], of_adjustment["sku"]) == ("w", "k")
    assert (of_count["warehouse_id"], "sku" in of_count) == ("w", False)
    assert (of_count["origin"], of_count["snapshot_id"]) == ("erp", "n0")


@pytest.mark.parametrize(
    ("given", "dated"), [({}, iso(NOW)), ({"occurred_at": "soon"}, iso(NOW)), ({"occurred_at": iso(9)}, iso(9))]
)
def test_a_revocation_by_a_refused_record_has_its_time_if_readable(
    partition: Partition, given: dict[str, str], dated: str
) -> None:
    partition.process(CREATED)
    partition.process(body_of("order.cancelled"))
    list(partition.processor.flush())
    partition.process({"type": "x", "account_id": "a", "order_id": "o", "event_id": "unread", **given})
    records = [record for record in named(partition.processor.flush()) if record.topic == PREFIX + Topic.ELIGIBILITY]
    (revoked,) = [json.loads(record.value or b"") for record in records]
    assert (revoked["type"], revoked["occurred_at"], revoked["cause"]) == ("archive.revoked", dated, "unread")


# Bounds.


def test_accounts_that_are_only_named_are_not_remembered() -> None:
    processor = PartitionProcessor(partition=0, partition_count=1, prefix=PREFIX, policies=Policies())
    numbers = count()

    def send(kind: str, topic: Topic, at: int = 0, **fields: object) -> Outcome:
        number = next(numbers)
        account_id = f"account-{number}"
        value = json.dumps(body_of(kind, at, **{**fields, "account_id": account_id})).encode()
        return processor.process(InputRecord(PREFIX + topic, 0, number, ms(NOW), account_id.encode(), value, ()))

    assert send("order.created", Topic.ORDERS, lines=ordered(1)) is Outcome.APPLIED
    for _ in range(5):
        assert send("archive.requested", Topic.COMMANDS) is Outcome.APPLIED
        assert send("dead_letter.discarded", Topic.COMMANDS, dead_letter_id="t/0/0") is Outcome.STALE
        late = counted(1, -600 * DAY)
        assert send("stock.counted", Topic.STOCK, **late) is Outcome.DEAD_LETTERED
        assert send("stock.adjusted", Topic.STOCK, NOW + DAY + 1, delta=1) is Outcome.DEAD_LETTERED
        assert send("order.cancelled", Topic.ORDERS, -91 * DAY) is Outcome.DEAD_LETTERED
    list(processor.flush())
    assert processor.gauges()["accounts"] == 1
    assert send("order.created", Topic.ORDERS, lines=ordered(1)) is Outcome.APPLIED
    list(processor.flush())
    assert processor.gauges()["accounts"] == 2


def test_outputs_of_a_topic_that_was_accepted_anew_name_its_generation(partition: Partition) -> None:
    for _ in partition.processor.finish_restore(-1, {PREFIX + Topic.ORDERS: 2}):
        pass
    partition.process(CREATED)
    moved = next(r for r in named(partition.processor.flush()) if r.topic == PREFIX + Topic.MOVEMENTS)
    assert json.loads(moved.value or b"")["event_id"] == f"shop.orders.events.v1~2/{HOME}/7/0"


def test_a_dead_letter_of_an_accepted_topic_names_its_generation(partition: Partition) -> None:
    for _ in partition.processor.finish_restore(-1, {PREFIX + Topic.ORDERS: 2}):
        pass
    partition.process(BROKEN)
    assert headers_of(partition.dead_letter())["source-topic"] == "shop.orders.events.v1~2"
    assert partition.pending() == [f"shop.orders.events.v1~2/{HOME}/7"]
    older = f"shop.orders.events.v1/{HOME}/3"
    partition.process(BROKEN, headers=[("replay-of", older.encode())])
    assert partition.pending() == [f"shop.orders.events.v1~2/{HOME}/7", older]
