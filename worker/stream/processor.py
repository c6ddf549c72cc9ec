"""What the engine asks of the program it hosts: records in; outputs, dirty state and an outcome out.

The engine knows no domain. Everything here is synchronous and does no I/O: the engine may call it between any two
awaits, throw the whole object away when a transaction fails, and build another one from the state topic.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol, TypeVar

from worker.stream.records import InputRecord, Output


class Outcome(StrEnum):
    """How an input record ended. Every record ends as exactly one of these, and is counted as such in the state."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    STALE = "stale"
    DEAD_LETTERED = "dead_lettered"


class Blame(NamedTuple):
    """Whom a bad record counts for. `party`: a name of the processor's choice, None where nobody can be read."""

    party: str | None


class Parties(Protocol):
    """An ability of a processor that serves several parties in a partition: the breaker treats each fairly.

    All methods are called between two records, never within one, by the one who calls `process`.
    """

    def flooding(self) -> Collection[str]:
        """The parties whose flood began and has not ceased. Called once, before the first record."""

    def blame(self) -> Blame | None:
        """Whom the last record counts for, which was bad. Called once after each bad record.

        None: it counts for nobody, as it was refused before and only sent again.
        """

    def serves_others(self, party: str) -> bool:
        """Whether the partition serves anybody besides a party. Called where the bad records are all of that one."""

    def flood_began(self, party: str) -> None:
        """Too many of the last records were bad, all of one party, the last one included: it may add outputs."""

    def flood_ceased(self, party: str) -> None:
        """The counterpart, after any record."""


class Processor(Protocol):
    """The state of one partition, and what a record does to it."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take one record of the state topic, in order; a later record of a key replaces an earlier one.

        Records of the engine itself are not passed. Raises StateVersionError for a record of a newer version.
        """

    def finish_restore(self, stream_time_ms: int, generations: Mapping[str, int]) -> Iterator[None]:
        """All records of the state are in: derive what is not stored, in steps of a few milliseconds.

        The engine takes all steps, and lets others go on between them: a large state must not hold the group's poll up.
        `stream_time_ms` is the greatest record timestamp ever processed in the partition (-1: none). `generations` has,
        by input, how many topics of its name were read one after the other: offsets are unique within one only.
        """
        ...

    @property
    def state_records(self) -> int:
        """How many records its state has in the topic, once what it decided is flushed and written.

        Asked after a restore too: another number than at the last flush means that records are lost.
        """
        ...

    def waits(self, record: InputRecord) -> bool:
        """Whether the record must wait until every other input has been read up to its timestamp, or to its end."""

    def process(self, record: InputRecord) -> Outcome:
        """Apply one record, or begin to where that takes long: see `rest`.

        An exception is a broken invariant or a defect: the partition stops before anything commits.
        """

    @property
    def rest(self) -> Iterator[None] | None:
        """What the last `process` left to be done of its record, in steps of a few milliseconds; None: nothing.

        The engine takes all steps before it does anything else with the processor, and lets other partitions go on
        between them. So almost every record is a plain call, and one that touches a hundred thousand keys holds nobody
        up. An exception is as one of `process`.
        """

    @property
    def parties(self) -> Parties | None:
        """What tells its parties apart; None: nothing does, and the breaker counts all bad records alike."""

    def flush(self) -> Iterator[Sequence[Output]]:
        """All outputs and dirty state since the last flush, a few milliseconds' work at a time.

        The engine takes all of it, lets other partitions go on in between, and sends it in the transaction that has the
        input offsets. Each part is copied at once, so that its memory is there for the next.
        """
        ...


P = TypeVar("P", bound=Processor)
"""The processor that an engine hosts: its parts hand it on with its own type."""


class StateVersionError(Exception):
    """A state record was written by a newer version of the program: this one must not guess what it means."""
