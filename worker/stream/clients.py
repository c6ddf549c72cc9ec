"""The clients of aiokafka, which has no types: what passes through them is given its type where it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Consumer: TypeAlias = Any
"""An AIOKafkaConsumer."""
Client: TypeAlias = Any
"""An AIOKafkaClient: the connections to the brokers, and what is known of the cluster."""
Answer: TypeAlias = Any
"""What a broker answers to a request: a struct, as its version has it."""
Admin: TypeAlias = Any
"""An AIOKafkaAdminClient."""
BatchBuilder: TypeAlias = Any
"""A DefaultRecordBatchBuilder: a batch as it fills."""
Encoder: TypeAlias = Callable[[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]], object | None]
"""Encodes a record into a batch: its number there, timestamp in ms, key, value, headers. None: the batch is full."""
