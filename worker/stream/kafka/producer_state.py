"""The state machine of a transactional producer: its states, and the transitions between them.

`worker.stream.kafka.producer.TransactionalProducer` is the one owner of such a state.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class ProducerState(Enum):
    """What a producer may be asked to do next.

    ::

                 start, take_over           begin
        UNINITIALIZED ──────► READY ─────────────────► IN_TRANSACTION
              │                 ▲                        │   │   │
              │ error           │ answered    end(commit)│   │   │ error
              │                 └───────── COMMITTING ◄──┘   │   ▼
              │                                │ error       │ ABORTABLE
              │                                └─────────────│──►│
              ▼              answered or error               ▼   ▼ end(abort)
          FINISHED ◄────────────────────────────────────── ABORTING

        every state ──► STOPPED   by stop

    "Error" includes cancellation, which is how a time limit ends a request.
    """

    UNINITIALIZED = "uninitialized"
    """The producer has no epoch yet."""
    READY = "ready"
    """The producer has an epoch, and no transaction is open."""
    IN_TRANSACTION = "in_transaction"
    """A transaction is open. It can be written to, committed, or aborted."""
    COMMITTING = "committing"
    """The commit was requested and is not answered."""
    ABORTABLE = "abortable"
    """A request of the open transaction failed, so it can only be aborted."""
    ABORTING = "aborting"
    """The abort was requested and is not answered."""
    FINISHED = "finished"
    """The producer can only be stopped: it aborted, or failed to start."""
    STOPPED = "stopped"
    """The connections are closed, or closing."""


_STOPPED: Final = frozenset({ProducerState.STOPPED})

PRODUCER_TRANSITIONS: Final[Mapping[ProducerState, frozenset[ProducerState]]] = {
    ProducerState.UNINITIALIZED: frozenset({ProducerState.READY, ProducerState.FINISHED}) | _STOPPED,
    ProducerState.READY: frozenset({ProducerState.IN_TRANSACTION}) | _STOPPED,
    ProducerState.IN_TRANSACTION: frozenset({ProducerState.COMMITTING, ProducerState.ABORTING, ProducerState.ABORTABLE})
    | _STOPPED,
    ProducerState.COMMITTING: frozenset({ProducerState.READY, ProducerState.ABORTABLE}) | _STOPPED,
    ProducerState.ABORTABLE: frozenset({ProducerState.ABORTING}) | _STOPPED,
    ProducerState.ABORTING: frozenset({ProducerState.FINISHED}) | _STOPPED,
    ProducerState.FINISHED: _STOPPED,
    ProducerState.STOPPED: frozenset(),
}
"""By state: the states that a producer may change to. See the drawing at `ProducerState`."""
