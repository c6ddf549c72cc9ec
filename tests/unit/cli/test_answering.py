"""Where a command has its answers from, with real ledgers and workers that cannot be reached."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from deploy.kafka.local import free_port
from tests.unit.domain.shop import Shop
from worker.cli.answering import QuestionRouter
from worker.cli.asking import OpenSystem
from worker.inspection.members import Worker
from worker.web.queries import PartitionQuestion


class States:
    """A system of which only the states can be read."""

    def __init__(self) -> None:
        self.read: list[int] = []

    async def state_of(self, partition: int) -> SimpleNamespace:
        self.read.append(partition)
        shop = Shop()
        for number in range(partition + 1):
            shop.order(1, order_id=f"o{number}")
        return SimpleNamespace(ledger=shop.processor.ledger)


def answers_of(states: States, *workers: Worker) -> QuestionRouter:
    answers = QuestionRouter(cast("OpenSystem", states))
    answers._workers = list(workers)
    return answers


async def orders(answers: QuestionRouter, partition: int) -> int:
    answer = await answers.of_partition(PartitionQuestion(partition), partition)
    assert answer is not None
    return answer.orders


async def test_a_partition_that_no_worker_has_is_read_from_the_topics(capsys: pytest.CaptureFixture[str]) -> None:
    states = States()
    answers = answers_of(states)

    assert [await orders(answers, partition) for partition in (0, 0, 1, 1)] == [1, 1, 2, 2]
    assert states.read == [0, 1]
    assert capsys.readouterr().err == ""


async def test_a_worker_that_cannot_be_reached_is_asked_and_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    gone = Worker("gone", "10.0.0.1", f"http://127.0.0.1:{free_port()}", (0, 1))
    answers = answers_of(States(), gone)

    assert [await orders(answers, partition) for partition in (0, 1)] == [1, 2]
    [shown] = capsys.readouterr().err.splitlines()
    assert shown.startswith(f"stockfreeze: read from the topics, because the worker at {gone.url} cannot be reached")
