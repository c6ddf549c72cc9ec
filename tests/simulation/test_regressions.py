"""What the simulation found in the engine, each as the smallest world that shows it."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace

import pytest
from aiokafka.protocol.metadata import MetadataRequest_v5
from aiokafka.protocol.offset import OffsetRequest_v3
from aiokafka.protocol.transaction import EndTxnRequest_v0

from tests.model.run import AccountPolicies
from tests.simulator.faults.faults import AtRequest, AtTime, Fault, FaultPlan
from tests.simulator.history import Entry
from tests.simulator.run import run
from tests.simulator.scenario import FAULTS_UNTIL_SECONDS, Act, Action, Plan


def _world(
    *faults: Fault, static: bool = False, entries: tuple[Entry, ...] = (), actions: tuple[Action, ...] = ()
) -> Plan:
    """Two workers, one partition, and these faults; nothing to process, unless it is given."""
    return Plan(
        seed=427,
        partitions=1,
        rules=AccountPolicies(),
        clean=False,
        entries=entries,
        skipped=0,
        workers=("w0", "w1"),
        static=static,
        pace=0.3,
        nodes=1,
        jitter_seconds=0.0,
        markers_seconds=0.0,
        breaker_bad_max=0,
        poisoned=None,
        actions=actions,
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


@pytest.mark.parametrize("nth", range(4, 8))
def test_a_static_member_that_led_without_metadata_gets_partitions_again(
    elsewhere: ProcessPoolExecutor, nth: int
) -> None:
    """Seed 8543: it gave itself nothing, and the broker gave its successor of the same name that again."""
    late = Fault(number=0, blow=AtRequest.DELAY_REQUEST, request=MetadataRequest_v5, nth=nth, seconds=9.4)
    leaving = Action(0, at_seconds=1.83, act=Act.LEAVE, subject="w0")
    record = Entry(0, at_ms=1500, timestamp_ms=1500, topic="orders.events.v1", partition=0, key=b"acme", value=b"{}")
    alone = replace(
        _world(late, static=True, entries=(record,), actions=(leaving,)), workers=("w0",), seed=8543, pace=1.0
    )
    result = elsewhere.submit(run, alone).result()
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


@pytest.mark.parametrize(("transaction_version", "seconds"), [(1, 8.6), (1, 9.0), (2, 9.0), (2, 9.8)])
def test_a_woken_worker_does_not_halt_at_deleted_but_processed_records(
    elsewhere: ProcessPoolExecutor, transaction_version: int, seconds: float
) -> None:
    """Seed 3521: the woken worker reads on before the group's answer that another worker has the partition."""
    away = Fault(number=0, blow=AtTime.ISOLATE, at_seconds=3.0, process="w1", seconds=seconds)
    record = Entry(0, at_ms=4000, timestamp_ms=4000, topic="orders.events.v1", partition=0, key=b"acme", value=b"{}")
    deletion = Action(0, at_seconds=9.5, act=Act.TRUNCATE, subject="0")
    world = replace(_world(away, entries=(record,), actions=(deletion,)), transaction_version=transaction_version)
    result = elsewhere.submit(run, world).result()
    assert result.findings == []
    assert result.figures["restarts: lost"] == 1


@pytest.mark.parametrize(("transaction_version", "restarts"), [(1, 1), (2, 0)])
@pytest.mark.parametrize("amount", [1, 3])
@pytest.mark.parametrize("seconds", [0.0004, 0.0006, 0.0008])
def test_a_commit_that_comes_late_does_not_end_the_transaction_after_it(
    elsewhere: ProcessPoolExecutor, amount: int, seconds: float, transaction_version: int, restarts: int
) -> None:
    """Nobody had answered it, so it was asked for again and the producer went on with the same epoch. What was left of
    the first one then committed what it found of a later transaction: positions without their outputs, for instance.
    Where each end brings another epoch, it may be asked for again.
    """
    late = Fault(number=0, blow=AtRequest.OUTLIVE, request=EndTxnRequest_v0, nth=6, seconds=seconds, amount=amount)
    entries = tuple(
        Entry(index, 1500 + 20 * index, 1500 + 20 * index, "orders.events.v1", 0, b"acme", b"{}")
        for index in range(120)
    )
    world = replace(_world(late, entries=entries), workers=("w0",), nodes=3, transaction_version=transaction_version)
    result = elsewhere.submit(run, world).result()
    assert result.findings == []
    assert result.figures["restarts: broker"] == restarts
