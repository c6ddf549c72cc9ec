"""Which right is missing, in the words of Kafka's access rules: what to grant, on what.

A broker leaves topics that one may not describe out of the list of all: who lacks that right would look for missing
topics. So those that are not listed are asked for by name, which is refused where the right is missing.
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
"""Errors that a broker answers where a right is missing."""


async def hidden_topics(admin: Admin, names: Sequence[str]) -> list[str]:
    """Those of `names` that the user may not describe: whether they exist, the broker does not say. Creates none."""
    if not names:
        return []
    answer = await admin._send_request(MetadataRequest(list(names), allow_auto_topic_creation=False))  # noqa: SLF001 # its public way may create them
    codes = {topic["topic"]: topic["error_code"] for topic in answer.to_object()["topics"]}
    return [name for name in names if codes.get(name) == TopicAuthorizationFailedError.errno]


def hidden_sentence(user: object, hidden: Sequence[str]) -> str:
    """What to do about topics that are hidden from `user`."""
    return (
        f"{user_text(user)} lacks the right Describe on {_some(hidden, 'topic')}, so it cannot be seen whether "
        f"{'it exists' if len(hidden) == 1 else 'they exist'}: grant what docs/rights.md lists"
    )


def missing_right(
    error: KafkaError,
    user: object = None,
    of_topic: Callable[[str], str] = lambda _: "Read or Write",
    of_group: str = "Read",
) -> str:
    """What to grant after one of REFUSALS.

    `of_topic` gives the right that is used on a topic, `of_group` is that on a group.
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
            # Who may write to some topic may also have a producer that is idempotent.
            lacks = "Write on the topics that are to be written"
    return f"{user_text(user)} lacks the right {lacks}: grant what docs/rights.md lists"


def right_of_worker(config: EngineConfig) -> Callable[[str], str]:
    """The rights that a worker uses on its topics."""

    def right(topic: str) -> str:
        if topic in (config.state_topic, config.journal_topic):  # what it writes there, it looks at when it starts
            return "Read or Write"
        return "Read" if topic in config.inputs else "Write"

    return right


def user_text(user: object) -> str:
    """Who lacks a right; None: who did not log in by a name."""
    return f"the Kafka user {user}" if user else "the Kafka user of this client"


def _listed(argument: object) -> Sequence[object]:
    return sorted(argument) if isinstance(argument, set | frozenset | list | tuple) else [argument]


def _some(names: Sequence[str], kind: str) -> str:
    shown = ", ".join(names[:3])
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{kind}{'s' if len(names) > 1 else ''} {shown}{more}"
