"""Examples worked by hand from the contract's sentences: the model must say what they say, or it is no auditor."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from schemas.catalogue import TYPES
from schemas.topics import LEDGER
from tests.model import reading
from tests.model.reading import DAY_MS, HOUR_MS, MINUTE_MS, ORDERS
from tests.model.run import AccountRules, Model, Record, Step

START = 1_772_323_200_000


class Shop:
    """One account of a partition; `at` of an event is in minutes."""

    def __init__(self, rules: AccountRules = AccountRules()) -> None:  # noqa: B008 -- immutable
        self.model = Model(0, 1, "", rules)
        self.offset = -1
        self.now = START + HOUR_MS

    def say(self, kind: str, at: int = 0, **fields: object) -> Step:
        topic = next(topic for topic, types in reading.TYPES.items() if kind in types)
        return self.send(topic, self.body(kind, at, **fields))

    def body(self, kind: str, at: int, **fields: object) -> dict[str, Any]:
        body: dict[str, object] = {
            "type": kind,
            "event_id": f"e{self.offset}",
            "account_id": "a",
            "occurred_at": iso(at),
        }
        if kind.startswith("sub_order"):
            body["sub_order_id"] = "s"
        if not kind.startswith("stock"):
            body["order_id"] = "o"
        return {**body, **fields}

    def send(self, topic: str, body: dict[str, Any], headers: tuple[tuple[str, bytes], ...] = ()) -> Step:
        self.offset += 1
        value = json.dumps(body).encode()
        return self.model.feed(Record(topic, 0, self.offset, self.now, b"a", value, headers))

    def count(self, on_hand: int, as_of: int, **fields: object) -> Step:
        whole = {"origin": "erp", "snapshot_id": f"n{self.offset}", "part": 1, "parts": 1, "warehouse_id": "w"}
        counts = [{"sku": "k", "on_hand": on_hand}]
        return self.say("stock.counted", as_of, **{**whole, "as_of": iso(as_of), "counts": counts, **fields})

    def level(self) -> tuple[int | None, int]:
        sums = self.model.account("a").ground.stock()["w", "k"]
        return sums.on_hand, sums.open

    def rows(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.model.account("a").ground.orders["o"].rows]


def iso(minutes: int) -> str:

    return dt.datetime.fromtimestamp((START + minutes * MINUTE_MS) / 1000, dt.UTC).isoformat()


def lines(quantity: int, sku: str = "k", **more: object) -> list[dict[str, Any]]:
    return [{"sku": sku, "quantity": quantity, **more}]


def order_lines(quantity: int, warehouse_id: str = "w") -> list[dict[str, Any]]:
    return lines(quantity, warehouse_id=warehouse_id)


def moves(step: Step) -> list[tuple[str, int, int, int]]:
    return [(m["movement"], m["quantity"], m["frozen_delta"], m["on_hand_delta"]) for m in step.movements]


@pytest.fixture
def shop() -> Shop:
    return Shop()


def test_murmur2_gives_the_partitions_of_the_java_client() -> None:
    # Values of the Java client's own tests (UtilsTest.testMurmur2).
    known = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}
    assert {text: reading.murmur2(text.encode()) - 2**32 for text in known} == known


def test_an_order_freezes_and_a_shipment_releases_and_takes_off_what_was_counted_before(shop: Shop) -> None:
    assert moves(shop.count(10, 0)) == [("count", 10, 0, 10)]
    assert moves(shop.say("order.created", 1, lines=order_lines(3))) == [("freeze", 3, 3, 0)]
    assert moves(shop.say("sub_order.created", 2, warehouse_id="w", lines=lines(3))) == []
    assert moves(shop.say("sub_order.shipped", 3)) == [("release", 3, -3, -3)]
    assert shop.level() == (7, 0)


def test_a_shipment_at_the_moment_of_the_count_is_in_the_count(shop: Shop) -> None:
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    shop.count(10, 3)
    assert moves(shop.say("sub_order.shipped", 3)) == [("release", 3, -3, 0)]
    assert shop.level() == (10, 0)


def test_a_shipment_without_an_order_freezes_and_releases_at_once(shop: Shop) -> None:
    shop.say("sub_order.shipped", 3)
    step = shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    assert moves(step) == [("freeze", 3, 3, 0), ("release", 3, -3, 0)]


def test_a_shipment_told_earlier_than_thought_is_an_adjustment_when_a_count_lies_between(shop: Shop) -> None:
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    shop.count(10, 5)
    shop.say("sub_order.shipped", 6)
    step = shop.say("sub_order.shipped", 4)
    assert moves(step) == [("adjust", 3, 0, 3)]
    assert shop.level() == (10, 0)


def test_cancelling_after_a_partial_shipment_leaves_the_shipped_units_shipped(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5))
    shop.say("sub_order.created", 2, warehouse_id="w", lines=lines(2))
    shop.say("sub_order.shipped", 3)
    assert moves(shop.say("order.cancelled", 4)) == [("unfreeze", 3, -3, 0)]
    assert shop.rows() == [("s", "w", "k", 0, 2, 0)]


def test_cancelled_lines_count_only_until_the_sub_order_shipped_but_reach_whole_at_any_time(shop: Shop) -> None:
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(5))
    shop.say("sub_order.cancelled", 2, lines=lines(2))
    shop.say("sub_order.shipped", 3)
    shop.say("sub_order.cancelled", 4, lines=lines(5))
    assert shop.rows() == [("s", "w", "k", 0, 3, 2)]
    assert shop.model.account("a").ground.orders["o"].sub_orders == {"s": "failed_to_deliver"}


def test_units_at_another_warehouse_than_ordered_are_taken_off_the_uncovered_ones(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5))
    shop.say("sub_order.created", 2, warehouse_id="v", lines=lines(2))
    assert shop.rows() == [("s", "v", "k", 2, 0, 0), (None, "w", "k", 3, 0, 0)]


def test_what_was_cancelled_of_a_sub_order_before_its_split_stays_covered(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5))
    shop.say("sub_order.created", 2, warehouse_id="w", lines=lines(5))
    shop.say("sub_order.cancelled", 3, lines=lines(2))
    shop.say("sub_order.split", 4, children=[{"sub_order_id": "c", "lines": lines(3)}])
    assert shop.rows() == [("c", "w", "k", 3, 0, 0)]


def test_children_that_are_each_others_parents_move_nothing(shop: Shop) -> None:
    shop.say("sub_order.split", 1, sub_order_id="x", children=[{"sub_order_id": "y", "lines": lines(1)}])
    shop.say("sub_order.split", 2, sub_order_id="y", children=[{"sub_order_id": "x", "lines": lines(1)}])
    assert shop.rows() == []
    assert shop.model.account("a").ground.orders["o"].status == "processing"


def test_more_returned_than_shipped_counts_for_nothing_and_alerts(shop: Shop) -> None:
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    shop.say("sub_order.shipped", 2)
    shop.say("sub_order.returned", 5, return_id="r2", restock=True)
    step = shop.say("sub_order.returned", 4, return_id="r1", restock=True, lines=lines(5))
    assert step.alerts == [("over_returned", "o", "s", None, "k")]
    assert moves(step) == []
    assert shop.model.account("a").ground.orders["o"].restocks == [("w", "k", START + 4 * MINUTE_MS, 3)]


def test_a_hold_not_earlier_than_a_label_holds(shop: Shop) -> None:
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    shop.say("sub_order.label_issued", 3)
    shop.say("sub_order.on_hold", 3)
    assert shop.model.account("a").ground.orders["o"].status == "on_hold"
    shop.say("sub_order.label_issued", 4)
    assert shop.model.account("a").ground.orders["o"].status == "processing"


def test_a_count_that_is_not_greater_changes_nothing_and_drift_is_against_the_flows_between(shop: Shop) -> None:
    shop.count(10, 0)
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(3))
    shop.say("sub_order.shipped", 2)
    step = shop.count(6, 5)
    assert [(d["expected"], d["actual"], d["drift"], d["adopted"]) for d in step.drift if "drift" in d] == [
        (7, 6, -1, True)
    ]
    assert moves(step) == [("count", -1, 0, -1)]
    assert moves(shop.count(99, 4)) == []
    assert shop.level() == (6, 0)


def test_a_reserved_is_compared_with_what_was_frozen_then(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5))
    shop.say("order.cancelled", 7)
    step = shop.count(0, 4, counts=[{"sku": "k", "on_hand": 9, "reserved": 4}], origin="marketplace")
    assert [(d["measure"], d["expected"], d["actual"], d["adopted"]) for d in step.drift[:1]] == [
        ("reserved", 5, 4, False)
    ]
    assert step.drift[1]["missing_in_ledger"] == {"count": 1, "skus": ["k"]}
    assert (step.drift[1]["skus_checked"], step.drift[1]["skus_drifted"], step.drift[1]["error_rate"]) == (1, 1, 1.0)


def test_with_absent_zero_a_complete_snapshot_counts_missing_keys_as_none(shop: Shop) -> None:
    shop.count(4, 0)
    two_parts = {"snapshot_id": "n", "parts": 2, "absent": "zero"}
    assert moves(shop.count(0, 5, **two_parts, part=2, counts=[])) == []
    step = shop.count(0, 5, **two_parts, part=1, counts=[{"sku": "z", "on_hand": 1}])
    assert [(m["sku"], m["movement"], m["quantity"]) for m in step.movements] == [("k", "count", -4), ("z", "count", 1)]
    assert step.drift[-1]["missing_in_count"] == {"count": 1, "skus": ["k"]}
    assert step.drift[-1]["missing_in_ledger"] == {"count": 1, "skus": ["z"]}


def test_parts_that_differ_in_as_of_conflict_and_repeated_parts_are_duplicates_whatever_their_event(shop: Shop) -> None:
    two_parts = {"snapshot_id": "n", "parts": 2}
    shop.count(4, 0, **two_parts, part=1)
    assert shop.count(4, 0, **two_parts, part=1).outcomes == {"duplicate"}
    assert shop.count(5, 0, **two_parts, part=1).code == "conflict"
    assert shop.count(4, 1, **two_parts, part=2).code == "conflict"


def test_an_event_id_with_other_content_conflicts_and_holds_the_order_back_until_discarded(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5), event_id="x", source="one")
    assert shop.say("order.created", 1, lines=order_lines(5), event_id="x", source="two").outcomes == {"duplicate"}
    assert [e["type"] for e in shop.say("order.cancelled", 2).eligibility] == ["archive.eligible"]
    step = shop.say("order.created", 1, lines=order_lines(6), event_id="x")
    assert (step.code, step.alerts) == ("conflict", [("conflict", "o", None, None, None)])
    assert [e["type"] for e in step.eligibility] == ["archive.revoked"]
    assert shop.say("archive.requested").eligibility[0]["code"] == "DEAD_LETTERED"
    discard = shop.say("dead_letter.discarded", dead_letter_id=step.dead_letter_id)
    assert [e["type"] for e in discard.eligibility] == ["archive.eligible"]


def test_a_dead_letter_accepted_on_replay_holds_nothing_back_and_one_refused_again_keeps_its_id(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(5))
    shop.say("order.cancelled", 1)
    body = shop.body("order.cancelled", 60 * 30)
    refused = shop.send(ORDERS, body)
    assert (refused.code, refused.dead_letter_id) == ("future", "orders.events.v1/0/2")
    header = (("replay-of", b"orders.events.v1/0/2"),)
    assert shop.send(ORDERS, body, header).dead_letter_id == "orders.events.v1/0/2"
    shop.now += 7 * HOUR_MS
    accepted = shop.send(ORDERS, body, header)
    assert accepted.code is None
    assert [e["type"] for e in accepted.eligibility] == ["archive.eligible"]


def test_the_archive_answers_with_the_first_reason_that_fits(shop: Shop) -> None:
    def code() -> str:
        return str(shop.say("archive.requested").eligibility[0].get("code"))

    assert code() == "NOT_FOUND"
    shop.say("sub_order.created", 1, warehouse_id="w", lines=lines(1))
    assert shop.say("archive.requested").eligibility[0]["blocking"] == [{"sub_order_id": "s", "status": "processing"}]
    shop.say("sub_order.delivered", 2)
    assert code() == "VALIDATION_ERROR"
    shop.say("order.created", 0, lines=order_lines(1))
    assert code() == "None"
    shop.say("sub_order.return_started", 3, return_id="r")
    assert code() == "RETURN_IN_PROGRESS"


def test_an_eligible_order_leaves_after_the_retention_and_late_events_are_stale_or_too_late(shop: Shop) -> None:
    shop.say("order.created", 1, lines=order_lines(1))
    shop.say("order.cancelled", 2)
    shop.now += 91 * DAY_MS
    assert shop.say("order.cancelled", 1).outcomes == {"stale"}
    assert shop.say("order.cancelled", 3).code == "too_late"
    answer = shop.say("archive.requested").eligibility[0]
    assert (answer["type"], answer["statuses"]) == ("archive.eligible", {})
    shop.now += 400 * DAY_MS
    assert shop.say("archive.requested").eligibility[0]["code"] == "NOT_FOUND"


def test_an_event_of_an_unknown_order_that_is_older_than_the_retention_is_too_late(shop: Shop) -> None:
    shop.now += 91 * DAY_MS
    assert shop.say("order.created", 1, lines=order_lines(1)).code == "too_late"


def test_an_adjustment_that_is_not_after_its_count_is_stale_and_a_known_one_a_duplicate(shop: Shop) -> None:
    shop.count(10, 5)
    assert shop.say("stock.adjusted", 5, warehouse_id="w", sku="k", delta=3).outcomes == {"stale"}
    step = shop.say("stock.adjusted", 6, warehouse_id="w", sku="k", delta=3, event_id="x")
    assert moves(step) == [("adjust", 3, 0, 3)]
    assert shop.say("stock.adjusted", 6, warehouse_id="w", sku="k", delta=3, event_id="x").outcomes == {"duplicate"}
    assert shop.say("stock.adjusted", 6, warehouse_id="w", sku="k", delta=4, event_id="x").code == "conflict"


def test_available_below_zero_alerts_once_per_crossing(shop: Shop) -> None:
    shop.count(2, 0)
    assert shop.say("order.created", 1, lines=order_lines(5)).alerts == [("oversold", None, None, "w", "k")]
    assert shop.say("order.amended", 1, revision=1, lines=order_lines(6)).alerts == []
    shop.say("order.amended", 1, revision=2, lines=order_lines(1))
    assert shop.say("order.amended", 1, revision=3, lines=order_lines(6)).alerts == [("oversold", None, None, "w", "k")]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "undecodable"),
        (b'{"type": "order.cancelled", "x": NaN}', "undecodable"),
        (b'{"type": "order.cancelled", "x": "\\ud800"}', "undecodable"),
        (b"[]", "undecodable"),
        (b'{"type": "sub_order.shipped"}', "unknown_type"),
        (b'{"type": "order.cancelled"}', "invalid"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_first_code_that_fits(value: bytes | None, code: str) -> None:
    with pytest.raises(reading.Refusal) as refused:
        reading.read(ORDERS, value)
    assert refused.value.code == code


def test_times_are_cut_to_the_millisecond_and_need_an_offset() -> None:
    assert reading.time_ms("1970-01-01T03:00:00.0019+03:00") == 1
    with pytest.raises(ValueError, match="1970"):
        reading.time_ms("1970-01-01T03:00:00")


def test_an_adjustment_that_is_sent_again_once_its_id_is_forgotten_is_too_late(shop: Shop) -> None:
    adjusted = {"warehouse_id": "w", "sku": "k", "delta": 3, "event_id": "x"}
    assert shop.say("stock.adjusted", 60, **adjusted).outcomes == {"applied"}
    shop.now += 90 * DAY_MS
    assert shop.say("stock.adjusted", 60, **adjusted).outcomes == {"duplicate"}
    shop.now += 1
    assert shop.say("stock.adjusted", 60, **adjusted).code == "too_late"


def test_the_model_knows_the_types_that_there_are() -> None:
    assert {topic: set(types) for topic, types in reading.TYPES.items()} == {
        str(topic): set(TYPES[topic]) for topic in LEDGER.inputs
    }
