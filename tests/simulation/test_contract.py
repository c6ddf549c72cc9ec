"""The engine's contract suite, test by test, on the simulated cluster: it must not behave better than a real one.

The same functions that run on Apache Kafka run here on virtual time; nothing in them knows of it.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.brokers import Broker, BrokerKind, Names
from tests.integration.stream import (
    test_crashes,
    test_exactly_once,
    test_halts,
    test_memory,
    test_order,
    test_surroundings,
    world,
)
from tests.simulator.world import Simulation
from worker.stream import Engine

ContractTest = Callable[..., Coroutine[Any, Any, None]]

MODULES = (test_crashes, test_exactly_once, test_halts, test_memory, test_order, test_surroundings)
LEFT_OUT = {
    "test_a_wrong_password_is_told_as_such": "there is no authentication",
    "test_a_batch_with_a_broken_byte_on_disk_halts_its_partition_alone": "it has no disk",
    "test_brokers_with_old_transactions_get_the_old_protocol": "it starts brokers",
    "test_an_outage_loses_nothing_and_a_frozen_broker_delays_no_stop": "it kills processes",
}
WITHIN_SECONDS = 300.0


def _tests(module: ModuleType) -> Iterator[Any]:
    for name, test in inspect.getmembers(module, inspect.iscoroutinefunction):
        if not name.startswith("test_") or name in LEFT_OUT:
            continue
        cases: list[tuple[str, dict[str, object]]] = [("", {})]
        for mark in getattr(test, "pytestmark", []):
            if mark.name == "parametrize":
                argument, values = mark.args
                cases = [(f", {value}", {argument: value}) for value in values]
        for case, arguments in cases:
            yield pytest.param(functools.partial(test, **arguments), id=f"{name}{case}")


def test_what_is_left_out_still_exists() -> None:
    names = {name for module in MODULES for name, _ in inspect.getmembers(module, inspect.iscoroutinefunction)}
    assert names >= LEFT_OUT.keys()


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("test", [case for module in MODULES for case in _tests(module)])
def test_the_simulated_cluster_keeps_the_contract(
    test: functools.partial[Coroutine[Any, Any, None]], nodes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Simulation(1, nodes=nodes) as simulation:
        clock = simulation.clock("test")
        monkeypatch.setattr(world, "Engine", functools.partial(Engine, clock=clock, chance=simulation.chance("test")))
        given = {
            "broker": Broker(BrokerKind.APACHE, simulation.cluster.bootstrap_servers),
            "names": Names(prefix="t.", app_id="app"),
            "monkeypatch": monkeypatch,
        }
        wanted = inspect.signature(test.func).parameters.keys() - test.keywords.keys()
        simulation.spawn("test", test(**{name: given[name] for name in wanted}))
        assert simulation.run(lambda: not simulation.running("test"), WITHIN_SECONDS), "it does not end"
        for _, error in simulation.failures:
            raise error
