"""Counting the outputs, and showing the counts on terminals of any size."""

from __future__ import annotations

from collections import Counter
from io import StringIO

import orjson
import pytest
from rich.console import Console

from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.topics import Topic
from worker.demo.judgement import Row
from worker.demo.screen import MOVEMENT_COLOURS, STATUS_COLOURS, View, judgement, line, screen
from worker.demo.shelves import Planted, StockKey
from worker.demo.tally import SeenLevel, Tally

WHERE = {"account_id": "bath", "warehouse_id": "north", "sku": "8512"}
KEY = StockKey("bath", "north", "8512")


def seen() -> Tally:
    tally = Tally()

    def see(topic: Topic, **event: object) -> None:
        tally.see(topic, orjson.dumps({**WHERE, **event}), [])

    movement = {"quantity": 3, "frozen": 3, "order_id": "o-1"}
    see(Topic.MOVEMENTS, movement="freeze", on_hand=None, **movement)
    see(Topic.MOVEMENTS, movement="release", on_hand=7, sub_order_id="o-1-1", **movement)
    see(Topic.LEVELS, on_hand=10, frozen=3, available=7)
    see(Topic.LEVELS, on_hand=2, frozen=3, available=-1)
    see(Topic.STATUS, order_id="o-1", status="processing", eligible=True)
    see(Topic.STATUS, order_id="o-1", status="picked_up", eligible=False)
    see(Topic.STATUS, order_id="o-2", status="cancelled", eligible=True)
    see(Topic.ELIGIBILITY, type="archive.eligible", order_id="o-2", cause="o-2/3")
    see(Topic.ELIGIBILITY, type="archive.rejected", order_id="o-1", cause="archive-o-1", code="VALIDATION_ERROR")
    see(Topic.DRIFT, type="drift.detected", measure="on_hand", snapshot_id="s", drift=-2, origin="erp")
    see(Topic.DRIFT, type="drift.summary", origin="erp", skus_checked=50, skus_drifted=1)
    see(Topic.DRIFT, type="drift.summary", origin="marketplace", skus_checked=50, skus_drifted=3)
    see(Topic.ALERTS, type="alert.raised", alert="oversold", detail="1 unit more is frozen than is on hand.")
    see(Topic.ALERTS, type="alert.cleared", alert="oversold")
    tally.see(Topic.DEAD_LETTERS, None, [("error-code", b"undecodable"), ("error", b"no value")])
    return tally


def view() -> View:
    outcomes = Counter(applied=40, duplicate=2, dead_lettered=1)
    return View("Stockfreeze", seen(), total=100, sent=50, processed=43, outcomes=outcomes, stage="orders arrive")


def full_view() -> View:
    """A demo near its end, with the longest ids and greater numbers than it has."""
    tally = Tally()
    for number in range(8):
        where = {"account_id": "overseas", "warehouse_id": "central", "sku": f"229{number}"}
        level = {**where, "on_hand": 12340 + number, "frozen": 16420 + number}
        movement = {
            **where,
            "movement": "unfreeze",
            "sub_order_id": f"order-53652{number}-10",
            "quantity": 1110 + number,
        }
        tally.see(Topic.MOVEMENTS, orjson.dumps({**level, **movement}), [])
        tally.see(Topic.LEVELS, orjson.dumps({**level, "available": -4080 - number}), [])
        detail = "4080 units of SKU 2290 more are frozen in warehouse central than are on hand."
        tally.see(
            Topic.ALERTS, orjson.dumps({**where, "type": "alert.raised", "alert": "oversold", "detail": detail}), []
        )
        drift = {"type": "drift.detected", "measure": "on_hand", "snapshot_id": "day-2-central", "drift": -3}
        tally.see(Topic.DRIFT, orjson.dumps({**where, **drift}), [])
    tally.movements.update({kind: 10111 * (number + 1) for number, kind in enumerate(MOVEMENT_COLOURS)})
    tally.alerts.update({"archived_ineligible": 2345, "superseded_shipped": 3456, "conflict": 4567})
    tally.dead_letters.update({code: 1500 + number for number, code in enumerate(DEAD_LETTER_CODES)})
    orders = [(status, 101 + number) for number, status in enumerate(STATUS_COLOURS)]
    tally.statuses.update({(status, f"o-{n}"): status for status, count in orders for n in range(count)})
    outcomes = Counter(applied=45678, duplicate=2345, stale=123, dead_lettered=1234)
    return View(
        "Stockfreeze · 127.0.0.1:46467 · worker 10316",
        tally,
        total=60000,
        processed=51234,
        lag=8766,
        per_second=1234,
        elapsed_seconds=59,
        outcomes=outcomes,
    )


def drawn(shown: View, columns: int, lines: int) -> str:
    console = Console(width=columns, file=StringIO(), record=True)
    console.print(screen(shown, columns, lines))
    return console.export_text()


