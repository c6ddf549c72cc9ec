"""The simulator itself: time, processes, faults and logs do what the tests on them take for granted."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest_v7
from aiokafka.protocol.transaction import EndTxnRequest_v0, TxnOffsetCommitRequest_v0

from tests.integration.stream.toy import Toy, ToyTopics
from tests.simulator.faults.faults import AtRequest, AtTime, Fault, FaultPlan
from tests.simulator.world import Fate, Simulation
from worker.stream import Engine, EngineConfig
from worker.stream.kafka.transaction_requests import EndTxnRequest_v5, ProduceRequest_v12, TxnOffsetCommitRequest_v5
from worker.stream.observer import SilentObserver

TOPICS = ToyTopics("out", "bad", "state")
RECORDS = 20


def _engines(simulation: Simulation, names: tuple[str, ...]) -> dict[str, Engine[Toy]]:
    """Workers that sum up what is in `a`."""
    for topic in ("a", "out", "bad"):
        simulation.create_topic(topic, 2)
    simulation.create_topic("state", 2, compact=True)
    config = EngineConfig(
        app_id="app",
        client=simulation.client_options,
        inputs=("a",),
        outputs=("out", "bad"),
        journal_topic="out",
        state_topic="state",
    )
    engines: dict[str, Engine[Toy]] = {}
    for name in names:
        engines[name] = Engine(
            config,
            lambda _partition, _count: Toy(TOPICS),
            SilentObserver(),
            clock=simulation.clock(name),
            chance=simulation.chance(name),
        )
        simulation.spawn(name, engines[name].run())
    return engines


def _append(simulation: Simulation, count: int = RECORDS) -> None:
    for number in range(count):
        simulation.append("a", number % 2, b"key", b"1", simulation.now_ms)


def _outputs_committed(simulation: Simulation) -> int:
    return sum(len(simulation.committed("out", partition)) for partition in range(2))


def test_time_is_virtual_inside_and_real_outside() -> None:
    seen: list[float] = []

    async def sleeper() -> None:
        for _ in range(3):
            await asyncio.sleep(1000)
            seen.extend((asyncio.get_running_loop().time(), time.monotonic()))

    began_at, state = time.monotonic(), random.getstate()
    with Simulation(1) as simulation:
        simulation.spawn("w", sleeper())
        assert simulation.run(lambda: not simulation.running("w"), 5000)
        assert [round(at) for at in seen] == [1000, 1000, 2000, 2000, 3000, 3000]
    assert time.monotonic() - began_at < 60
    assert random.getstate() == state


def test_a_crash_ends_a_process_without_a_last_word_and_no_other() -> None:
    steps: list[str] = []

    async def work(name: str) -> None:
        try:
            while True:
                await asyncio.sleep(1)
                steps.append(name)
        finally:
            steps.append(f"the end of {name}")

    with Simulation(1) as simulation:
        simulation.on_crash = lambda process: steps.append(f"crash of {process}")
        simulation.spawn("a", work("a"))
        simulation.spawn("b", work("b"))
        simulation.after(2.5, lambda: simulation.crash("a"))
        assert not simulation.run(lambda: False, 4.5)
        assert steps == ["a", "b", "a", "b", "crash of a", "b", "b"]
        assert not simulation.running("a")
        simulation.spawn("a", work("a again"))
        assert simulation.run(lambda: steps[-1] == "a again", 5)
        simulation.crash_at_step("b", simulation.steps("b") + 1)
        assert simulation.run(lambda: steps[-1] == "crash of b", 5)


def test_a_process_that_is_held_up_goes_on_where_it_was() -> None:
    woken: list[float] = []

    async def work() -> None:
        for _ in range(3):
            await asyncio.sleep(1)
            woken.append(round(asyncio.get_running_loop().time(), 3))

    with Simulation(1) as simulation:
        simulation.spawn("w", work())
        simulation.after(1.5, lambda: simulation.freeze("w", 10))
        assert simulation.run(lambda: len(woken) == 3, 60)
        assert woken == [1.0, 11.5, 12.5]


class _Listener:
    """Hears which requests are made, and strikes at none."""

    def __init__(self) -> None:
        self.kinds: set[type[Any]] = set()

    def on_request(self, request: Any, _process: str) -> None:  # noqa: ANN401 - aiokafka's
        self.kinds.add(type(request))


@pytest.mark.parametrize(
    ("transaction_version", "expected"),
    [
        (1, {EndTxnRequest_v0, ProduceRequest_v7, TxnOffsetCommitRequest_v0}),
        (2, {EndTxnRequest_v5, ProduceRequest_v12, TxnOffsetCommitRequest_v5}),
    ],
)
def test_an_engine_speaks_of_transactions_as_the_brokers_agree(
    transaction_version: int, expected: set[type[Any]]
) -> None:
    with Simulation(1) as simulation:
        listener = simulation.network.interference = _Listener()
        simulation.cluster.transaction_version = transaction_version
        simulation.cluster.transactions.epochs_max = 3
        _engines(simulation, ("w",))
        for number in range(6):  # one transaction after the other, over the end of the epochs
            _append(simulation, 2)
            assert simulation.run(lambda count=2 * number + 2: _outputs_committed(simulation) == count, 30)  # type: ignore[misc]
        keys = {request.API_KEY for request in expected}
        assert {kind for kind in listener.kinds if kind.API_KEY in keys} == expected
        producer_ids = {written.producer_id for written in simulation.written("out", 0)}
        assert (len(producer_ids) > 1) is (transaction_version == 2)


def test_the_same_seed_takes_the_same_course() -> None:
    courses = []
    for _ in range(2):
        plan = FaultPlan.drawn(5, processes=("v", "w"), until_seconds=4.0)
        with Simulation(5, faults=plan, tracing=True) as simulation:
            _engines(simulation, ("v", "w"))
            _append(simulation)
            simulation.run(lambda: simulation.seconds > 8, 10)
            written = [simulation.written(topic, number) for topic in ("out", "state") for number in range(2)]
            courses.append((written, simulation.trace, simulation.steps("v"), simulation.steps("w")))
    assert courses[0] == courses[1]
    assert courses[0][1]


def test_a_fault_stays_what_it_is_when_others_are_left_out() -> None:
    plans = [FaultPlan.drawn(seed, processes=("w",)) for seed in range(50)]
    blows = {fault.blow for plan in plans for fault in plan.faults}
    assert len(blows) > len(AtRequest), "of both kinds"
    for plan in plans:
        numbers = [fault.number for fault in plan.faults]
        assert numbers == list(range(len(numbers)))
        assert plan.without(numbers[::2]).faults == plan.only(numbers[1::2]).faults == plan.faults[1::2]
        assert all(fault.what for fault in plan.faults)


def test_every_kind_of_fault_is_drawn() -> None:
    blows = {fault.blow for seed in range(400) for fault in FaultPlan.drawn(seed, processes=("w",)).faults}
    assert blows == {*AtRequest, *AtTime}


def test_another_worker_takes_over_after_the_session_of_one_that_crashed() -> None:
    with Simulation(3) as simulation:
        engines = _engines(simulation, ("v", "w"))
        assert simulation.run(lambda: all(engine.status().ready for engine in engines.values()), 30)
        assert simulation.run(lambda: len(engines["w"].status().partitions) == 1, 30)
        began_at = simulation.seconds
        simulation.crash("v")
        assert simulation.run(lambda: len(engines["w"].status().partitions) == 2 and engines["w"].status().ready, 30)
        assert 4 < simulation.seconds - began_at < 9
        _append(simulation)
        assert simulation.run(lambda: _outputs_committed(simulation) == RECORDS, 10)


def test_a_coordinator_answers_old_offsets_for_a_while_and_forgets_none() -> None:
    offsets: list[int | None] = []

    async def asker() -> None:
        consumer: Any = AIOKafkaConsumer(**simulation.client_options, group_id="app", enable_auto_commit=False)
        await consumer.start()
        source = TopicPartition("a", 0)
        consumer.assign([source])
        for offset in (3, 5, 8):
            await consumer.commit({source: offset})
        for commits_back in (0, 1, 2):
            simulation.cluster.answer_old_offsets(commits_back, for_seconds=10)
            offsets.append(await consumer.committed(source))
        assert simulation.committed_offset("app", "a", 0) == 8
        await consumer.commit({source: 9})
        offsets.append(await consumer.committed(source))
        await asyncio.sleep(10)
        offsets.append(await consumer.committed(source))
        await consumer.stop()

    with Simulation(1) as simulation:
        simulation.create_topic("a", 1)
        simulation.spawn("asker", asker())
        assert simulation.run(lambda: not simulation.running("asker"), 30)
        assert simulation.failures == []
        assert offsets == [None, 5, 3, 3, 9]


def test_a_commit_whose_answer_is_lost_with_its_process_is_not_repeated() -> None:
    end_txn = next(
        fault.request
        for seed in range(100)
        for fault in FaultPlan.drawn(seed).faults
        if fault.request is not None and fault.request.__name__.startswith("EndTxn")
    )
    # A partition's first two transactions have its fence record and its first positions.
    crash = Fault(number=0, blow=AtRequest.CRASH_DONE, request=end_txn, nth=5)
    with Simulation(1, faults=FaultPlan([crash], 60.0), nodes=1) as simulation:
        crashed: list[float] = []
        simulation.on_crash = lambda _process: crashed.append(simulation.seconds)
        _engines(simulation, ("w",))
        _append(simulation)
        assert simulation.run(lambda: bool(crashed), 30)
        assert simulation.struck == {0}
        assert not simulation.run(lambda: False, 15), "what was decided is done without the process"
        count = _outputs_committed(simulation)
        assert count > 0
        fates = {written.fate for number in range(2) for written in simulation.written("out", number)}
        assert Fate.OPEN not in fates


def test_a_reader_jumps_over_what_was_cleaned_and_deleted() -> None:
    read: list[tuple[int, bytes | None, bytes | None]] = []

    async def reader() -> None:
        consumer: Any = AIOKafkaConsumer(**simulation.client_options, isolation_level="read_committed")
        await consumer.start()
        source = TopicPartition("state", 0)
        consumer.assign([source])
        consumer.seek(source, (await consumer.beginning_offsets([source]))[source])
        while await consumer.position(source) < 6:
            for records in (await consumer.getmany(timeout_ms=100)).values():
                read.extend((record.offset, record.key, record.value) for record in records)
        await consumer.stop()

    with Simulation(1) as simulation:
        simulation.create_topic("state", 1, compact=True)
        for key, value in ((b"x", b"0"), (b"a", b"1"), (b"b", b"1"), (b"a", b"2"), (b"c", b"1"), (b"a", None)):
            simulation.append("state", 0, key, value, simulation.now_ms)
        simulation.compact("state")
        simulation.truncate("state", 0, before_offset=1)
        simulation.spawn("reader", reader())
        assert simulation.run(lambda: not simulation.running("reader"), 30)
        assert simulation.failures == []
        assert read == [(2, b"b", b"1"), (4, b"c", b"1"), (5, b"a", None)]
        assert [tuple(record[:3]) for record in simulation.committed("state", 0)] == read
        assert len(simulation.written("state", 0)) == 6
