"""From records to the ledger and back: what the engine hosts for each partition.

It decides what is wrong with a record before the domain sees it (undecodable, wrong key, wrong partition), turns what
is refused into a dead letter, and tells the ledger of those that belong to an order.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, get_args

from schemas import decoding
from schemas.decoding import Decoded
from schemas.decoding import Refused as NotDecoded
from schemas.inputs import StockEvent
from schemas.sentences import quoted
from schemas.topics import LEDGER, Topic
from worker.domain.books import RECORDS_PER_STEP
from worker.domain.effects import Effect
from worker.domain.ledger import Ledger
from worker.domain.outbox import Record
from worker.domain.policies import Policies
from worker.domain.refusals import DeadLetterOfOrder, RefusedRecord, RuleRefusal
from worker.domain.restoring import UnknownStateVersion
from worker.domain.steps import in_slices
from worker.domain.violations import InvariantViolation
from worker.processors.parties import AccountParties, RefusalCount, Refused
from worker.stream.partitioning import partition_of
from worker.stream.processor import Outcome, StateVersionError
from worker.stream.records import InputRecord, Output, OutputRecord
from worker.stream.state.positions import FIRST_GENERATION

REPLAY_HEADER: Final = "replay-of"
GENERATION_MARK: Final = "~"
"""Stands before the generation of a topic that was accepted anew; no topic's name has it."""
NO_GENERATIONS: Final[Mapping[str, int]] = {}

_OUTCOMES: Final = {Effect.APPLIED: Outcome.APPLIED, Effect.DUPLICATE: Outcome.DUPLICATE, Effect.STALE: Outcome.STALE}
_ABOUT_STOCK: Final = frozenset(get_args(StockEvent))
_STOCK: Final = Topic.STOCK
_WAITING_TYPE: Final = b"stock.counted"
_DEAD_LETTER_ID: Final = re.compile(
    r"(?P<topic>[A-Za-z0-9._-]{1,249})(?P<generation>~[1-9][0-9]{0,9})?/(?P<partition>[0-9]{1,10})/(?P<offset>0|[1-9][0-9]{0,18})"
)
ERROR_HEADERS: Final = ("error-code", "error", "source-topic", "source-partition", "source-offset", "source-timestamp")
"""What a dead letter has besides the record's own. Those of these names are not kept, so nothing is ambiguous."""


class Origin(NamedTuple):
    """Where a dead letter's record first lay; for a replay, the place that its header names."""

    topic: str
    """With its generation, where it was accepted anew."""
    partition: str
    offset: str

    @property
    def dead_letter_id(self) -> str:
        """`source-topic/partition/offset`."""
        return "/".join(self)


def source_name(topic: str, generation: int) -> str:
    """What outputs call an input by: its full name, with the generation where it was accepted anew (`topic~2`)."""
    return topic if generation == FIRST_GENERATION else f"{topic}{GENERATION_MARK}{generation}"


def topic_of_source(source: str) -> str:
    """The full name of the topic that outputs call so."""
    return source.partition(GENERATION_MARK)[0]


