"""Searches through the books: pages, holders, and the census."""

from __future__ import annotations

import pytest

from tests.unit.domain.shop import Shop, body_of, counted, ordered
from worker.domain.searches import ORDERS_PER_STEP, Census, LevelsWanted
from worker.domain.views import HeldAlert


@pytest.fixture
def shop() -> Shop:
    return Shop()


def held(shop: Shop, limit: int = 1000, sku: str = "k") -> list[tuple[str, str | None, int]]:
    return [(holding.order_id, holding.sub_order_id, holding.open) for holding in shop.holders(sku=sku, limit=limit)]


def page(shop: Shop, wanted: LevelsWanted) -> list[tuple[str, str]]:
    found = shop.processor.ledger.levels_page(wanted)
    assert found is not None
    return [(level.warehouse_id, level.sku) for level in found[0]]


def census(shop: Shop, account_id: str | None = None, limit: int = 100) -> Census:
    taker = shop.processor.ledger.census_taker(account_id, limit)
    for _ in taker.steps():
        pass
    return taker.census


# Holders.


def test_holders_are_those_with_frozen_units_the_greatest_first(shop: Shop) -> None:
    shop.order(5)
    shop.sub_order(2)
    shop.order(1, order_id="n")
    shop.order(1, order_id="shipped")
    shop.sub_order(1, order_id="shipped")
    shop.say("sub_order.shipped", 1, order_id="shipped")

    assert held(shop) == [("o", None, 3), ("o", "s", 2), ("n", None, 1)]
    assert shop.holders("unheard") == []
    assert held(shop, sku="other") == []


def test_of_equal_holders_the_lesser_ids_come_first(shop: Shop) -> None:
    for order_id in ("c", "a", "b"):
        shop.order(2, order_id=order_id)
    shop.sub_order(1, order_id="b")

    assert held(shop) == [("a", None, 2), ("c", None, 2), ("b", "s", 1), ("b", None, 1)]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
def test_a_limit_takes_none_but_the_least_away(shop: Shop, limit: int) -> None:
    for number in range(40):
        shop.order(1 + number % 7, order_id=f"o{number}")
        if number % 3 == 0:
            shop.sub_order(1, order_id=f"o{number}")

    search = shop.processor.ledger.holder_search("a", "w", "k", limit)
    for _ in search.steps():
        pass

    assert held(shop, limit) == held(shop)[:limit]
    assert search.orders == 40


def test_a_sku_that_is_part_of_another_is_not_taken_for_it(shop: Shop) -> None:
    shop.order(1)
    shop.say("order.created", order_id="longer", lines=ordered(1, sku="kk"))
    shop.say("order.created", order_id="long", lines=ordered(1, sku="k" * 100))

    assert [order_id for order_id, _, _ in held(shop)] == ["o"]
    assert [order_id for order_id, _, _ in held(shop, sku="k" * 100)] == ["long"]


def test_a_search_shows_the_moment_when_it_began(shop: Shop) -> None:
    shop.order(3)
    search = shop.processor.ledger.holder_search("a", "w", "k", 10)
    shop.say("order.cancelled", 1)
    shop.order(2, order_id="later")

    for _ in search.steps():
        pass

    assert [(holding.order_id, holding.open) for holding in search.holdings] == [("o", 3)]
    assert [(holding.order_id, holding.open) for holding in shop.holders()] == [("later", 2)]


def test_a_search_of_many_orders_is_taken_in_several_steps(shop: Shop) -> None:
    for number in range(ORDERS_PER_STEP + 1):
        shop.order(1, order_id=f"o{number}")

    shop.order(7, order_id="last")

    def steps(sku: str) -> int:
        return len(list(shop.processor.ledger.holder_search("a", "w", sku, 10).steps()))

    assert steps("k") == 3  # two of orders, and one of those that hold it
    assert steps("unheard") == 0


def test_a_search_ends_when_all_frozen_units_are_found(shop: Shop) -> None:
    shop.say("order.created", order_id="first", lines=ordered(1, sku="first"))
    for number in range(ORDERS_PER_STEP):
        shop.order(1, order_id=f"o{number}")
    shop.say("order.created", order_id="last", lines=ordered(1, sku="last"))

    assert len(list(shop.processor.ledger.holder_search("a", "w", "last", 10).steps())) == 2
    assert len(list(shop.processor.ledger.holder_search("a", "w", "first", 10).steps())) == 3
    assert [order_id for order_id, _, _ in held(shop, sku="first")] == ["first"]


