"""A partition's state, kept while the partition is away for a rebalance, so that it need not be read again.

It may be used again only if nothing was written to the state topic since. That is known from the topic: a commit of
ours that was answered means that no successor had begun by then, whatever a successor commits comes later in the log
and has its positions record with it, and compaction keeps the latest of those. So no record between our last one and
our next fence means that nothing happened, if the fence lies behind it and the topic is the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic

from worker.stream.processor import P
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.positions import JournalEnd
from worker.stream.state.progress import InputProgress


@dataclass(frozen=True)
class Memory(Generic[P]):
    """The state of a partition after a transaction that was committed for sure."""

    processor: P
    progress: InputProgress
    known_topics: KnownTopics
    journal: JournalEnd
    """Where the journal ended with that transaction."""
    state_offset: int
    """Of the last record this process wrote to the state topic."""
    partition_count: int
