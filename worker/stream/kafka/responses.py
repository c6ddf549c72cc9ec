"""Reading what brokers answer to a producer's requests: error numbers, exceptions, and several answers together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any, Final

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InvalidProducerEpoch,
    KafkaError,
    NoError,
    ProducerFenced,
    RequestTimedOutError,
    for_code,
)

from worker.stream.clients import Answer

PRODUCER_FENCED: Final = 90
"""The number of the error ProducerFenced, which aiokafka lacks."""

Codes = Callable[[Answer], Iterable[tuple[str, int]]]
"""Reads an answer: the names of topics (empty: none), each with the number of its error (0: none)."""


def error_of(code: int, what: str, group_id: str) -> KafkaError:
    """The exception for an error number, which names `what` it concerns, or the group if it concerns that.

    Both numbers for a producer whose epoch was taken by a successor give ProducerFenced.
    """
    if code in (InvalidProducerEpoch.errno, PRODUCER_FENCED):
        return ProducerFenced()
    error = for_code(code)
    if error is GroupAuthorizationFailedError:
        what = group_id
    return error(what if error.errno == code else f"{what}, error {code}")


async def answer_to(asked: Awaitable[Answer]) -> Answer:
    """Await the answer to a request. Raises KafkaError."""
    try:
        return await asked
    except KeyError as error:
        # If two requests time out at the same moment, aiokafka fails to find the connection that it already closed.
        raise RequestTimedOutError from error


def name_of(request: object) -> str:
    """The name of a request without its version."""
    return type(request).__name__.partition("Request")[0]


def error_code(answer: Answer) -> Iterable[tuple[str, int]]:
    """Read an answer that has one error number, which concerns no topic."""
    return (("", answer.error_code),)


def codes_of_offsets(answer: Answer) -> Iterable[tuple[str, int]]:
    """Read an answer with the group's offsets."""
    partitions = [(topic, code) for topic, entries in answer.topics for *_, code in entries]
    return [("", getattr(answer, "error_code", NoError.errno)), *partitions]


def codes_of_partitions(answer: Answer) -> Iterable[tuple[str, int]]:
    """Read an answer that has an error number for each partition of each topic."""
    return ((topic, code) for topic, partitions, *_ in answer.errors for _, code, *_ in partitions)


async def together(steps: Sequence[Coroutine[Any, Any, object]]) -> None:
    """Await all steps together. After the first error, cancel the others and raise it.

    This is not a task group: on Python 3.11, a task group that fails leaves its task marked as cancelled
    (`Task.cancelling`), but the task of a partition goes on after errors.
    """
    if len(steps) == 1:
        await steps[0]
    elif steps:
        tasks = [asyncio.ensure_future(step) for step in steps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
            for task in tasks:
                if task.done():
                    task.result()
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
