"""Planted faults of the guards: each of them is left out, and a loss goes unnoticed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace as with_changes

from tests.simulator.mutants.seams import Mutant, edit, replace, wrap
from worker.stream.processor import Processor
from worker.stream.session import Session
from worker.stream.start.guards import Breach, Found, Guards
from worker.stream.start.partition_start import PartitionStart, _State
from worker.stream.start.restore import StateReader
from worker.stream.start.topic_check import TopicCheck
from worker.stream.state.known_topics import KnownTopics
from worker.stream.state.memory import Memory
from worker.stream.state.positions import Checkpoint, LastRecord, Position
from worker.stream.transactions.transaction import TransactionWriter


def no_lost_state(self: Guards, found: Found) -> Iterator[Breach]:
    del self, found
    return iter(())


def any_end(self: Guards, checkpoint: Checkpoint, found: Found) -> Iterator[Breach]:
    del self, checkpoint, found
    return iter(())


def any_input(
    self: Guards, topic: str, position: Position, anchor: LastRecord | None, found: Found, *, is_changed: bool
) -> Iterator[Breach]:
    del self, topic, position, anchor, found, is_changed
    return iter(())


def last_record_as_anchor(
    original: Callable[..., Iterator[Breach]],
    self: Guards,
    topic: str,
    position: Position,
    anchor: LastRecord | None,
    found: Found,
    *,
    is_changed: bool,
) -> Iterator[Breach]:
    del anchor
    return original(self, topic, position, position.last, found, is_changed=is_changed)


def any_place(self: TransactionWriter, ends: Mapping[str, int], counts: Mapping[str, int]) -> None:
    del self, ends, counts


async def unchanged_in_a_shorter_topic(
    original: Callable[..., Awaitable[bool]], self: StateReader, since_offset: int, fence_offset: int
) -> bool:
    return fence_offset <= since_offset or await original(self, since_offset, fence_offset)


async def resumed_on_any_topic(
    original: Callable[..., Awaitable[_State[Processor] | None]],
    self: PartitionStart[Processor],
    memory: Memory[Processor] | None,
    fence_offset: int,
) -> _State[Processor] | None:
    if memory is None:
        return None
    state = await original(self, with_changes(memory, known_topics=KnownTopics()), fence_offset)
    return None if state is None else with_changes(state, known_topics=memory.known_topics)


async def any_policies(self: TopicCheck) -> None:
    del self


JOURNAL_NOT_GUARDED = (
    replace(Guards, "_journal", any_end),
    replace(TransactionWriter, "_check_places", any_place),
)
"""Without these guards, a state older than the journal goes unnoticed. With them, the partition starts again and is
right, so a fault that makes such a state is planted together with these."""

GUARD_MUTANTS = (
    Mutant(
        "guard-lost-state",
        "A state without positions is a new one, whatever was written from the one before.",
        (replace(Guards, "_lost_state", no_lost_state),),
        with_loss=True,
    ),
    Mutant(
        "guard-journal",
        "Nobody looks where the journal ends.",
        (replace(Guards, "_journal", any_end),),
        with_loss=True,
    ),
    Mutant(
        "guard-state-records",
        "Nobody counts what the state has.",
        (replace(Guards, "_state_records", any_end),),
        with_loss=True,
    ),
    Mutant(
        "guard-inputs",
        "An input is taken for the one that was read.",
        (replace(Guards, "_input", any_input),),
        with_loss=True,
    ),
    Mutant(
        "guard-ids",
        "A topic that is made anew under a running worker goes unnoticed.",
        (edit(Session, "_check_topics", "if changed:", "if False:"),),
        with_loss=True,
    ),
    Mutant(
        "guard-anchor",
        "The last record that was read proves a topic, though it may be the new one's own.",
        (wrap(Guards, "_input", last_record_as_anchor),),
        with_loss=True,
    ),
    Mutant(
        "guard-places",
        "Nobody looks where the records of a transaction lie, in state and journal.",
        (replace(TransactionWriter, "_check_places", any_place),),
        with_loss=True,
    ),
    Mutant(
        "guard-memory",
        "A state in memory is used though the topic is another one.",
        (
            wrap(StateReader, "unchanged", unchanged_in_a_shorter_topic),
            wrap(PartitionStart, "_resume", resumed_on_any_topic),
        ),
        with_loss=True,
    ),
    Mutant(
        "guard-policies",
        "Nobody looks whether the state may expire.",
        (replace(TopicCheck, "check_policies", any_policies),),
        with_loss=True,
    ),
)
