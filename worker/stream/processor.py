"""The interface between the engine and the program that it hosts: records in; outputs, state and an outcome out.

The engine knows no domain. All methods are synchronous and do no I/O. They are called one at a time, by the task of the
partition, but other tasks run in between. The engine may throw a processor away after any call, because its transaction
failed, and create another one from the state topic. So a processor must not assume that what it did was committed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from worker.stream.records import InputRecord, Output


class Outcome(StrEnum):
    """How an input record ended. Every record ends as exactly one of these, and the state counts it as such."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    DEAD_LETTERED = "dead_lettered"


class Blame(NamedTuple):
    """The party that a bad record counts for. `party` is a name of the processor's choice, None if it is unreadable."""

    party: str | None


class Parties(Protocol):
    """An optional ability of a processor that serves several parties in one partition, such as accounts.

    With it, the breaker does not stop all parties because of one party's bad records. Its methods are called between
    two records, after the `rest` of the earlier one, and must not raise.
    """

    def flooding(self) -> Collection[str]:
        """Return the parties whose flood began and has not ceased, by the state.

        Called once per start of a partition, after the restore and before the first record.
        """

    def blame(self) -> Blame | None:
        """Return the party of the latest record, which was bad. Called once after each bad record.

        None means that the record counts for no party, because it was dead-lettered before and only sent again.
        """

    def serves_others(self, party: str) -> bool:
        """Return whether the partition serves any party besides this one.

        Called when so many records were bad that the breaker would open, nearly all of them of this party.
        """

    def flood_began(self, party: str) -> None:
        """Note that too many of the latest records were bad, nearly all of this party. It may add outputs and state.

        Called once per flood, after a bad record of this party, and not again after a restart if `flooding` has it.
        """

    def flood_ceased(self, party: str) -> None:
        """Note that a flood ended. It may add outputs and state.

        Called once per flood, after any record. It need not come before the partition stops.
        """


class RestorableState(Protocol):
    """The part of a processor that is restored from the state topic, before it processes anything."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the state topic; None as `value` deletes the key.

        Called for each committed record, in offset order. A key may come several times, and the later record replaces
        the earlier one. Records of the engine itself are not passed. Raises StateVersionError for a record of a newer
        version; any other exception means that the state is damaged. Both halt the partition.
        """

    def finish_restore(self, stream_time_ms: int, generations: Mapping[str, int]) -> Iterator[None]:
        """Derive what is not stored, in steps of a few milliseconds.

        Called once per restore, after the last `restore`, also if the state is empty. The engine takes all steps, and
        lets other tasks run between them, because a long pause would cost the worker its membership of the group.
        `stream_time_ms` is the greatest timestamp of a processed record, -1 if there is none. `generations` has, by
        input, how many topics of its name were read one after the other: offsets are unique only within one. An
        exception halts the partition.
        """
        ...

    @property
    def state_records(self) -> int:
        """How many keys the state has in its topic once everything that `flush` returned is written.

        Read after each restore and each flush. If a restore finds another number than the last flush wrote, records
        of the state are lost, and the partition does not start.
        """
        ...


class Processor(RestorableState, Protocol):
    """The state of one partition, and what a record does to it. It is restored first, once."""

    def waits(self, record: InputRecord) -> bool:
        """Return whether the record must wait until every other input has been read up to its timestamp, or to its end.

        Called at least once per record, before `process`, perhaps long before and while other records are processed.
        It must not change anything, and must return the same for the same record. An exception halts the partition.
        """

    def process(self, record: InputRecord) -> Outcome:
        """Apply one record, or begin to apply it if that takes long (see `rest`). Return how it ended.

        Called once per record within the life of a processor, in the order that `worker.stream.merge` describes. Bad
        data is an outcome. An exception is a broken invariant or a defect: it halts the partition before anything of
        the transaction commits.
        """

    @property
    def rest(self) -> Iterator[None] | None:
        """The remaining work of the latest `process`, in steps of a few milliseconds; None if there is none.

        Read once after each `process`. The engine takes all steps before it does anything else with the processor, and
        lets other partitions run between them. Almost every record is a plain call; one that touches a hundred
        thousand keys does not delay the others. An exception halts the partition.
        """

    @property
    def parties(self) -> Parties | None:
        """The ability to tell parties apart; None if it lacks that, and the breaker counts all bad records alike.

        Read once per start of a partition, after the restore.
        """

    def flush(self) -> Iterator[Sequence[Output]]:
        """Return all outputs and changed state since the previous flush, a few milliseconds' work at a time.

        Called once per transaction, after its last record, also if it has no records. The engine takes all parts, lets
        other partitions run between them, and writes them in the transaction that commits the input offsets. It copies
        each part before it asks for the next one, so a part may be reused. An exception halts the partition.
        """
        ...


P = TypeVar("P", bound=Processor)
"""The processor that an engine hosts: its parts hand it on with its own type."""


class StateVersionError(Exception):
    """A state record was written by a newer version of the program, so this version cannot read it."""
