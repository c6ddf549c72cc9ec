"""A partition's state, kept in memory while the group has revoked the partition, to save reading it again.

It may be used again only if nothing was written to the state topic since. The topic proves that, because each commit of
a successor writes a positions record, and compaction keeps the latest of those. So there must be no committed record
between this process's last record and its next fence. The fence must lie behind that record, in the same topic.
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
