"""The AsyncAPI document: every topic with its direction, its key and what it carries, for those who connect to it."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import msgspec

from schemas.catalogue import TYPES, schema_of
from schemas.dead_letters import DEAD_LETTER_CODES
from schemas.topics import COMPACTED, KEPT_FOR_EVER, LEDGER, Topic

CONTRACT_VERSION: Final = "1.0.0"

_DESCRIPTION: Final = """\
Stockfreeze freezes stock for the full SKU set of an order when it is created, releases each sub-order's quantity when \
it ships, and reports archive eligibility and reconciliation drift.

Names are defaults; the setting TOPIC_PREFIX goes before each. All topics have the same partition count.

Partitions: every record lies in partition murmur2(account_id) mod n, the default of the Java client. Producers whose \
default is another one must be configured (librdkafka: partitioner=murmur2_random). An input elsewhere is a dead letter.

Isolation: all outputs of one event, the state and the input's offset are one transaction. Consumers must set \
isolation.level=read_committed, or they see movements that never happened.

Repeats: an input may be sent again under its event_id without effect. The event_id of an output is derived from the \
offset of its source, so it is the same after a crash.

Unknown fields are ignored, null means absent. A field may be added to any event at any time.\
"""

_ACCOUNT_KEY: Final = "account_id, UTF-8"


class _Channel(NamedTuple):
    summary: str
    key: str


_CHANNELS: Final = {
    Topic.ORDERS: _Channel("What happens to orders.", _ACCOUNT_KEY),
    Topic.SUB_ORDERS: _Channel("What happens to sub-orders: the parts of orders that ship as one.", _ACCOUNT_KEY),
    Topic.STOCK: _Channel("Counts of stock, receipts and write-offs.", _ACCOUNT_KEY),
    Topic.COMMANDS: _Channel("What is asked of the worker.", _ACCOUNT_KEY),
    Topic.MOVEMENTS: _Channel("The journal: every movement, append-only, kept for ever.", _ACCOUNT_KEY),
    Topic.LEVELS: _Channel("The latest level of each stock key.", "account_id/warehouse_id/sku"),
    Topic.STATUS: _Channel("The latest status of each order and its sub-orders.", "account_id/order_id"),
    Topic.ELIGIBILITY: _Channel("Whether orders may be archived.", _ACCOUNT_KEY),
    Topic.DRIFT: _Channel("Where counts and the ledger differ.", _ACCOUNT_KEY),
    Topic.ALERTS: _Channel("Conditions that need attention.", _ACCOUNT_KEY),
    Topic.DEAD_LETTERS: _Channel("What could not be applied, as it was received, and why.", "as received"),
    Topic.STATE: _Channel("The state of the worker. Internal: no other program may read or write it.", "internal"),
}

_DEAD_LETTER_HEADERS: Final = {
    "error-code": "why it could not be applied",
    "error": "a sentence that names the field",
    "source-topic": "the topic it was read from, with its prefix",
    "source-partition": "the partition it was read from",
    "source-offset": "the offset it was read at",
    "source-timestamp": "its timestamp, in milliseconds since 1970",
}


def document() -> dict[str, Any]:
    """Returns the AsyncAPI 3.0 document; payloads refer to the files of `schemas/json`."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Stockfreeze",
            "version": CONTRACT_VERSION,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {str(topic): _channel(topic) for topic in Topic},
        "operations": {
            **{f"receive.{topic}": _operation("receive", topic) for topic in LEDGER.inputs},
            **{f"send.{topic}": _operation("send", topic) for topic in LEDGER.outputs},
        },
        "components": {
            "messages": {
                **{name: _message(topic, name, cls) for topic, types in TYPES.items() for name, cls in types.items()},
                "dead-letter": _dead_letter(),
                "state": {
                    "name": "state",
                    "title": "state",
                    "summary": "A record of the state, or null when it is dropped.",
                    "contentType": "application/msgpack",
                },
            }
        },
    }


def _message_names(topic: Topic) -> list[str]:
    match topic:
        case Topic.DEAD_LETTERS:
            return ["dead-letter"]
        case Topic.STATE:
            return ["state"]
        case _:
            return list(TYPES[topic])


def _channel(topic: Topic) -> dict[str, Any]:
    summary, key = _CHANNELS[topic]
    parts = " Its parts are percent-encoded, all but A-Za-z0-9-._~." if "/" in key else ""
    return {
        "address": str(topic),
        "summary": summary,
        "description": f"Key: {key}.{parts}",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _message_names(topic)},
        "bindings": {
            "kafka": {
                "topic": str(topic),
                "topicConfiguration": {
                    "cleanup.policy": ["compact" if topic in COMPACTED else "delete"],
                    **({"retention.ms": -1} if topic in KEPT_FOR_EVER else {}),
                },
                "bindingVersion": "0.5.0",
            }
        },
    }


def _operation(action: str, topic: Topic) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic}"},
        "summary": _CHANNELS[topic].summary,
        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in _message_names(topic)],
    }


def _message(topic: Topic, name: str, cls: type[msgspec.Struct]) -> dict[str, Any]:
    return {
        "name": name,
        "title": cls.__name__,
        "summary": schema_of(name)["description"],
        "contentType": "application/json",
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./json/{name}.schema.json"},
        },
        "bindings": _key_binding(_CHANNELS[topic].key),
    }


def _dead_letter() -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: {"type": "string", "description": meaning} for name, meaning in _DEAD_LETTER_HEADERS.items()
    }
    properties["error-code"]["enum"] = list(DEAD_LETTER_CODES)
    return {
        "name": "dead-letter",
        "title": "DeadLetter",
        "summary": "The original key, value and headers, and further headers with the reason.",
        "description": "In the partition number of its source. Its id is source-topic/source-partition/source-offset.",
        "contentType": "application/octet-stream",
        "headers": {"type": "object", "properties": properties, "required": list(properties)},
        "bindings": _key_binding("as received"),
    }


def _key_binding(key: str) -> dict[str, Any]:
    return {"kafka": {"key": {"type": "string", "description": key}, "bindingVersion": "0.5.0"}}
