"""What the engine rests on holds on Apache Kafka and on the simulated cluster alike."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.brokers import Broker, BrokerKind, Names
from tests.simulator.facts.catalogue import FACTS, Bench
from tests.simulator.facts.kafka_4_facts import KAFKA_4_FACTS
from tests.simulator.facts.protocol_facts import PROTOCOL_FACTS
from tests.simulator.facts.transaction_facts import TRANSACTION_FACTS
from tests.simulator.world import Simulation

Fact = Callable[[Bench], Coroutine[Any, Any, None]]
WITHIN_SECONDS = 120.0

facts = pytest.mark.parametrize(
    "fact", FACTS + TRANSACTION_FACTS + PROTOCOL_FACTS + KAFKA_4_FACTS, ids=lambda fact: fact.__name__
)


@pytest.mark.apache
@facts
async def test_apache_kafka(fact: Fact, broker: Broker, names: Names) -> None:
    await fact(Bench(broker, names))


@facts
@pytest.mark.parametrize("nodes", [1, 3])
def test_the_simulated_cluster(fact: Fact, nodes: int) -> None:
    with Simulation(1, nodes=nodes) as simulation:
        broker = Broker(BrokerKind.APACHE, simulation.cluster.bootstrap_servers)
        simulation.spawn("test", fact(Bench(broker, Names("t.", "app"))))
        assert simulation.run(lambda: not simulation.running("test"), WITHIN_SECONDS), "it does not end"
        for _, error in simulation.failures:
            raise error
