"""The clients of aiokafka, which has no types: what passes through them is given its type where it is used."""

from __future__ import annotations

from typing import Any, TypeAlias

Consumer: TypeAlias = Any
"""An AIOKafkaConsumer."""
Producer: TypeAlias = Any
"""An AIOKafkaProducer."""
Admin: TypeAlias = Any
"""An AIOKafkaAdminClient."""
BatchBuilder: TypeAlias = Any
"""What `Producer.create_batch` gives."""
Metadata: TypeAlias = Any
"""What the broker answered to a batch."""