def test_a_tally_keeps_the_latest_of_a_key_and_counts_the_rest() -> None:
    tally = seen()
    assert tally.levels == {KEY: SeenLevel(2, 3, -1)}
    assert tally.statuses == {("bath", "o-1"): "picked_up", ("bath", "o-2"): "cancelled"}
    assert tally.eligible == {("bath", "o-2")}
    assert tally.movements == {"freeze": 1, "release": 1}
    assert tally.drift == [Planted("on_hand", KEY, "s", -2)]
    assert tally.dead_letters == {"undecodable": 1}


def test_only_answers_to_requests_and_counts_of_stock_are_judged() -> None:
    tally = seen()
    assert tally.answers == {"archive-o-1": "VALIDATION_ERROR"}
    assert tally.eligibility == {"eligible": 1, "rejected": 1}
    assert (tally.skus_checked, tally.skus_drifted) == (50, 1)


def test_the_lowest_stock_is_that_with_least_available_among_keys_in_use() -> None:
    tally = Tally()
    for sku, frozen, available in (("a", 1, 5), ("b", 0, 0), ("c", 2, -4), ("d", 1, None)):
        level = {**WHERE, "sku": sku, "on_hand": available, "frozen": frozen, "available": available}
        tally.see(Topic.LEVELS, orjson.dumps(level), [])
    assert [key.sku for key, _ in tally.lowest(5)] == ["c", "a"]
    assert [key.sku for key, _ in tally.lowest(1)] == ["c"]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (100, 32), (128, 40), (200, 60)])
def test_the_screen_fits_the_terminal_and_names_everything(columns: int, lines: int) -> None:
    text = drawn(view(), columns, lines).rstrip("\n").split("\n")
    assert len(text) <= lines
    assert max(map(len, text)) <= columns
    whole = "\n".join(text)
    for words in ("43 of 100 events", "picked up", "failed to deliver", "unfreeze", "undecodable", "oversold"):
        assert words in whole


@pytest.mark.parametrize("columns", [80, 120, 170])
def test_every_number_is_whole(columns: int) -> None:
    full = full_view()
    tally = full.tally
    numbers = [
        *full.outcomes.values(),
        *Counter(tally.statuses.values()).values(),
        *tally.movements.values(),
        *tally.dead_letters.values(),
        *tally.alerts.values(),
        *(event[name] for event in tally.latest_movements for name in ("quantity", "frozen", "on_hand")),
        *(number for _, level in tally.lowest(8) for number in (level.available, level.on_hand)),
    ]
    text = drawn(full, columns, 60)
    words = text.split()
    assert [number for number in numbers if str(number) not in words] == []
    assert "51234 of 60000 events  1234/s  lag 8766  59 s" in text
    assert max(map(len, text.splitlines())) <= columns


@pytest.mark.parametrize("columns", [80, 120, 170])
def test_what_a_movement_is_about_is_whole(columns: int) -> None:
    words = drawn(full_view(), columns, 60).split()
    for event in full_view().tally.latest_movements:
        assert "/".join(str(event[name]) for name in ("account_id", "warehouse_id", "sku")) in words
        assert event["sub_order_id"] in words


@pytest.mark.parametrize("columns", [80, 120, 170])
@pytest.mark.parametrize("lines", [24, 32, 45, 60])
def test_the_screen_is_not_higher_than_the_terminal(columns: int, lines: int) -> None:
    assert len(drawn(full_view(), columns, lines).splitlines()) <= lines


def test_a_high_terminal_also_shows_the_latest_movements_and_findings() -> None:
    text = drawn(view(), 128, 40)
    assert "bath/north/8512" in text
    assert ["bath/north/8512", "-1", "2"] in [row.split("│")[-2].split() for row in text.splitlines() if "│" in row]
    assert "1 unit more is frozen" in text
    assert "bath/north/8512" not in drawn(view(), 80, 24)


def test_without_a_terminal_the_same_is_one_line() -> None:
    text = line(view())
    assert "\n" not in text
    assert "43 of 100 events" in text
    assert "2 orders" in text


def test_the_judgement_marks_what_differs_and_says_where_with_ids_whole() -> None:
    console = Console(width=80, file=StringIO(), record=True)
    where = "overseas/central/HOODIE-BLACK-XXL-2026: 1 but 2"
    rows = [Row("levels by plain arithmetic → published levels", 5, 5), Row("drift", 2, 2, where), Row("x", 1, 0)]
    console.print(judgement(rows))
    text = console.export_text()
    agreeing, differing, missing = (row for row in text.splitlines() if row.startswith("│"))
    assert "✓" in agreeing
    assert "✗" in differing
    assert "✗" in missing
    assert f"✗ drift: {where}" in text
