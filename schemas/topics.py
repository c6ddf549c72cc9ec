"""The topics: names, direction and what kind of log each is. Contract section 1.

Names here are without the prefix (setting `TOPIC_PREFIX`), which goes before each as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Generic, TypeVar


class Topic(StrEnum):
    """A topic by its default name."""

    ORDERS = "orders.events.v1"
    SUB_ORDERS = "sub-orders.events.v1"
    STOCK = "stock.events.v1"
    COMMANDS = "commands.v1"
    MOVEMENTS = "stock.movements.v1"
    LEVELS = "stock.levels.v1"
    STATUS = "orders.status.v1"
    ELIGIBILITY = "orders.archive-eligibility.v1"
    DRIFT = "stock.drift.v1"
    ALERTS = "orders.alerts.v1"
    DEAD_LETTERS = "dead-letters.v1"
    STATE = "stockfreeze.state.v1"


Name_co = TypeVar("Name_co", bound=str, covariant=True)


@dataclass(frozen=True, kw_only=True)
class RoleTopics(Generic[Name_co]):
    """What a role of the worker reads and writes, by topics' names without the prefix."""

    role: str
    """As the setting `ROLES` names it."""
    inputs: tuple[Name_co, ...]
    outputs: tuple[Name_co, ...]
    journal: Name_co
    """The output that is kept for ever, and must never lose a record."""
    state: Name_co
    """The output that the role's state is restored from."""


LEDGER: Final = RoleTopics(
    role="ledger",
    inputs=(Topic.ORDERS, Topic.SUB_ORDERS, Topic.STOCK, Topic.COMMANDS),
    outputs=(
        Topic.MOVEMENTS,
        Topic.LEVELS,
        Topic.STATUS,
        Topic.ELIGIBILITY,
        Topic.DRIFT,
        Topic.ALERTS,
        Topic.DEAD_LETTERS,
        Topic.STATE,
    ),
    journal=Topic.MOVEMENTS,
    state=Topic.STATE,
)
"""The ledger: events to movements, levels and statuses."""
COMPACTED = frozenset({Topic.LEVELS, Topic.STATUS, Topic.STATE})
KEPT_FOR_EVER = frozenset({Topic.MOVEMENTS, Topic.DEAD_LETTERS})
"""The journal's sums are the stock, and a dead letter waits for an operator: nothing of them may expire."""

RECORD_BYTES_MAX = 8 * 1024 * 1024
"""What a record of the `LARGE` topics may come to; they, and the producers, must allow it."""
LARGE = frozenset({Topic.STATUS, Topic.ELIGIBILITY, Topic.DEAD_LETTERS, Topic.STATE})
"""Outputs of which one record holds all of an order, or of an input."""
