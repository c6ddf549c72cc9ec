"""Names for objects of aiokafka, which has no types. What passes through them gets its type where it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Consumer: TypeAlias = Any
"""An AIOKafkaConsumer."""
Client: TypeAlias = Any
"""An AIOKafkaClient: the connections to the brokers, and the cluster's metadata."""
Answer: TypeAlias = Any
"""A broker's answer to a request: a struct whose fields depend on the version."""
Admin: TypeAlias = Any
"""An AIOKafkaAdminClient."""
BatchBuilder: TypeAlias = Any
"""A DefaultRecordBatchBuilder: a batch that is being filled."""
Encoder: TypeAlias = Callable[[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]], object | None]
"""Encodes a record into a batch, from its number in the batch, timestamp in ms, key, value and headers. It returns None
if the batch is full."""
