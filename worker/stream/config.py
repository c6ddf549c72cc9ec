"""The settings of an engine: names, bounds and time-outs. Every default was found by experiment on Apache Kafka 4.1.

The bounds depend on each other, so they stand together: a step ends before the broker gives the transaction up, and a
revocation ends before the group gives the member up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MEBIBYTE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """Immutable settings of one engine. Topic names are full names, prefix included."""

    name: str = ""
    """What log lines call this engine, because a process may have several; empty: nothing."""
    app_id: str
    """Group id, and what transactional ids begin with."""
    client: Mapping[str, object]
    """Connection options of every aiokafka client: bootstrap_servers, security_protocol, sasl_*, ssl_context."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    journal_topic: str
    """The output that is kept for ever, and must never lose a record: one of `outputs`."""
    state_topic: str
    group_instance_id: str | None = None
    """Static membership: only for names that are stable and unique, such as a StatefulSet's."""

    member_data: bytes = b""
    """What the group's description shows of this member."""

    breaker_bad_max: int = 500
    """So many dead-lettered records among the last `breaker_window` stop the partition; 0: none ever do."""
    breaker_window: int = 1000

    batch_records_max: int = 8000
    batch_bytes_max: int = 2 * MEBIBYTE
    """No record is added to a transaction that has so many: what is written of large counts and orders is many times
    what was read, and all of it is held until the commit."""
    batch_time_ms_max: int = 500
    chunk_records_max: int = 100
    chunk_time_ms_max: int = 20
    """The event loop is given back after so many records or so long."""
    buffer_records_max: int = 8000
    """Per input of a partition: beyond it nothing more of that input is taken from the client."""
    buffer_bytes_max: int = 8 * MEBIBYTE
    fetch_patience_ms: int = 1000
    """How long later-stamped records wait for an input that is known to have more, but has not been fetched."""

    fetch_wait_ms_max: int = 100
    fetch_partition_bytes_max: int = MEBIBYTE
    produce_batch_bytes_max: int = MEBIBYTE
    """What a topic takes by default (`max.message.bytes`). One record may be more."""
    request_timeout_ms: int = 5000
    metadata_age_ms_max: int = 5000
    retry_backoff_ms: int = 10
    """Of the producers, between attempts."""

    session_timeout_ms: int = 6000
    heartbeat_interval_ms: int = 1000
    rebalance_timeout_ms: int = 20_000
    poll_interval_ms_max: int = 300_000
    transaction_timeout_ms: int = 10_000
    step_ms_max: int = 8000
    """Bound of every single await on the broker."""
    revoke_ms_max: int = 4000
    """How long a batch in hand may take to end when its partition is revoked or the engine stops."""
    abort_ms_max: int = 1000
    stop_ms_max: int = 6000
    leave_ms_max: int = 1000
    """How long to wait for the consumer to leave the group."""

    restore_silence_ms_max: int = 15_000
    """A restore that reads nothing for so long begins again."""
    backoff_ms_min: int = 100
    backoff_ms_max: int = 5000
    fenced_backoff_ms: int = 1500
    stall_ms: int = 15_000
    silence_ms_max: int = 8000
    """No answer to any fetch for so long is a problem; four times as long, and the consumer is built anew."""
    join_ms_max: int = 30_000
    """Not being in the group after so long is a problem (joining goes on)."""
    topic_check_interval_ms: int = 5000
    log_interval_ms: int = 5000
    """The same line of the client's log, and of the engine's complaints, at most so often."""
