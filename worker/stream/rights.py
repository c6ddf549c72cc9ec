"""Which access right is missing, as a sentence that says what to grant, in the terms of Kafka's access control.

A broker leaves topics that a user may not describe out of the list of all topics, so they seem to be missing. So topics
that are not listed are requested by name, and the broker rejects that if the right is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
from aiokafka.protocol.metadata import MetadataRequest

from worker.stream.clients import Admin
from worker.stream.config import EngineConfig

REFUSALS: Final = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
    TransactionalIdAuthorizationFailed,
)
"""Errors that a broker answers if a right is missing."""


async def hidden_topics(admin: Admin, names: Sequence[str]) -> list[str]:
    """Find those of `names` that the user may not describe, whether they exist or not. Creates no topic."""
    if not names:
        return []
    answer = await admin._send_request(MetadataRequest(list(names), allow_auto_topic_creation=False))  # noqa: SLF001 # its public method may create them
    codes = {topic["topic"]: topic["error_code"] for topic in answer.to_object()["topics"]}
    return [name for name in names if codes.get(name) == TopicAuthorizationFailedError.errno]


def hidden_sentence(user: object, hidden: Sequence[str]) -> str:
    """The sentence on topics that `user` may not describe."""
    return (
        f"{user_text(user)} lacks the right Describe on {_some(hidden, 'topic')}, so it is not known whether "
        f"{'it exists' if len(hidden) == 1 else 'they exist'}: grant what docs/rights.md lists"
    )


def missing_right(
    error: KafkaError,
    user: object = None,
    of_topic: Callable[[str], str] = lambda _: "Read or Write",
    of_group: str = "Read",
) -> str:
    """The sentence on what to grant after one of REFUSALS.

    `of_topic` returns the right that is used on a topic, `of_group` is the one on a group.
    """
    names = [str(name) for argument in error.args for name in _listed(argument)]
    match error:
        case TopicAuthorizationFailedError():
            rights = dict.fromkeys(of_topic(name) for name in names or [""])
            lacks = f"{' and '.join(rights)} on {_some(names, 'topic') if names else 'a topic'}"
        case GroupAuthorizationFailedError():
            lacks = f"{of_group} on group {names[0] if names else ''}".rstrip()
        case TransactionalIdAuthorizationFailed():
            lacks = f"Write on transactional id {names[0] if names else ''}".rstrip()
        case _:
            # A user who may write to any topic may also use an idempotent producer.
            lacks = "Write on the topics that are to be written"
    return f"{user_text(user)} lacks the right {lacks}: grant what docs/rights.md lists"


def right_of_worker(config: EngineConfig) -> Callable[[str], str]:
    """Return the function from a topic to the rights that a worker uses on it."""

    def right(topic: str) -> str:
        if topic in (config.state_topic, config.journal_topic):  # it reads at its start what it wrote there
            return "Read or Write"
        return "Read" if topic in config.inputs else "Write"

    return right


def user_text(user: object) -> str:
    """Name the user who lacks a right. `user` is None without a user name."""
    return f"the Kafka user {user}" if user else "the Kafka user of this client"


def _listed(argument: object) -> Sequence[object]:
    return sorted(argument) if isinstance(argument, set | frozenset | list | tuple) else [argument]


def _some(names: Sequence[str], kind: str) -> str:
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {shown}{more}"
