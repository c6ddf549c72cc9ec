"""`stockfreeze stock`, `alerts`, `drift` and `status` on a broker, without a worker: all from the topics."""

from __future__ import annotations

import pytest

from schemas.topics import Topic
from tests.integration.cli.conftest import PARTITIONS, Command, System
from tests.offline import Input, account_in, event, send_inputs

ACCOUNT, OTHER = account_in(0, PARTITIONS), account_in(1, PARTITIONS)
LINES = [{"sku": "A", "quantity": 9, "warehouse_id": "main"}]


def count(snapshot_id: str, as_of: str, on_hand: int) -> Input:
    return event(
        Topic.STOCK,
        "stock.counted",
        ACCOUNT,
        snapshot_id,
        origin="erp",
        snapshot_id=snapshot_id,
        part=1,
        parts=1,
        warehouse_id="main",
        as_of=as_of,
        counts=[{"sku": sku, "on_hand": on_hand} for sku in ("A", "B", "C")],
    )


@pytest.fixture
async def oversold(system: System) -> System:
    """Two counts, of which the second drifts, and an order for more than there is."""
    await system.process(
        0,
        [
            count("n1", "2025-12-30T00:00:00Z", 10),
            count("n2", "2025-12-31T00:00:00Z", 8),
            event(Topic.ORDERS, "order.created", ACCOUNT, "e1", order_id="o1", lines=LINES),
            event(Topic.ORDERS, "order.cancelled", ACCOUNT, "e2", order_id="o1", reason=5),
        ],
    )
    await system.process(1, [event(Topic.ORDERS, "order.created", OTHER, "e1", order_id="o1", lines=LINES)])
    return system


async def test_stock_is_listed_page_by_page(stockfreeze: Command, oversold: System) -> None:
    del oversold

    first = (await stockfreeze("stock", ACCOUNT, "--limit", "2", "--json")).json()
    rest = (await stockfreeze("stock", ACCOUNT, "--limit", "2", "--after", first["next"], "--json")).json()
    printed = (await stockfreeze("stock", ACCOUNT, "--limit", "2")).out

    assert [level["sku"] for level in first["levels"] + rest["levels"]] == ["A", "B", "C"]
    assert (first["next"], rest["next"]) == ("main/B", None)
    assert "--after main/B" in printed


async def test_stock_is_narrowed_to_what_is_short(stockfreeze: Command, oversold: System) -> None:
    del oversold

    async def skus(*options: str) -> list[str]:
        answer = (await stockfreeze("stock", ACCOUNT, *options, "--json")).json()
        return [level["sku"] for level in answer["levels"]]

    assert await skus("--oversold") == ["A"]
    assert await skus("--below", "9") == ["A", "B", "C"]
    assert await skus("--below", "9", "--sku", "B") == ["B"]
    assert await skus("--warehouse", "other") == []
    unknown = await stockfreeze("stock", "nobody")
    assert (unknown.code, unknown.err) == (1, "stockfreeze: nothing is known of stock of account nobody.\n")


async def test_alerts_tells_the_last_and_those_that_hold(stockfreeze: Command, oversold: System) -> None:
    del oversold

    last = (await stockfreeze("alerts", "--json")).json()
    held = (await stockfreeze("alerts", "--open", "--json")).json()
    others = (await stockfreeze("alerts", "--open", "--account", OTHER, "--json")).json()
    printed = (await stockfreeze("alerts", "--open")).out

    assert [(alert["alert"], alert.get("order_id")) for alert in last] == [("order_refused", "o1"), ("oversold", None)]
    assert held["counts"] == {"order_refused": 1, "oversold": 1}
    assert [(alert["sku"], alert["severity"], alert["available"]) for alert in held["alerts"]] == [
        (None, "critical", None),
        ("A", "critical", -1),
    ]
    assert [alert["alert_id"] for alert in held["alerts"]] == [alert["alert_id"] for alert in last]
    assert others["alerts"] == []
    assert "main / A" in printed
    assert "alerts: 1 order_refused, 1 oversold hold." in printed


async def test_drift_tells_what_counts_found_since(stockfreeze: Command, oversold: System) -> None:
    del oversold

    answer = (await stockfreeze("drift", ACCOUNT, "--json")).json()
    limited = (await stockfreeze("drift", ACCOUNT, "--limit", "1", "--json")).json()
    later = (await stockfreeze("drift", ACCOUNT, "--since", "2999-01-01", "--json")).json()
    other = (await stockfreeze("drift", OTHER, "--json")).json()
    printed = (await stockfreeze("drift", ACCOUNT, "--since", "1970-01-01T00:00:00Z")).out

    assert {(drift["sku"], drift["drift"]) for drift in answer["drifts"]} == {("A", -2), ("B", -2), ("C", -2)}
    assert [summary["snapshot_id"] for summary in answer["summaries"]] == ["n2", "n1"]
    assert len(limited["drifts"]) == len(limited["summaries"]) == 1
    assert later == other == {"drifts": [], "summaries": []}
    assert "100.00%" in printed


async def test_status_tells_how_the_system_is_doing(stockfreeze: Command, oversold: System) -> None:
    del oversold

    answer = await stockfreeze("status", "--json")
    printed = await stockfreeze("status")

    status = answer.json()
    assert (answer.code, printed.code, status["ok"], status["workers"]) == (1, 1, False, [])
    assert [(line["state"], line["orders_open"], line["oversold"]) for line in status["partitions"]] == [
        ("no answer", 1, 1),
        ("no answer", 1, 0),
    ]
    assert (status["alerts"], status["dead_letters"]) == (
        {"order_refused": 1, "oversold": 1},
        {"invalid": 1},
    )
    assert [summary["snapshot_id"] for summary in status["summaries"]] == ["n2", "n1"]
    assert "dead letters pending: 1 invalid." in printed.out
    assert "not processed: partitions 0-1" in printed.out


async def test_status_tells_the_lag_and_the_age_of_what_waits(stockfreeze: Command, oversold: System) -> None:
    waiting = [event(Topic.ORDERS, "order.created", ACCOUNT, "e9", order_id="o9", lines=LINES)] * 3
    await send_inputs(oversold.broker.bootstrap_servers, waiting, 0, oversold.names.prefix)

    lines = (await stockfreeze("status", "--json")).json()["partitions"]

    assert [line["lag"] for line in lines] == [3, 0]
    assert lines[0]["oldest_unread_seconds"] > 0
    assert lines[1]["oldest_unread_seconds"] is None
