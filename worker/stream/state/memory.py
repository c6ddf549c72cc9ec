"""A partition's state, kept in memory while the group has revoked the partition, to save reading it again.

It may be used again only if no other worker has processed anything since. The state topic proves that, because each
batch that a successor commits writes a positions record, and compaction keeps the latest of those. So there must be no
committed record between this process's last record and the fence record of its next start. The fence record must have
the greater offset, and the topic must have the same id: otherwise the topic was recreated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from worker.stream.processor import P
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import JournalEnd


@dataclass(frozen=True)
class Memory(Generic[P]):
    """The state of a partition after a transaction whose commit was answered."""

    processor: P
    progress: InputProgress
    known_topics: KnownTopics
    journal: JournalEnd
    """Where the journal ended with that transaction."""
    state_offset: int
    """The offset of the last record that this process wrote to the state topic."""
    partition_count: int
    """How many partitions the topics had then."""
