"""Connecting a command to a system on Kafka, and turning what fails there into one sentence for the user."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from schemas.topics import Topic
from worker.cli.bars import ReadingBar
from worker.cli.context import CommandError

if TYPE_CHECKING:
    from worker.inspection.cluster import Cluster
    from worker.inspection.state_reader import NewProcessor, StateAtOffset
    from worker.inspection.topic_reader import ReadProgress, TopicReader
    from worker.settings import Settings

Answer = TypeVar("Answer")


def ask(question: Coroutine[object, object, Answer], as_worker: Settings | None = None) -> Answer:
    """Run a command's question. Errors of the broker, the topics or the state become a CommandError.

    `as_worker`: the settings of a worker, where the command does what a worker does and needs its rights.
    """
    try:
        with _silent("aiokafka", "worker.stream"):
            return asyncio.run(question)
    except Exception as error:
        refusal = _refusal_of(error, as_worker)
        if refusal is None:
            raise
        raise refusal from error


def _refusal_of(error: Exception, as_worker: Settings | None) -> CommandError | None:
    """Word an error for the user; None: it is a defect. The errors are imported here, because most commands succeed."""
    from aiokafka.errors import KafkaError, ProducerFenced

    from worker.inspection.admin import TopicsMissing
    from worker.inspection.cluster import ClusterError
    from worker.inspection.connecting import BrokerUnreachable, RightMissing
    from worker.inspection.dead_letters import DeadLetterGone
    from worker.inspection.state_reader import StateUnreadable
    from worker.inspection.topic_reader import ReadStalled
    from worker.stream.errors import Breached, Halt, StateTaken, StepTimeout
    from worker.stream.rights import REFUSALS, missing_right, right_of_worker
    from worker.stream.start.accepting import CannotAccept

    with_sentence = (
        *(Breached, BrokerUnreachable, CannotAccept, ClusterError, DeadLetterGone, Halt, ReadStalled, RightMissing),
        *(StateTaken, StateUnreadable, StepTimeout, TopicsMissing),
    )
    if isinstance(error, with_sentence):
        return CommandError(str(error))
    if isinstance(error, REFUSALS):
        if as_worker is not None:
            return CommandError(missing_right(error, of_topic=right_of_worker(as_worker.engine_config())))
        # A right that is missing for a read is `RightMissing` already.
        return CommandError(missing_right(error, of_topic=lambda _: "Write", of_group="Describe"))
    if isinstance(error, ProducerFenced):
        return CommandError(
            "a worker or another command has taken a partition over: stop it, and run this command again"
        )
    if isinstance(error, KafkaError | OSError | TimeoutError):
        return CommandError(f"Kafka failed to answer: {str(error) or type(error).__name__}")
    return None


@contextmanager
def _silent(*names: str) -> Iterator[None]:
    """Keep loggers quiet, because their lines would stand between those of the command.

    The reason of a failure is a part of the command's own sentence.
    """
    handler = logging.NullHandler()
    before = {name: logging.getLogger(name).propagate for name in names}
    for name in names:
        logging.getLogger(name).propagate = False
        logging.getLogger(name).addHandler(handler)
    try:
        yield
    finally:
        for name, propagate in before.items():
            logging.getLogger(name).propagate = propagate
            logging.getLogger(name).removeHandler(handler)


@dataclass(frozen=True, slots=True)
class OpenSystem:
    """A system that a command is connected to: all its topics exist, with `partition_count` partitions each."""

    settings: Settings
    cluster: Cluster
    reader: TopicReader
    partition_count: int

    @property
    def new_processor(self) -> NewProcessor:
        """Return the function that makes an empty processor, to restore the state of a partition into."""
        from worker.inspection.state_reader import processors

        return processors(self.partition_count, self.settings.topic_prefix, self.settings.policies())

    async def state_of(self, partition: int) -> StateAtOffset:
        """Read the state of a partition as it is now."""
        from worker.inspection.state_reader import read_state

        return await read_state(self.reader, self.settings.topic(Topic.STATE), partition, self.new_processor)

    def partition_of(self, account_id: str) -> int:
        """Return the partition of an account."""
        from worker.stream.partitioning import partition_of

        return partition_of(account_id, self.partition_count)


@asynccontextmanager
async def open_system(settings: Settings, progress: ReadProgress | None = None) -> AsyncIterator[OpenSystem]:
    """Connect to the system that the settings name, for the length of the block.

    `progress` is called after each chunk of a read; without one, a bar on stderr shows it.
    """
    from worker.inspection.admin import common_partition_count
    from worker.inspection.cluster import open_cluster
    from worker.inspection.topic_reader import TopicReader

    options = settings.client_options()
    async with open_cluster(options) as cluster:
        names = [settings.topic(topic) for topic in Topic]
        found = await cluster.partition_counts()
        await cluster.require_visible(name for name in names if name not in found)
        partition_count = common_partition_count(names, found)
        with nullcontext(progress) if progress is not None else ReadingBar() as shown:
            async with TopicReader(options, shown) as reader:
                yield OpenSystem(settings, cluster, reader, partition_count)


@asynccontextmanager
async def open_stopped_system(settings: Settings) -> AsyncIterator[tuple[Cluster, int]]:
    """Connect to a system without workers, for the length of the block, and give its partition count too.

    Raises CommandError where workers are in the group, and TopicsMissing where topics are.
    """
    from worker.inspection.admin import common_partition_count
    from worker.inspection.cluster import open_cluster

    async with open_cluster(settings.client_options()) as cluster:
        names = [settings.topic(topic) for topic in Topic]
        found = await cluster.partition_counts()
        await cluster.require_visible(name for name in names if name not in found)
        partition_count = common_partition_count(names, found)
        await require_no_members(cluster, settings)
        yield cluster, partition_count


async def require_no_members(cluster: Cluster, settings: Settings) -> None:
    """Raise CommandError where workers are in the group."""
    members = await cluster.members(settings.app_id)
    if members:
        many = len(members) > 1
        raise CommandError(
            f"{len(members)} worker{'s are' if many else ' is'} in the group {settings.app_id}: stop all workers of "
            f"this system, and run this again (one that was killed leaves after {settings.session_timeout_ms} ms)"
        )
