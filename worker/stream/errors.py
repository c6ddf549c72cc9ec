"""The engine's own errors, and how errors of the broker are told to people."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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

CAUSES = ("fenced", "timeout", "lost", "breach", "defect", "broker")
"""What `cause_of` may say."""
DEFECTS = (NameError, AttributeError, TypeError, LookupError)
"""What no broker can bring about. Whatever else comes out of the client may be the broker's doing."""


class NotAssigned(Exception):
    """The partition is not processed by this worker at the moment."""


class Halt(Exception):
    """Stop the partition and leave it stopped. The text is a sentence: what is wrong, and the way out."""


class OffsetLost(Exception):
    """An input cannot be read at the offset that a task goes on at, by what the task knows. The text is a sentence."""


class StateTaken(Exception):
    """The state or the journal of a partition does not go on where its last transaction ended: somebody else writes
    there, under another transactional id, or the topic was made anew. The text is a sentence.
    """


class Breached(Exception):
    """State and topics do not belong together, by one look at them. The text is a sentence with the way out."""

    def __init__(self, topic: str, sentence: str) -> None:
        super().__init__(sentence)
        self.topic = topic
        """Which topic does not fit."""


def halt_at(partition: int, place: str, error: Exception) -> Halt:
    """The end of a partition whose processor raised `error`: a broken invariant or a defect."""
    return Halt(
        f"partition {partition} stopped at {place}: {type(error).__name__}: {error}; nothing of its batch was "
        "committed, and once the cause is removed it goes on from there"
    )


class Loss(NamedTuple):
    """An offset that a partition must go on at and that cannot be read: it is out of range, or broken."""

    topic: str
    offset: int
    error: Exception

    @property
    def is_gone(self) -> bool:
        """Whether the topic does not have it; else what lies there is broken."""
        return isinstance(self.error, OffsetOutOfRangeError)

    def for_now(self) -> OffsetLost:
        """The first time: it may be otherwise when the state has been asked."""
        if self.is_gone:
            return OffsetLost(f"{self.topic} does not have offset {self.offset}, and the state may be further by now")
        return OffsetLost(f"offset {self.offset} of {self.topic} cannot be read ({_text(self.error)})")

    def for_good(self, partition: int) -> Halt:
        """It is so."""
        if self.is_gone:
            why = "which the topic does not have (any more, or yet)"
            way_out = (
                "restore the topic from a copy with the same offsets and timestamps, or stop all workers and run "
                f"`stockfreeze topics accept {self.topic} --from beginning`, which reads what it has"
            )
        else:
            why = f"which cannot be read ({_text(self.error)})"
            way_out = "look after the brokers' disks, let a copy of it lead that can be read, and restart the worker"
        return Halt(
            f"partition {partition} must go on at offset {self.offset} of {self.topic}, {why}: nothing is skipped "
            f"silently; {way_out}"
        )


class NotReady(Exception):
    """The worker cannot start, or go on, yet. The text is a sentence; the engine tries again with back-off."""


class StepTimeout(Exception):
    """A step on the broker did not end within its bound."""


async def bounded(step: Awaitable[T], ms_max: int, what: str) -> T:
    """Await a step, but no longer than `ms_max` milliseconds.

    Raises StepTimeout, naming `what`, when the step takes longer.
    """
    try:
        async with asyncio.timeout(ms_max / 1000):
            return await step
    except TimeoutError as error:
        raise StepTimeout(f"{what} did not end within {ms_max} ms") from error


def cause_of(error: BaseException) -> str:
    """The kind of failure, for logs, metrics and the choice of a back-off; never for deciding what was committed."""
    if isinstance(error, ProducerFenced | StateTaken):
        return "fenced"
    if isinstance(error, StepTimeout):
        return "timeout"
    if isinstance(error, OffsetLost):
        return "lost"
    if isinstance(error, Breached):
        return "breach"
    if isinstance(error, DEFECTS):
        return "defect"
    return "broker"


def sentence_of(
    error: BaseException,
    servers: object,
    detail: BaseException | None,
    what_to_grant: Callable[[KafkaError], str] = missing_right,
) -> str:
    """One sentence for an error met at work; `detail` is what the client logged last, which some errors leave out.

    `what_to_grant` gives the one for an error of `worker.stream.rights.REFUSALS`.
    """
    if isinstance(error, DEFECTS):
        return f"a defect of this worker keeps it from going on ({_text(error)}): its trace is in the log, report it"
    # An answer of a broker, and what the engine itself found, tell all there is.
    says_all = isinstance(error, NotReady | OffsetLost | Breached | StateTaken | ProducerFenced) or _is_refusal(error)
    seen = error if detail is None or says_all else detail
    if isinstance(seen, NotReady | OffsetLost | Breached | StateTaken):
        return str(seen)
    if isinstance(seen, ProducerFenced):
        return (
            "another worker has taken the partition over; if that goes on, another system on these brokers has the "
            "same APP_ID: give each its own"
        )
    if isinstance(seen, SaslAuthenticationFailed | UnsupportedSaslMechanismError):
        return (
            f"the broker at {servers} refused to authenticate this worker ({_text(seen)}): check the user name, "
            "the password and the SASL mechanism"
        )
    if isinstance(seen, REFUSALS):
        return what_to_grant(seen)
    if isinstance(seen, CorruptRecordException):
        return f"what the broker at {servers} answers cannot be read ({_text(seen)}): look after its disk"
    if isinstance(seen, MessageSizeTooLargeError):
        return (
            f"a topic takes less at once than is to be written to it ({_text(seen)}): raise its max.message.bytes as "
            "`stockfreeze topics check` says"
        )
    if _is_refusal(seen):
        return f"the broker at {servers} refuses what it is asked for ({_text(seen)})"
    return f"the broker at {servers} cannot be reached or does not answer ({_text(seen)})"


def _is_refusal(error: BaseException) -> bool:
    """Whether a broker has answered with it."""
    return isinstance(error, BrokerResponseError) and not isinstance(error, RequestTimedOutError)


def _text(error: BaseException) -> str:
    # As a text, an error of the client begins with its number and its name.
    what = ", ".join(map(str, error.args)) if isinstance(error, KafkaError) else str(error)
    return f"{type(error).__name__}: {what}" if what else type(error).__name__
