"""What a membership in the group does when partitions come and go. The consumer and the tasks are doubles."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping

import pytest
from aiokafka import TopicPartition

from tests.observer import SilentObserver
from tests.unit.stream.fakes import CONFIG, Obedient, Time
from worker.stream import Chance
from worker.stream import session as module
from worker.stream.client_log import ClientLog, RateLimit
from worker.stream.reaper import Reaper
from worker.stream.session import Session
from worker.stream.status import PartitionState
from worker.stream.surroundings import Surroundings
from worker.stream.task import PartitionTask
from worker.stream.topics import TopicCheck


class _Consumer:
    """Is told what to hold, and ends."""

    def __init__(self, **_settings: object) -> None:
        self.paused: set[TopicPartition] = set()
        self.stopped = False

    def pause(self, source: TopicPartition) -> None:
        self.paused.add(source)

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Nothing is fetched here."""

    async def stop(self) -> None:
        self.stopped = True


class _Task:
    """Runs from its start to its stop."""

    def __init__(self, _surroundings: object, _feed: object, partition: int, _count: int) -> None:
        self.partition = partition
        self.state = PartitionState.STARTING

    def start(self) -> None:
        self.state = PartitionState.RUNNING

    async def stop(self) -> None:
        if self.state is not PartitionState.HALTED:
            self.state = PartitionState.STOPPED


class _Scene:
    """A session of which two topics are read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "AIOKafkaConsumer", _Consumer)
        monkeypatch.setattr(module, "PartitionTask", _Task)
        time = Time()
        self.halted: dict[int, PartitionTask] = {}
        self.reaper = Reaper()
        self.surroundings = Surroundings(
            config=CONFIG,
            processors=lambda _partition, _count: Obedient(),
            observer=SilentObserver(),
            clock=time.clock,
            chance=Chance(random.Random(1)),
            reaper=self.reaper,
            client_log=ClientLog(5000, time.clock.monotonic),
            complaints=RateLimit(5000, time.clock.monotonic),
        )
        self.session = self.begin()

    def begin(self) -> Session:
        check = TopicCheck.__new__(TopicCheck)  # it is asked by `run` alone
        return Session(self.surroundings, check, 8, self.halted)

    @property
    def states(self) -> Mapping[int, PartitionState]:
        return {partition: task.state for partition, task in self.session.tasks.items()}


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> _Scene:
    return _Scene(monkeypatch)


def sources(*partitions: int, topics: Collection[str] = CONFIG.inputs) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic in topics for partition in partitions]


async def test_a_partition_whose_topics_are_all_here_is_started(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned(sources(1, 4))
    assert scene.states == {1: PartitionState.RUNNING, 4: PartitionState.RUNNING}
    assert scene.session.joined
    assert scene.session.problem is None


async def test_a_partition_of_which_a_topic_is_missing_is_told_and_not_started(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned([*sources(1), *sources(2, topics=["a"])])
    assert list(scene.states) == [1]
    assert "only some topics of a partition (a/2)" in (scene.session.problem or "")


async def test_what_is_revoked_is_stopped(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned(sources(1))
    task = scene.session.tasks[1]
    await scene.session.on_partitions_revoked(sources(1))
    assert task.state is PartitionState.STOPPED
    assert scene.states == {}
    assert not scene.session.joined


async def test_a_halted_partition_stays_so_when_it_comes_back(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned(sources(1))
    task = scene.session.tasks[1]
    task.state = PartitionState.HALTED
    await scene.session.on_partitions_revoked(sources(1))
    await scene.session.on_partitions_assigned(sources(1))
    assert scene.session.tasks == {1: task}
    await scene.session.close()
    scene.session = scene.begin()
    await scene.session.on_partitions_assigned(sources(1))
    assert scene.session.tasks == {1: task}
    assert task.state is PartitionState.HALTED


async def test_what_a_rebalance_assigns_after_the_end_is_not_started(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned(sources(1))
    await scene.session.close()
    await scene.session.on_partitions_assigned(sources(1, 2))
    assert scene.states == {}
    assert not scene.session.joined


async def test_the_group_is_left_once_the_tasks_have_stopped(scene: _Scene) -> None:
    await scene.session.on_partitions_assigned(sources(1))
    task, consumer = scene.session.tasks[1], scene.session._consumer
    await scene.session.close()
    assert task.state is PartitionState.STOPPED
    assert await scene.reaper.wait(1)
    assert consumer.stopped
