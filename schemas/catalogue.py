"""Which types each topic carries, and the JSON Schema of each: bound once, for the decoder, the files and the CLI."""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from schemas import inputs, outputs
from schemas.topics import Topic


def _by_tag(*types: type[msgspec.Struct]) -> dict[str, type[msgspec.Struct]]:
    return {str(cls.__struct_config__.tag): cls for cls in types}


TYPES: Final = {
    Topic.ORDERS: _by_tag(*get_args(inputs.OrdersEvent)),
    Topic.SUB_ORDERS: _by_tag(*get_args(inputs.SubOrdersEvent)),
    Topic.STOCK: _by_tag(*get_args(inputs.StockEvent)),
    Topic.COMMANDS: _by_tag(*get_args(inputs.Command)),
    Topic.MOVEMENTS: _by_tag(outputs.StockMoved),
    Topic.LEVELS: _by_tag(outputs.StockLevelChanged),
    Topic.STATUS: _by_tag(outputs.OrderStatusChanged),
    Topic.ELIGIBILITY: _by_tag(outputs.ArchiveEligible, outputs.ArchiveRevoked, outputs.ArchiveRejected),
    Topic.DRIFT: _by_tag(outputs.DriftDetected, outputs.DriftSummary),
    Topic.ALERTS: _by_tag(outputs.AlertRaised, outputs.AlertCleared),
}
"""By topic, the class of each `type`. Dead letters hold what was received, the state is our own: neither has types."""

TOPIC_OF: Final = {name: topic for topic, types in TYPES.items() for name in types}
"""By `type`, the topic that carries it."""


def type_names() -> list[str]:
    """Returns the `type` of every input and output event, topic by topic."""
    return list(TOPIC_OF)


def schema_of(type_name: str) -> dict[str, Any]:
    """Returns the JSON Schema (draft 2020-12) of the events of a `type`, complete in itself.

    It is as strict as JSON Schema can be. What only the decoder checks: that a time's day exists and its
    year is 1 to 9999 in UTC, `part` at most `parts`, SKUs distinct within a count, ids distinct among children and not
    their parent's, `1.0` is no integer. Raises KeyError for a type that is not known.
    """
    cls = TYPES[TOPIC_OF[type_name]][type_name]
    definitions: dict[str, Any] = msgspec.json.schema(cls)["$defs"]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:stockfreeze:{type_name}",
        **definitions.pop(cls.__name__),
        "title": type_name,
    }
    return schema | {"$defs": definitions} if definitions else schema
