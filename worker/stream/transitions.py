"""Checked state machines: a state may change only as its table of transitions allows.

A table stands beside the enum whose states it names: `PARTITION_TRANSITIONS` and `ENGINE_TRANSITIONS` in
`status.py`, `PRODUCER_TRANSITIONS` in `kafka/producer.py`. A change that is not in the table is a defect of the engine.
It halts the partition, or ends the engine, before anything more is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

from worker.stream.errors import Halt

S = TypeVar("S", bound=Enum)


class ForbiddenTransition(Halt):
    """A state machine was asked for a transition that its table does not have. It is a Halt, so it is never retried."""


def next_state(owner: str, now: S, wanted: S, transitions: Mapping[S, frozenset[S]]) -> S:
    """Return `wanted` if the table allows it after `now`.

    `owner` names what has the state. Raises ForbiddenTransition if the table does not allow the transition.
    """
    if wanted not in transitions[now]:
        raise ForbiddenTransition(
            f"{owner} cannot go from {now.value} to {wanted.value}: this is a defect of the worker; nothing of its "
            "batch was committed; report it with the log, then restart the worker"
        )
    return wanted
