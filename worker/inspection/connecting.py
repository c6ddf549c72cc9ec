"""Starting a Kafka client within a bound, and saying why when it cannot be started.

aiokafka writes the reason of a failed start (refused, wrong password, wrong certificate) to its log only and raises one
error for all of them, so the last complaint of its log goes into the sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from aiokafka.errors import ClusterAuthorizationFailedError, KafkaError

from worker.stream.rights import missing_right

CONNECT_SECONDS_MAX = 10.0
CLOSE_SECONDS_MAX = 5.0


class BrokerUnreachable(Exception):
    """No broker could be talked to; the message is one sentence that names the address and the reason."""


class RightMissing(Exception):
    """The user may not do what was asked; the message is a sentence that names the right."""


class Connecting(Protocol):
    """A client that starts by connecting: an aiokafka consumer, producer or admin client."""

    async def start(self) -> None:
        """Connect."""


class _LastComplaint(logging.Handler):
    def __init__(self) -> None:
        super().__init__(level=logging.WARNING)
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text = record.getMessage()
        cause = record.args[-1] if isinstance(record.args, tuple) and record.args else None
        if isinstance(cause, Exception) and not str(cause):  # a connection that was closed: often the wrong protocol
            self.text += f"{type(cause).__name__}, is SECURITY_PROTOCOL right?"


@contextmanager
def _complaints() -> Iterator[_LastComplaint]:
    handler = _LastComplaint()
    logger = logging.getLogger("aiokafka")
    logger.addHandler(handler)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)


def address_of(client_options: Mapping[str, object]) -> str:
    """The bootstrap servers as one text."""
    servers = client_options.get("bootstrap_servers", "127.0.0.1:9092")
    return (
        servers
        if isinstance(servers, str)
        else ",".join(map(str, servers))
        if isinstance(servers, list)
        else str(servers)
    )


async def start(client: Connecting, client_options: Mapping[str, object]) -> None:
    """Start `client`.

    Raises BrokerUnreachable after at most CONNECT_SECONDS_MAX, and RightMissing where a producer may write nowhere; the
    caller closes the client in any case.
    """
    with _complaints() as complaint:
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                await client.start()
        except (KafkaError, OSError, TimeoutError) as error:
            # aiokafka raises it as a text in an error that could be anything.
            if ClusterAuthorizationFailedError.__name__ in str(error):
                raise RightMissing(missing_right(ClusterAuthorizationFailedError())) from error
            reason = complaint.text or str(error) or f"no answer within {CONNECT_SECONDS_MAX:.0f} s"
            raise BrokerUnreachable(f"Kafka cannot be reached at {address_of(client_options)}: {reason}") from error


async def close(stopping: Awaitable[None]) -> None:
    """Wait for a client's end, but not longer than CLOSE_SECONDS_MAX: a command that is done does not hang on a broker
    that is gone.
    """
    with suppress(TimeoutError, KafkaError, OSError):
        await asyncio.wait_for(stopping, CLOSE_SECONDS_MAX)
