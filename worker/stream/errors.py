"""The engine's own errors, the causes of a restart, and the sentences that explain errors to operators."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import NamedTuple, TypeVar

from aiokafka.errors import (
    BrokerResponseError,
    CorruptRecordException,
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    ProducerFenced,
    RequestTimedOutError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from worker.stream.rights import REFUSALS, missing_right

T = TypeVar("T")

DEFECTS = (NameError, AttributeError, TypeError, LookupError)
"""Errors that no broker can cause. Every other error of the client may be caused by a broker."""


class RestartCause(StrEnum):
    """Why a partition starts again, for logs, metrics and the pause before it. No cause proves what was committed.

    All of them are treated alike (`worker.stream.task.PartitionTask`). The task throws away its producer and its state,
    waits (`worker.stream.backoff`), takes the next epoch of the transactional id, and restores the state from its
    topic. If the group revokes the partition meanwhile, the task stops instead.
    """

    FENCED = "fenced"
    """Another producer took the next epoch of the transactional id, so the broker rejects this one. Usually the group
    has given the partition to another worker, and its revocation is on the way."""
    TIMEOUT = "timeout"
    """A request to the broker was not answered within its time limit."""
    LOST = "lost"
    """An offset of an input cannot be read."""
    BREACH = "breach"
    """State and topics do not belong together."""
    DEFECT = "defect"
    """The worker has a defect."""
    BROKER = "broker"
    """A broker answered with another error, or cannot be reached."""


CAUSES = tuple(cause.value for cause in RestartCause)


class NotAssigned(Exception):
    """This worker does not process the partition now."""


class Halt(Exception):
    """The partition must stop until the process is restarted. The text is a sentence that says how to repair it."""


class OffsetLost(Exception):
    """An input cannot be read at the next offset, as far as the task knows. The text is a sentence."""


class StateTaken(Exception):
    """The state or the journal of a partition does not continue where its last transaction ended.

    Another system writes there under another transactional id, or the topic was recreated. The text is a sentence.
    """


class Breached(Exception):
    """State and topics do not belong together, as seen once. The text is a sentence that says how to repair it."""

    def __init__(self, topic: str, sentence: str) -> None:
        super().__init__(sentence)
        self.topic = topic
        """The topic that does not fit."""


def halt_at(partition: int, place: str, error: Exception) -> Halt:
    """The Halt of a partition whose processor raised `error`, which is a broken invariant or a defect."""
    return Halt(
        f"partition {partition} stopped at {place}: {type(error).__name__}: {error}; nothing of its batch was "
        "committed; report this with the log, and restart the worker once the cause is removed: it continues there"
    )


class Loss(NamedTuple):
    """The next offset of an input, which cannot be read because it is out of range or its batch is corrupt."""

    topic: str
    offset: int
    error: Exception

    @property
    def is_gone(self) -> bool:
        """Whether the topic does not have the offset. If it has, the batch there is corrupt."""
        return isinstance(self.error, OffsetOutOfRangeError)

    def for_now(self) -> OffsetLost:
        """The error to raise the first time. The task then restores its state, which may have a later offset."""
        if self.is_gone:
            return OffsetLost(f"{self.topic} does not have offset {self.offset}; the state is restored again")
        return OffsetLost(f"offset {self.offset} of {self.topic} cannot be read ({_text(self.error)})")

    def for_good(self, partition: int) -> Halt:
        """The Halt to raise if the restored state has the same offset."""
        if self.is_gone:
            why = "which the topic does not have (any more, or yet)"
            way_out = (
                "restore the topic from a copy with the same offsets and timestamps, or stop all workers and run "
                f"`stockfreeze topics accept {self.topic} --from beginning`, which reads what it has"
            )
        else:
            why = f"which cannot be read ({_text(self.error)})"
            way_out = "check the brokers' disks, make a replica the leader that can be read, and restart the worker"
        return Halt(
            f"partition {partition} must continue at offset {self.offset} of {self.topic}, {why}, and skips nothing; "
            f"{way_out}"
        )


class NotReady(Exception):
    """The worker cannot join the group or stay in it now. The text is a sentence. The engine retries with back-off."""


class StepTimeout(Exception):
    """A request to the broker was not answered within its time limit."""


async def bounded(step: Awaitable[T], ms_max: int, what: str) -> T:
    """Await a step for at most `ms_max` milliseconds. Raises StepTimeout, which names `what`, if it takes longer."""
    try:
        async with asyncio.timeout(ms_max / 1000):
            return await step
    except TimeoutError as error:
        raise StepTimeout(f"{what} did not end within {ms_max} ms") from error


def cause_of(error: BaseException) -> RestartCause:
    """The cause of a restart after `error`."""
    if isinstance(error, ProducerFenced | StateTaken):
        return RestartCause.FENCED
    if isinstance(error, StepTimeout):
        return RestartCause.TIMEOUT
    if isinstance(error, OffsetLost):
        return RestartCause.LOST
    if isinstance(error, Breached):
        return RestartCause.BREACH
    if isinstance(error, DEFECTS):
        return RestartCause.DEFECT
    return RestartCause.BROKER


def sentence_of(
    error: BaseException,
    servers: object,
    detail: BaseException | None,
    what_to_grant: Callable[[KafkaError], str] = missing_right,
) -> str:
    """One sentence that explains an error and says what to do.

    `detail` is the error that the client logged last, because some errors leave out their reason. `what_to_grant`
    explains errors of `worker.stream.rights.REFUSALS`.
    """
    if isinstance(error, DEFECTS):
        return f"this worker has a defect and cannot continue ({_text(error)}): report it with its trace from the log"
    # An error that a broker answered, or that the engine found itself, is complete without the client's log.
    is_complete = isinstance(error, NotReady | OffsetLost | Breached | StateTaken | ProducerFenced) or _is_refusal(
        error
    )
    seen = error if detail is None or is_complete else detail
    if isinstance(seen, NotReady | OffsetLost | Breached | StateTaken):
        return str(seen)
    if isinstance(seen, ProducerFenced):
        return (
            "another worker has taken over the partition; if this repeats, another system on these brokers uses the "
            "same APP_ID: give each system its own"
        )
    if isinstance(seen, SaslAuthenticationFailed | UnsupportedSaslMechanismError):
        return (
            f"the broker at {servers} did not authenticate this worker ({_text(seen)}): check the user name, "
            "the password and the SASL mechanism"
        )
    if isinstance(seen, REFUSALS):
        return what_to_grant(seen)
    if isinstance(seen, CorruptRecordException):
        return f"the broker at {servers} sends data that cannot be read ({_text(seen)}): check its disks"
    if isinstance(seen, MessageSizeTooLargeError):
        return (
            f"a record is larger than its topic allows ({_text(seen)}): run `stockfreeze topics check`, which names "
            "the topic and the max.message.bytes it needs"
        )
    if _is_refusal(seen):
        return f"the broker at {servers} rejects a request ({_text(seen)}): check the broker's log"
    return (
        f"the broker at {servers} cannot be reached or does not answer ({_text(seen)}): check that it runs, and the "
        "address in BOOTSTRAP_SERVERS"
    )


def _is_refusal(error: BaseException) -> bool:
    """Whether a broker answered with this error."""
    return isinstance(error, BrokerResponseError) and not isinstance(error, RequestTimedOutError)


def _text(error: BaseException) -> str:
    # str() of an error of the client would begin with its number and its name.
    what = ", ".join(map(str, error.args)) if isinstance(error, KafkaError) else str(error)
    return f"{type(error).__name__}: {what}" if what else type(error).__name__
