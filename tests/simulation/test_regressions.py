"""What the simulation found in the engine, each as the smallest world that shows it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

import pytest
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v3

from tests.model.run import AccountRules
from tests.simulation.faults import AtRequest, Fault, FaultPlan
from tests.simulation.run import run
from tests.simulation.scenario import FAULTS_UNTIL_SECONDS, Plan


def _world(*faults: Fault, static: bool = False) -> Plan:
    """Two workers, one partition, nothing to process, and these faults."""
    return Plan(
        seed=427,
        partitions=1,
        rules=AccountRules(),
        clean=False,
        entries=(),
        skipped=0,
        workers=("w0", "w1"),
        static=static,
        pace=0.3,
        nodes=1,
        jitter_seconds=0.0,
        markers_seconds=0.0,
        breaker_bad_max=0,
        poisoned=None,
        actions=(),
        faults=FaultPlan(faults, FAULTS_UNTIL_SECONDS),
        gaps=False,
    )


@pytest.mark.parametrize("static", [False, True])
@pytest.mark.parametrize("nth", range(7, 14))
def test_a_group_whose_leader_learns_of_no_partitions_is_joined_anew(
    elsewhere: ProcessPoolExecutor, nth: int, *, static: bool
) -> None:
    """Seeds 201, 427 and 1277: the client never gives up the connection that it asks for metadata over."""
    fault = Fault(number=0, blow=AtRequest.LOSE_ANSWER, request=MetadataRequest_v5, nth=nth)
    result = elsewhere.submit(run, _world(fault, static=static)).result()
    assert result.findings == []
    assert result.figures["restores"] > 0


@pytest.mark.parametrize("nth", range(1, 8))
def test_a_partition_begins_although_the_connection_of_the_group_is_dead(
    elsewhere: ProcessPoolExecutor, nth: int
) -> None:
    """Seed 462: the beginnings of the inputs were asked for over a dead connection, again and again."""
    fault = Fault(number=0, blow=AtRequest.LOSE_ANSWER, request=OffsetRequest_v3, nth=nth)
    result = elsewhere.submit(run, _world(fault)).result()
    assert result.findings == []
    assert result.figures["restores"] > 0
