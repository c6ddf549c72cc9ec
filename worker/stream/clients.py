"""The clients of aiokafka, which has no types: what passes through them is given its type where it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Consumer: TypeAlias = Any
"""An AIOKafkaConsumer."""
Producer: TypeAlias = Any
"""An AIOKafkaProducer."""
Admin: TypeAlias = Any
"""An AIOKafkaAdminClient."""
BatchBuilder: TypeAlias = Any
"""What `Producer.create_batch` gives."""
Encoder: TypeAlias = Callable[[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]], object | None]
"""Encodes a record into a batch: its number there, timestamp in ms, key, value, headers. None: the batch is full."""
Metadata: TypeAlias = Any
"""What the broker answered to a batch."""
