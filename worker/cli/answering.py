"""Where a command has its answers from: the worker that has the partition, else the state in the topics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from schemas.topics import LEDGER, Topic
from worker.cli.asking import OpenSystem
from worker.settings import Settings

if TYPE_CHECKING:
    from worker.domain.ledger import Ledger
    from worker.inspection.members import Worker
    from worker.web.answers import Level
    from worker.web.queries import Look, Question

A = TypeVar("A")
T = TypeVar("T")


def inputs_of(settings: Settings) -> list[str]:
    """The full names of a system's inputs."""
    return [settings.topic(topic) for topic in LEDGER.inputs]


class QuestionRouter:
    """Asks the workers of a system, and the topics where none answers.

    A worker that cannot be reached is asked once. A state that was read from the topics is kept for further questions,
    until another partition is asked about.
    """

    def __init__(self, system: OpenSystem) -> None:
        self._system = system
        self._workers: list[Worker] | None = None
        self._unreachable: set[Worker] = set()
        self._read: tuple[int, Look] | None = None

    async def workers(self) -> list[Worker]:
        """The workers of the system. There are none if the group cannot be described, for example without the right."""
        from worker.inspection.cluster import ClusterError
        from worker.inspection.connecting import RightMissing
        from worker.inspection.members import workers_of

        if self._workers is None:
            settings = self._system.settings
            try:
                self._workers = await workers_of(self._system.cluster, settings.app_id, inputs_of(settings))
            except (ClusterError, RightMissing) as error:
                click.echo(f"stockfreeze: read from the topics, because no worker can be found: {error}.", err=True)
                self._workers = []
        return self._workers

    async def of_account(self, question: Question[A], account_id: str) -> A | None:
        """Ask about an account. None: nothing is known of what was asked for."""
        return await self.of_partition(question, self._system.partition_of(account_id))

    async def of_partition(self, question: Question[A], partition: int) -> A | None:
        """Ask about a partition. None: nothing is known of what was asked for."""
        from worker.web.remote import NoAnswer, Unreachable, ask_worker

        worker = next((one for one in await self.workers() if partition in one.partitions), None)
        if worker is not None and worker not in self._unreachable:
            try:
                return await asyncio.to_thread(ask_worker, worker, question)
            except NoAnswer as why:
                if isinstance(why, Unreachable):
                    self._unreachable.add(worker)
                where = worker.url or worker.host
                click.echo(f"stockfreeze: read from the topics, because the worker at {where} {why}.", err=True)
        answer = await question.ask(await self._look_into(partition), partition)
        if answer is not None:
            await self._show_published(answer, partition)
        return answer

    async def _look_into(self, partition: int) -> Look:
        if self._read is None or self._read[0] != partition:
            self._read = None  # lets go of one state before another is read
            ledger = (await self._system.state_of(partition)).ledger

            async def look(see: Callable[[Ledger], T]) -> T:
                return see(ledger)

            self._read = partition, look
        return self._read[1]

    async def _show_published(self, answer: object, partition: int) -> None:
        """Give an answer the levels that the worker published, because the command may have other settings than it."""
        from worker.web.answers import HoldersAnswer, LevelsAnswer
        from worker.web.published import as_published, published_levels

        async def published(account_id: str, levels: list[Level]) -> list[Level]:
            topic = self._system.settings.topic(Topic.LEVELS)
            keys = [(level.warehouse_id, level.sku) for level in levels]
            records = await published_levels(self._system.reader, topic, partition, account_id, keys)
            return [as_published(level, records.get((level.warehouse_id, level.sku))) for level in levels]

        match answer:
            case HoldersAnswer():
                [answer.level] = await published(answer.account_id, [answer.level])
            case LevelsAnswer():
                answer.levels = await published(answer.account_id, answer.levels)
            case _:
                pass  # it has no levels