class PartitionProcessor:
    """The engine's processor for one partition. `prefix` goes before every topic's name."""

    def __init__(self, *, partition: int, partition_count: int, prefix: str, policies: Policies) -> None:
        self.ledger = Ledger(policies)
        self._partition = partition
        self._partition_count = partition_count
        self._names = {topic: prefix + topic for topic in Topic}
        self._inputs = {prefix + topic: topic for topic in LEDGER.inputs}
        self._sources = {name: f"{name}/{partition}/" for name in self._inputs}
        self._dead_letters: list[Output] = []
        self.refusals: dict[str | None, RefusalCount] = {}
        """The dead letters of each account since the reader last cleared it, for the log."""
        # Not a method of self: a circle would keep a state of gigabytes after the engine threw it away.
        self.parties = AccountParties(self.ledger, lambda id_: partition_of(id_, partition_count) == partition)

    @property
    def tally(self) -> dict[tuple[str, ...], int]:
        """What was decided, by kind, since the reader last cleared it."""
        return self.ledger.tally

    @property
    def rest(self) -> Iterator[None] | None:
        """What `process` left to be done of its record: the keys of a count."""
        return self.ledger.rest

    def gauges(self) -> dict[str, float]:
        """Sizes of the state."""
        return self.ledger.gauges()

    def pending(self) -> dict[str, int]:
        """Dead letters that hold an order back, by code."""
        return self.ledger.pending()

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take a state record. Raises StateVersionError for one that a newer program wrote."""
        try:
            self.ledger.restore(key, value)
        except UnknownStateVersion as error:
            raise StateVersionError(str(error)) from error

    def finish_restore(self, stream_time_ms: int, generations: Mapping[str, int] = NO_GENERATIONS) -> Iterator[None]:
        """Derive what is not stored, in small steps.

        `stream_time_ms` is the greatest record timestamp read before (-1: none); `generations` are those of the inputs
        (1 where none is given).
        """
        for name in self._inputs:
            source = source_name(name, generations.get(name, FIRST_GENERATION))
            self._sources[name] = f"{source}/{self._partition}/"
        return self.ledger.finish_restore(stream_time_ms)

    @property
    def state_records(self) -> int:
        """How many records the state has, once what was decided is flushed."""
        return self.ledger.state_records

    def restored(self, stream_time_ms: int) -> None:
        """Take all steps of `finish_restore` in one go, where nothing else has to go on meanwhile."""
        for _ in self.finish_restore(stream_time_ms):
            pass

    def waits(self, record: InputRecord) -> bool:
        """A count must not run ahead of the orders it is compared with.

        A record that merely looks like one waits too, which does no harm: so does one with a backslash, as its type
        may be written with escapes.
        """
        if self._inputs[record.topic] is not _STOCK or record.value is None:
            return False
        return _WAITING_TYPE in record.value or b"\\" in record.value

    def process(self, record: InputRecord) -> Outcome:
        """Apply a record, or make it a dead letter. Raises InvariantViolation where the program is wrong.

        Whoever does not take the steps of `rest` has them taken by the next record, or by the flush.
        """
        name, recorded_at = record.topic, record.timestamp
        self.ledger.advance(recorded_at)
        topic = self._inputs[name]
        source = f"{self._sources[name]}{record.offset}"
        replay = self._replay_of(record) if record.headers else None
        decoded = None
        try:
            decoded = decoding.decode(topic, record.value)
            self._check_place(record, decoded.event.account_id)
            awaited = None if replay is None else self._of_order(topic, record, replay)
            effect = self.ledger.apply(decoded, source, recorded_at, awaited)
        except (NotDecoded, RuleRefusal) as refused:
            self._refuse(topic, record, decoded, replay, refused)
            return Outcome.DEAD_LETTERED
        return _OUTCOMES[effect]

    def flush(self) -> Iterator[list[Output]]:
        """All outputs, dirty state and dead letters since the last flush, a few at a time."""
        for records in self.ledger.flush():
            yield self._outputs(records)
        dead_letters, self._dead_letters = self._dead_letters, []
        yield from in_slices(dead_letters, RECORDS_PER_STEP)

    def _outputs(self, records: list[Record]) -> list[Output]:
        names = self._names
        return [(names[topic], key, value, ()) for topic, key, value in records]

    def _check_place(self, record: InputRecord, account_id: str) -> None:
        if record.key != account_id.encode():
            key = "has no key" if record.key is None else f"has the key {quoted(record.key.decode(errors='replace'))}"
            raise RuleRefusal(
                "key_mismatch",
                f"The record {key}, and its field account_id says {quoted(account_id)}: send it with that as its key.",
            )
        expected = partition_of(account_id, self._partition_count)
        if expected != self._partition:
            raise RuleRefusal(
                "wrong_partition",
                f"The field account_id belongs to partition {expected} of {self._partition_count} by murmur2,"
                f" the record lies in {self._partition}: set the producer's partitioner to murmur2, the Java client's"
                " default.",
            )

    def _replay_of(self, record: InputRecord) -> Origin | None:
        """The dead letter that a record's header names as its original; None without one, or where it cannot be right.

        A replay is sent to where its original lay. So a header that names another partition, or no input of this
        system, is ignored: the dead letter could never be found by that name.
        """
        for name, value in record.headers:
            if name == REPLAY_HEADER:
                match = _DEAD_LETTER_ID.fullmatch((value or b"").decode(errors="replace"))
                if match is None or match["topic"] not in self._inputs or match["partition"] != str(record.partition):
                    return None
                return Origin(match["topic"] + (match["generation"] or ""), match["partition"], match["offset"])
        return None

    def _of_order(self, topic: Topic, record: InputRecord, origin: Origin) -> DeadLetterOfOrder | None:
        """Which order a dead letter holds back: contract section 7."""
        named = None if topic is Topic.COMMANDS else decoding.order_of(record.value, record.key)
        if named is None or partition_of(named[0], self._partition_count) != self._partition:
            return None
        return DeadLetterOfOrder(named[0], named[1], origin.dead_letter_id)

    def _refuse(
        self,
        topic: Topic,
        record: InputRecord,
        decoded: Decoded | None,
        replay: Origin | None,
        refused: NotDecoded | RuleRefusal,
    ) -> None:
        origin = replay or Origin(*f"{self._sources[record.topic]}{record.offset}".split("/"))
        headers: list[tuple[str, bytes | None]] = [
            ("error-code", refused.code.encode()),
            ("error", refused.message.encode()),
            ("source-topic", origin.topic.encode()),
            ("source-partition", origin.partition.encode()),
            ("source-offset", origin.offset.encode()),
            ("source-timestamp", str(record.timestamp).encode()),
            *((name, value) for name, value in record.headers if name not in ERROR_HEADERS),
        ]
        self._dead_letters.append(OutputRecord(self._names[Topic.DEAD_LETTERS], record.key, record.value, headers))
        tally = self.ledger.tally
        tally["dead_letter", refused.code] = tally.get(("dead_letter", refused.code), 0) + 1
        value, key = record.value, record.key
        account_id = decoding.account_of(value, key) if decoded is None else decoded.event.account_id
        source = f"{self._sources[record.topic]}{record.offset}"
        last = Refused(record, source, account_id, decoded, replay is not None)
        self.parties.last_refused = last
        self._count_refusal(record, account_id, refused)
        is_of_none = refused.code == "too_late" and replay is None
        dead_letter = None if is_of_none else self._of_order(topic, record, origin)
        if dead_letter is not None or refused.code == "conflict":
            self.ledger.refused(_legible(last, dead_letter), refused.code, refused.message, dead_letter)

    def _count_refusal(self, record: InputRecord, account_id: str | None, refused: NotDecoded | RuleRefusal) -> None:
        known = self.refusals.get(account_id)
        if known is None:
            first = RefusalCount(record.topic, record.partition, record.offset, refused.code, refused.message)
            self.refusals[account_id] = first
        else:
            known.count += 1


def _legible(refused: Refused, dead_letter: DeadLetterOfOrder | None) -> RefusedRecord:
    """What can be read of a record that is of an order, or that was decoded."""
    is_of_stock = refused.decoded is not None and type(refused.decoded.event) in _ABOUT_STOCK
    if dead_letter is not None:
        return refused.readable_parts(dead_letter.account_id, dead_letter.order_id, with_stock=is_of_stock)
    if refused.decoded is None:
        raise InvariantViolation("nothing follows from a record that is neither decoded nor of an order")
    return refused.readable_parts(refused.decoded.event.account_id, None, with_stock=is_of_stock)