# Levels and accounts.


def test_pages_of_levels_follow_each_other_by_warehouse_and_sku(shop: Shop) -> None:
    for warehouse in ("w2", "w1"):
        shop.count({"c": 1, "a": 1, "b": 1}, 1, warehouse_id=warehouse)
    every = [(warehouse, sku) for warehouse in ("w1", "w2") for sku in ("a", "b", "c")]

    seen: list[tuple[str, str]] = []
    more = True
    while more:
        found = shop.processor.ledger.levels_page(LevelsWanted("a", 2, after=seen[-1] if seen else None))
        assert found is not None
        levels, more = found
        assert len(levels) == 2
        seen += [(level.warehouse_id, level.sku) for level in levels]

    assert seen == every


def test_levels_are_narrowed_by_key_and_by_what_is_available(shop: Shop) -> None:
    shop.count({"many": 9, "few": 2, "oversold": 1}, 1)
    shop.say("order.created", 2, order_id="p", lines=ordered(3, sku="oversold"))
    shop.order(1, 2)  # never counted

    assert page(shop, LevelsWanted("a", 9, below=3)) == [("w", "few"), ("w", "oversold")]
    assert page(shop, LevelsWanted("a", 9, below=0)) == [("w", "oversold")]
    assert page(shop, LevelsWanted("a", 9, below=3, after=("w", "few"))) == [("w", "oversold")]
    assert page(shop, LevelsWanted("a", 9, warehouse_id="w", sku="few")) == [("w", "few")]
    assert page(shop, LevelsWanted("a", 9, sku="few", below=2)) == []
    assert page(shop, LevelsWanted("a", 9, warehouse_id="other")) == []
    assert ("w", "k") in page(shop, LevelsWanted("a", 9))


def test_accounts_are_listed_by_id_with_what_is_known_of_them(shop: Shop) -> None:
    shop.order(1)
    shop.order(1, order_id="p")
    for account_id in ("c", "b"):
        shop.send(body_of("stock.counted", 5, **counted(10, 5), account_id=account_id), key=account_id.encode())
    ledger = shop.processor.ledger

    first, more = ledger.accounts_page(2)
    rest, more_after = ledger.accounts_page(2, first[-1].account_id)

    assert [(view.account_id, view.orders, view.stock_keys) for view in first] == [("a", 2, 1), ("b", 0, 1)]
    assert [view.account_id for view in rest] == ["c"]
    assert (more, more_after) == (True, False)


# The census.


def test_the_census_finds_every_alert_that_holds(shop: Shop) -> None:
    shop.count(1, 1)
    shop.order(2, 2)
    shop.sub_order(5, 2)

    alerts = {(alert.alert, alert.order_id, alert.sku): alert for alert in census(shop).alerts}

    assert alerts["oversold", None, "k"] == HeldAlert("a", "oversold", None, None, "w", "k", -4)
    assert ("over_allocated", "o", "k") in alerts
    assert census(shop).alert_counts == {"oversold": 1, "over_allocated": 1}
    assert census(shop, "another").alerts == []
    assert census(shop, limit=1).alert_counts == {"oversold": 1, "over_allocated": 1}
    assert len(census(shop, limit=1).alerts) == 1


def test_the_census_finds_pending_dead_letters_and_no_others(shop: Shop) -> None:
    shop.order(1)
    for _ in range(3):
        shop.send(body_of("order.cancelled", 1, reason=5))
    ids = shop.view().dead_letters
    assert len(ids) == 3
    shop.say("dead_letter.discarded", 2, dead_letter_id=ids[0])

    assert census(shop).dead_letters == ids[1:]
    assert census(shop.restarted()).dead_letters == ids[1:]
    assert (census(shop, limit=1).dead_letters, census(shop, limit=1).dead_letters_pending) == (ids[1:2], 2)


def test_the_census_has_refused_orders_and_floods(shop: Shop) -> None:
    shop.send(body_of("order.created", 1, lines=[]))
    shop.processor.parties.flood_began("a")

    assert census(shop).alert_counts == {"flooding": 1, "order_refused": 1}
    shop.flush()
    assert census(shop.restarted()).alert_counts == {"flooding": 1, "order_refused": 1}
    assert census(shop, "another").alerts == []


def test_what_ceased_is_in_the_census_no_more(shop: Shop) -> None:
    shop.count(1, 1)
    shop.order(2, 2)
    shop.say("order.cancelled", 3)

    assert census(shop).alerts == []
