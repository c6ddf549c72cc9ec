"""The identities of an order's events: which event ids were applied, and with which content. Contract section 3.

`OrderState.identities` has 16 bytes an event: the hash of its id, then the hash of its content.
"""

from __future__ import annotations

from schemas.identity import content_of_version_1
from schemas.inputs import OrdersEvent, SubOrdersEvent
from worker.domain.order.state import OrderState


def content_of(identities: bytes, event_hash: bytes) -> bytes | None:
    """The content hash of an event id among an order's identities, None where the id is new."""
    index = identities.find(event_hash)
    while index > 0 and index % 16:  # found across or inside other entries
        index = identities.find(event_hash, index + 1)
    return None if index < 0 else identities[index + 8 : index + 16]


def is_known_to_version_1(order: OrderState, event_hash: bytes, event: OrdersEvent | SubOrdersEvent) -> bool:
    """Whether a program of state version 1 took the event's identity, by the fields that it knew."""
    taken_then = order.identities[: order.identities_of_1]
    return content_of(taken_then, event_hash) == content_of_version_1(event)
