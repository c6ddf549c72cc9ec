"""Transfers, and ids of adjustments and transfers that are used again. `tests/examples` has the rules by example."""

from __future__ import annotations

from schemas.topics import Topic
from tests.unit.domain.shop import APPLIED, DAY, Fields, Shop, counted, iso, lines
from worker.domain.policies import AccountPolicies

LONGEST_NAME = "𝄞" * 127
"""An id may have 128 code points, here of four bytes each."""


def most_lines() -> list[Fields]:
    return [{"sku": LONGEST_NAME + chr(0x10000 + number), "quantity": 1} for number in range(1000)]


def test_a_transfer_of_1000_lines_changes_both_warehouses_at_once(shop: Shop) -> None:
    units = {f"k{number:03}": 10 for number in range(1000)}
    shop.say("stock.counted", 1, **counted(units, 1))
    shop.say("stock.counted", 1, **counted(dict.fromkeys(units, 0), 1, warehouse_id="x"))
    flushed = shop.say("stock.transferred", 5, lines=[{"sku": sku, "quantity": 4} for sku in units])
    expected = [("w", sku, "transfer", -4) for sku in units] + [("x", sku, "transfer", 4) for sku in units]
    assert flushed.places == expected
    assert len(flushed.levels) == 2000
    (kept,) = [record for record in flushed.of(Topic.STATE) if (record.key or b"").startswith(b"adjustment/")]
    assert kept.value is not None
    for later in (shop, shop.restarted()):
        assert (later.stock("k500"), later.stock("k500", "x")) == ((6, 0), (4, 0))


def test_movements_of_a_transfer_name_it_as_their_cause(shop: Shop) -> None:
    shop.count(10, 1)
    flushed = shop.say("stock.transferred", 5, event_id="t", lines=lines(4))
    (moved,) = flushed.events(Topic.MOVEMENTS)
    assert (moved["cause"], moved["occurred_at"]) == ("t", iso(5))
    assert (moved["on_hand"], moved["available"], "order_id" in moved) == (6, 6, False)


def test_a_restart_keeps_which_half_a_count_already_had(shop: Shop) -> None:
    shop.count(10, 1)
    shop.count(6, 8, warehouse_id="x")
    shop.say("stock.transferred", 5, lines=lines(6))
    later = shop.restarted()
    assert (later.stock(), later.stock(warehouse_id="x")) == ((4, 0), (6, 0))


def test_a_transfer_leaves_the_state_once_both_flows_are_folded(shop: Shop) -> None:
    shop.count(10, 1)
    shop.count(0, 1, warehouse_id="x")
    shop.say("stock.transferred", 8, lines=lines(6))
    (key,) = [key for key in shop.state if key.startswith(b"adjustment/")]
    shop.now = 8 + 490 * DAY
    shop.say("archive.requested", 8, order_id="none")
    assert shop.state[key] is None
    for later in (shop, shop.restarted()):
        assert (later.stock(), later.stock(warehouse_id="x")) == ((4, 0), (6, 0))


def test_an_id_that_is_used_too_often_for_its_record_is_refused() -> None:
    shop = Shop(AccountPolicies(retention_days=1))
    names = {"from_warehouse_id": LONGEST_NAME + "w", "to_warehouse_id": LONGEST_NAME + "x"}
    for use in range(3):
        shop.now = 60 + use * 2 * DAY
        flushed = shop.say("stock.transferred", shop.now, event_id="t", **names, lines=most_lines())
        assert flushed.outcome == APPLIED
    shop.now += 2 * DAY
    before = shop.levels()
    refused = shop.say("stock.transferred", shop.now, event_id="t", **names, lines=most_lines())
    assert (refused.code, shop.levels()) == ("invalid", before)
    (letter,) = refused.of(Topic.DEAD_LETTERS)
    assert b"The field event_id was used so often" in (dict(letter.headers)["error"] or b"")
    assert shop.say("stock.transferred", shop.now, event_id="new", **names, lines=most_lines()).outcome == APPLIED
    kept = [value for key, value in shop.state.items() if key.startswith(b"adjustment/") and value is not None]
    assert all(len(value) < 8 * 1024 * 1024 for value in kept)
