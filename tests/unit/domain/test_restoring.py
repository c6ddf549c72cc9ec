"""The state topic gives back what was written to it, and nothing else is needed to go on."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from schemas.state import VERSION
from schemas.topics import Topic
from tests.unit.domain.shop import DAY, Fields, Shop, body_of, child, counted, lines, ordered
from worker.domain.views import StockView
from worker.stream.processor import StateVersionError
from worker.stream.records import OutputRecord

HISTORY: list[Fields] = [
    body_of("stock.counted", 1, **counted({"k": 10, "other": 2}, 1)),
    body_of("order.created", 2, lines=[*ordered(5), *lines(2, "other")]),
    body_of("sub_order.created", 3, lines=lines(4)),
    body_of("sub_order.split", 4, children=[child("c", 2), child("d", 2, warehouse_id="x")]),
    body_of("stock.adjusted", 5, delta=-1),
    body_of("sub_order.on_hold", 6, sub_order_id="c"),
    body_of("sub_order.shipped", 7, sub_order_id="d"),
    body_of("sub_order.shipped", 7),
    {"type": "order.created", "account_id": "a", "order_id": "o", "lines": []},
    body_of("sub_order.return_started", 8, sub_order_id="d", lines=lines(1)),
    body_of("sub_order.returned", 9, sub_order_id="d", return_id="q", warehouse_id="y"),
    body_of("stock.counted", 20, **counted({"k": 4}, 20, part=2, parts=2)),
    body_of("sub_order.label_issued", 10, sub_order_id="c"),
    body_of("sub_order.cancelled", 11, sub_order_id="c", lines=lines(1)),
    body_of("stock.counted", 20, **counted({"new": 4}, 20, part=1, parts=2)),
    body_of("sub_order.delivered", 12, sub_order_id="c"),
    body_of("order.cancelled", 13),
    body_of("sub_order.returned", 14, sub_order_id="d"),
    body_of("dead_letter.discarded", 15, dead_letter_id="orders.events.v1/0/8"),
    body_of("archive.requested", 16),
    body_of("stock.adjusted", 25, warehouse_id="x", delta=3),
    body_of("stock.counted", 30, **counted({"k": 9}, 30, absent="zero")),
]


def all_levels(shop: Shop) -> list[StockView]:
    """Levels that say anything: a key that nothing is known of need not be remembered."""
    return [level for level in shop.levels() if level.on_hand is not None or level.frozen]


def test_what_is_restored_shows_the_same_views_after_every_event() -> None:
    shop = Shop()
    for body in HISTORY:
        shop.send(body)
        restored = shop.restarted()
        assert all_levels(restored) == all_levels(shop)
        assert list(restored.processor.ledger.orders()) == list(shop.processor.ledger.orders())
        for level in all_levels(shop):
            key = ("a", level.warehouse_id, level.sku)
            assert restored.holders(*key) == shop.holders(*key)


def without_suspects(records: list[OutputRecord]) -> list[object]:
    """Which movements are remembered as suspects is not stored, only what orders hold now."""
    return [
        {name: value for name, value in msgspec.json.decode(record.value or b"").items() if name != "suspects"}
        for record in records
    ]


def test_what_is_restored_goes_on_as_if_it_had_never_stopped() -> None:
    steady, restarting = Shop(), Shop()
    for body in HISTORY:
        restarting = restarting.restarted()
        steady_said, flushed = steady.send(body), restarting.send(body)
        assert flushed.outcome == steady_said.outcome
        assert without_suspects(flushed.outputs) == without_suspects(steady_said.outputs)
        assert restarting.state == steady.state


LONG_AFTER = 600 * DAY
"""When flows of the first days have been folded into their counts, and adjustments have left the state."""


@pytest.mark.parametrize(
    ("adjusted", "shipped", "on_hand"),
    [((1,), 1, 10), ((1, 1), 2, 10), ((2,), 1, 11), ((1,), 2, 9)],
    ids=["they cancel out", "three cancel out", "more came", "more left"],
)
@pytest.mark.parametrize(
    "earlier", [0, 5, -5], ids=["nothing else", "a flow before them", "one that stays before them"]
)
def test_a_flow_is_not_counted_again_when_one_of_its_time_has_left(
    adjusted: tuple[int, ...], shipped: int, on_hand: int, earlier: int
) -> None:
    shop = Shop(now=2 * DAY)
    shop.count(10, 0)
    shop.sub_order(shipped)
    shop.say("sub_order.shipped", DAY)  # its order is never placed, so it stays
    for delta in adjusted:
        shop.say("stock.adjusted", DAY, delta=delta)
    if earlier > 0:
        shop.say("stock.adjusted", DAY - 1, delta=earlier)
    if earlier < 0:
        shop.sub_order(-earlier, order_id="earlier")
        shop.say("sub_order.shipped", DAY - 1, order_id="earlier")
    shop.now = LONG_AFTER
    shop.say("archive.requested", LONG_AFTER, order_id="another")
    assert [key for key, value in shop.state.items() if key.startswith(b"adjustment/") and value is not None] == []
    restored = shop.restarted()
    assert restored.stock() == shop.stock() == (on_hand + earlier, 0)
    assert restored.say("stock.adjusted", LONG_AFTER, delta=100).moves == [("adjust", 100, 0, 100)]
    assert restored.stock() == (on_hand + earlier + 100, 0)


def test_a_later_record_replaces_an_earlier_one_and_a_tombstone_deletes_it() -> None:
    shop = Shop()
    versions = [(record.key or b"", record.value) for body in HISTORY[:3] for record in shop.send(body).of(Topic.STATE)]
    replayed = Shop()
    for key, value in versions:
        replayed.processor.restore(key, value)
    replayed.processor.restored(shop.stream_time_ms)
    assert all_levels(replayed) == all_levels(shop)
    deleted = Shop()
    for key, value in versions:
        deleted.processor.restore(key, value)
        deleted.processor.restore(key, None)
    deleted.processor.restored(shop.stream_time_ms)
    assert (all_levels(deleted), list(deleted.processor.ledger.orders())) == ([], [])


def test_every_state_record_is_an_array_that_starts_with_its_version() -> None:
    shop = Shop()
    for body in HISTORY:
        shop.send(body)
    shop.now = 200 * DAY
    shop.say("archive.requested")
    values = {key: value for key, value in shop.state.items() if value is not None}
    assert {key.split(b"/")[0] for key in values} == {b"account", b"adjustment", b"part", b"retired", b"stock"}
    assert {msgspec.msgpack.decode(value)[0] for value in values.values()} == {VERSION}


NEWER: dict[str, Callable[[], bytes]] = {
    "a newer version": lambda: msgspec.msgpack.encode([VERSION + 1, "default"]),
    "a long array of a newer version": lambda: msgspec.msgpack.encode([VERSION + 1, *range(70_000)]),
    "version zero": lambda: msgspec.msgpack.encode([0]),
}


@pytest.mark.parametrize("value", NEWER.values(), ids=NEWER.keys())
def test_a_record_of_another_version_is_refused_with_its_key(value: Callable[[], bytes]) -> None:
    with pytest.raises(StateVersionError, match=r"account/a.*schema version"):
        Shop().processor.restore(b"account/a", value())


def test_a_record_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(StateVersionError, match="of a kind"):
        Shop().processor.restore(b"promise/a", msgspec.msgpack.encode([1]))


@pytest.mark.parametrize("value", [b"", b"{}", msgspec.msgpack.encode({"version": 1}), msgspec.msgpack.encode([])])
def test_what_is_no_state_record_is_an_error(value: bytes) -> None:
    with pytest.raises(ValueError, match="msgpack array"):
        Shop().processor.restore(b"account/a", value)
