"""What a membership in the group does when partitions come and go. The consumer and the tasks are doubles."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace

import pytest
from aiokafka import TopicPartition

from tests.unit.stream.fakes import CONFIG, Time, surroundings_at
from worker.stream import session as module
from worker.stream.errors import NotReady
from worker.stream.feed import Inlet
from worker.stream.merge import Merge
from worker.stream.processor import Processor
from worker.stream.session import DUPLICATE_REBALANCES, Session, pair_topics
from worker.stream.start.topic_check import TopicCheck, TopicsSeen
from worker.stream.status import PartitionState
from worker.stream.task import PartitionTask

SECONDS_MAX = 5
"""Nothing here waits for anything."""


class _Consumer:
    """Notes what to hold, and ends."""

    def __init__(self, **settings: object) -> None:
        self.settings = settings
        self.paused: set[TopicPartition] = set()
        self.stopped = False
        self.answered_at_ms: int | None = None
        self.known: dict[str, set[int] | None] = {}

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return self.known[topic]

    def last_poll_timestamp(self, _source: TopicPartition) -> int | None:
        return self.answered_at_ms

    def resume(self, source: TopicPartition) -> None:
        self.paused.discard(source)

    def pause(self, source: TopicPartition) -> None:
        self.paused.add(source)

    def seek(self, source: TopicPartition, offset: int) -> None:
        """Nothing is fetched here."""

    async def stop(self) -> None:
        self.stopped = True


class _Task:
    """Runs from its start to its stop."""

    def __init__(self, _surroundings: object, _feed: object, partition: int, _count: int, _ids: object) -> None:
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
        time = self.time = Time()
        self.halted: dict[int, PartitionTask[Processor]] = {}
        self.surroundings = surroundings_at(time)
        self.session = self.begin()

    def begin(self) -> Session[Processor]:
        check = TopicCheck.__new__(TopicCheck)  # it is asked by `run` alone
        return Session(self.surroundings, check, TopicsSeen(8, {}), self.halted)

    @property
    def states(self) -> Mapping[int, PartitionState]:
        return {partition: task.state for partition, task in self.session.tasks.items()}


@pytest.fixture
async def scene(monkeypatch: pytest.MonkeyPatch) -> _Scene:
    return _Scene(monkeypatch)


def sources(*partitions: int, topics: Collection[str] = CONFIG.inputs) -> list[TopicPartition]:
    return [TopicPartition(topic, partition) for topic in topics for partition in partitions]


async def test_the_client_reads_committed_records_and_commits_no_offsets(
    scene: _Scene,
) -> None:
    settings = scene.session._consumer.settings
    asked = {name: settings[name] for name in ("isolation_level", "auto_offset_reset", "enable_auto_commit")}
    assert asked == {"isolation_level": "read_committed", "auto_offset_reset": "none", "enable_auto_commit": False}


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


@pytest.mark.parametrize(
    ("member", "seconds", "reported"), [("one", 4, True), (None, 4, False), ("one", 6, False)], ids=str
)
async def test_a_member_id_of_two_workers_is_reported_after_many_rebalances(
    scene: _Scene, monkeypatch: pytest.MonkeyPatch, member: str | None, seconds: int, *, reported: bool
) -> None:
    monkeypatch.setattr(scene.session, "_config", replace(CONFIG, group_instance_id=member))
    for _ in range(DUPLICATE_REBALANCES):
        assert scene.session.problem is None
        scene.time.seconds += seconds
        await scene.session.on_partitions_assigned(sources(1))
        await scene.session.on_partitions_revoked(sources(1))
    assert ("two workers have the member id" in (scene.session.problem or "")) is reported


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
    assert await scene.surroundings.reaper.wait(1)
    assert consumer.stopped


async def test_fetches_without_answers_are_reported_then_end_the_session(scene: _Scene) -> None:
    merge = Merge(CONFIG.inputs, lambda _record: False)
    inlet = Inlet(merge, asyncio.Event(), lambda *_what: None)
    session = scene.session
    await session.on_partitions_assigned(sources(1))
    session._feed.open(1, inlet, dict.fromkeys(CONFIG.inputs, 0))
    seconds = CONFIG.silence_ms_max / 1000
    problems: list[str | None] = []
    for answered_at_ms, later in ((None, 1000), (1, 1000), (2, 1000), (2, seconds), (2, 1), (2, 3 * seconds - 1)):
        session._consumer.answered_at_ms = answered_at_ms
        scene.time.seconds += later
        session._note_silence()
        problems.append(session.problem)
    assert problems == [None] * 4 + ["no fetch was answered for 9 s"] * 2
    scene.time.seconds += 1
    with pytest.raises(NotReady, match="no fetch was answered for 33 s; the worker reconnects"):
        session._note_silence()


@pytest.mark.parametrize("known", [None, {0, 1, 2}])
async def test_topics_whose_partitions_the_client_does_not_know_end_the_session(
    scene: _Scene, monkeypatch: pytest.MonkeyPatch, known: set[int] | None
) -> None:
    count = 8

    async def look() -> TopicsSeen:
        return TopicsSeen(count, {})

    async def check_policies() -> None:
        """They keep what they must."""

    monkeypatch.setattr(scene.session._check, "look", look)
    monkeypatch.setattr(scene.session._check, "check_policies", check_policies)
    scene.session._consumer.known = {"a": set(range(8)), "b": set(range(8))}
    await scene.session._check_topics()
    scene.session._consumer.known["b"] = known
    with pytest.raises(NotReady, match="the client has no metadata for partitions of b; it reconnects"):
        await scene.session._check_topics()
    count = 9
    with pytest.raises(NotReady, match="the topics had 8 partitions and now have 9"):
        await scene.session._check_topics()


async def test_topics_that_are_found_wrong_twice_in_a_row_end_the_session(
    scene: _Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str | None] = []
    found = iter([NotReady("a is missing"), None, NotReady("b is missing"), OSError("gone"), NotReady("c is missing")])

    async def check_topics() -> None:
        problems.append(scene.session.problem)
        error = next(found)
        if error is not None:
            raise error

    monkeypatch.setattr(scene.session, "_config", replace(CONFIG, topic_check_interval_ms=0))
    monkeypatch.setattr(scene.session, "_check_topics", check_topics)
    with pytest.raises(NotReady, match="c is missing"):
        await asyncio.wait_for(scene.session._watch(), SECONDS_MAX)
    assert problems[:4] == [None, "a is missing", None, "b is missing"]
    assert "OSError: gone" in (problems[4] or "")
    assert scene.session.problem == "c is missing"


def test_partitions_of_which_an_input_is_missing_are_not_paired() -> None:
    assigned = [TopicPartition("a", 1), TopicPartition("b", 1), TopicPartition("a", 2), TopicPartition("b", 0)]
    assert pair_topics(assigned, ["a", "b"]) == ({1}, ["a/2", "b/0"])
