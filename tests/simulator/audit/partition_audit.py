"""The judgement of one partition: every transaction against the model, from its first input to its last output.

The state topic has which inputs a transaction took; the workers' recordings have in which order
(see `recording`).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import msgspec

from tests.model.alerts import Ended, cleared, raised
from tests.model.reading import COMMANDS, ORDERS, STOCK, SUB_ORDERS
from tests.model.run import AccountPolicies, Model, Record, Step
from tests.simulator.audit.books import Books
from tests.simulator.audit.expected import OUTPUTS, Latest, Seen, Taken, Transaction, transaction_of
from tests.simulator.audit.findings import Kind, Wrong
from tests.simulator.audit.recording import Attempt, Decided

INPUTS = (ORDERS, SUB_ORDERS, STOCK, COMMANDS)
STATE = "stockfreeze.state.v1"
JOURNAL = "stock.movements.v1"
POSITIONS_KEY = b"stream/positions"
FENCE_KEY = b"stream/fence"
FORMAT_KEY = b"stream/format"
TOPICS_KEY = b"stream/topics"
OUTCOMES = ("applied", "duplicate", "stale", "dead_lettered")
UNSETTLED_MAX = 1
"""So many transactions of a partition may be readable in one topic and not yet in another: markers are not written at
once, but the next transaction of a producer waits for all of them."""

Position = Sequence[int]
"""next_offset, applied, duplicate, stale, dead_lettered, gaps."""
_COUNTS = 6
STATE_VERSION = 2


class Sent(NamedTuple):
    """An input, and the moments of virtual time when it was appended and from which a read_committed reader could see
    it.
    """

    record: Record
    appended_at: float
    at_seconds: float


@dataclass(frozen=True)
class World:
    """What the auditor may look at: `read` gives the records that are readable from an offset on, by full topic name;
    `group_offset` the group's offset of an input, and `end_offset` where it ends, markers included.
    """

    prefix: str
    partitions: int
    rules: AccountPolicies
    read: Callable[[str, int, int], Sequence[Seen]]
    group_offset: Callable[[str, int], int | None]
    end_offset: Callable[[str, int], int]


class PartitionAudit:
    """One partition, from its first input to its last output."""

    def __init__(self, world: World, partition: int) -> None:
        self.partition = partition
        self._world = world
        self.inputs: dict[str, dict[int, Sent]] = {topic: {} for topic in INPUTS}
        self.beginnings: dict[str, int] = dict.fromkeys(INPUTS, 0)
        self.attempts: list[Attempt] = []
        self.model = Model(partition, world.partitions, world.prefix, world.rules)
        self.floods: set[str] = set()
        """The accounts whose flood goes on."""
        self.floods_reported = 0
        self.positions: Mapping[str, Position] | None = None
        self.transactions = 0
        self.books = Books()
        self._latest: Latest = {}
        self._cursors: dict[str, int] = {}
        self._unread: dict[str, deque[Transaction]] = {topic: deque() for topic in OUTPUTS}
        """Transactions whose records in a topic have not been seen yet, if there are any."""
        self._unclaimed: dict[str, deque[Sequence[Seen]]] = {topic: deque() for topic in OUTPUTS}
        """What was read in a topic, and is not known of yet from the state."""
        self._read_to = 0
        """The last transaction of which anything was read."""
        self._owes_books = False
        """Whether something was read since the books were last looked at."""
        self._stream_time_ms = -1
        self._state_keys: set[bytes] = set()
        self._before: Mapping[str, Position] = {}
        """The positions before the last transaction."""
        self._group_ahead: dict[str, int] = {}
        """Offsets of the group that the state has not come to yet: the next transaction must."""

    # -- following the topics

    def look(self) -> None:
        """Take what can be read now. Raises Wrong."""
        # The state last: what is readable in it has been readable in the outputs, but for markers under way.
        for topic in OUTPUTS:
            self._unclaimed[topic].extend(self._blocks(topic))
        for block in self._blocks(STATE):
            self._take_state(block)
            self._settle()
        self._settle()
        for topic in OUTPUTS:
            owed = self._owed(topic)
            if len(owed) > UNSETTLED_MAX:
                number = owed[0].number
                raise Wrong(Kind.TORN, f"transaction {number} and later ones are in the state, but not in {topic}")
            if len(self._unclaimed[topic]) > UNSETTLED_MAX:
                offset = self._unclaimed[topic][0][0].offset
                raise Wrong(Kind.TORN, f"{topic}/{offset} and later ones can be read, but the state does not know them")
        for topic in INPUTS:
            self._look_at_group(topic)

    def finish(self) -> None:
        """Raises Wrong if anything is owed, or is there and nobody's."""
        for topic in OUTPUTS:
            if owed := self._owed(topic):
                raise Wrong(Kind.LOST, f"transaction {owed[0].number} is in the state, but not in {topic}")
            if self._unclaimed[topic]:
                offset = self._unclaimed[topic][0][0].offset
                raise Wrong(Kind.TORN, f"{topic}/{offset} can be read, and no transaction in the state has written it")
        self.books.check_all()
        for topic in INPUTS:
            if not self._group_agrees(topic):
                in_group, in_state = self._world.group_offset(topic, self.partition), self.positions
                raise Wrong(Kind.GROUP, f"the group is at {in_group} of {topic}, the state at {in_state}")

    def _look_at_group(self, topic: str) -> None:
        """The group's offset is of this transaction, or of the one before or after: markers come in any order."""
        in_group = self._world.group_offset(topic, self.partition)
        name = self._world.prefix + topic
        if in_group is None or self.positions is None:
            return
        offset = self.positions[name][0]
        if in_group > offset:
            self._group_ahead[name] = in_group
        elif in_group != offset and in_group != self._before.get(name, (0,))[0]:
            raise Wrong(Kind.GROUP, f"the group is at {in_group} of {topic}, behind the state at {offset}")

    def lag_of(self, topic: str) -> int:
        """How many of the inputs sent are not accounted for."""
        position = (self.positions or {}).get(self._world.prefix + topic)
        begin = self.beginnings[topic] if position is None else position[0]
        return sum(1 for offset in self.inputs[topic] if offset >= begin)

    @property
    def consumed(self) -> bool:
        """Whether all inputs are accounted for to their very ends, and all that follows from them has been read."""
        ends = {self._world.prefix + topic: self._world.end_offset(topic, self.partition) for topic in INPUTS}
        at_end = {topic: position[0] for topic, position in (self.positions or {}).items()} == ends
        return self._owes_nothing and at_end and not any(self.lag_of(topic) for topic in INPUTS)

    @property
    def settled(self) -> bool:
        """Whether what follows from the inputs accounted for has been read, and nothing else; others may be left."""
        return self._owes_nothing and not any(self._unclaimed.values())

    @property
    def _owes_nothing(self) -> bool:
        return not any(map(self._owed, OUTPUTS)) and all(self._group_agrees(topic) for topic in INPUTS)

    def _owed(self, topic: str) -> list[Transaction]:
        """The transactions known that must be in an output topic, and have not been read there yet."""
        return [transaction for transaction in self._unread[topic] if transaction.requires(topic)]

    def _group_agrees(self, topic: str) -> bool:
        position = (self.positions or {}).get(self._world.prefix + topic)
        return position is None or self._world.group_offset(topic, self.partition) == position[0]

    def _blocks(self, topic: str) -> list[list[Seen]]:
        """What became readable since the last look, by transaction: markers leave gaps between them."""
        records = self._world.read(self._world.prefix + topic, self.partition, self._cursors.get(topic, 0))
        if not records:
            return []
        self._cursors[topic] = records[-1].offset + 1
        blocks = [[records[0]]]
        for before, record in pairwise(records):
            if record.offset != before.offset + 1:
                blocks.append([])
            blocks[-1].append(record)
        return blocks

    def _settle(self) -> None:
        """Hold what was read in the outputs against the transactions known."""
        for topic in OUTPUTS:
            blocks, transactions = self._unclaimed[topic], self._unread[topic]
            while blocks and transactions:
                transaction = transactions[0]
                if not transaction.owns(topic, blocks[0]):
                    if transaction.requires(topic):
                        offset = blocks[0][0].offset
                        raise Wrong(Kind.TORN, f"{topic}/{offset} is not of transaction {transaction.number}")
                    transactions.popleft()
                    continue
                transactions.popleft()
                block = blocks.popleft()
                self.books.take(topic, block, transaction.check(topic, block))
                self._read_to = max(self._read_to, transaction.number)
                self._owes_books = True
        if self._owes_books:
            self._check_books()

    def _check_books(self) -> None:
        """Once all outputs of those transactions have been read of which any was, they balance: markers are late."""
        if not any(owed.number <= self._read_to for topic in OUTPUTS for owed in self._owed(topic)):
            self.books.check_touched()
            self._owes_books = False

    # -- one transaction

    def _take_state(self, block: Sequence[Seen]) -> None:
        keys = [record.key for record in block]
        if keys == [FENCE_KEY]:
            return
        if POSITIONS_KEY not in keys:
            raise Wrong(Kind.TORN, f"{STATE}/{block[0].offset} was committed without the positions: {keys}")
        if keys[-1] != POSITIONS_KEY or keys.count(POSITIONS_KEY) > 1:
            raise Wrong(Kind.TORN, f"{STATE}/{block[0].offset}: the positions are not the last of {keys}")
        positions, stream_time_ms, state_records = _positions_of(block[-1].value)
        if self.positions is None or FORMAT_KEY in keys:
            self._take_beginning(block, positions)
            return
        attempt = self._attempt_of(block, positions)
        taken = self._feed(attempt, positions)
        self._count_state(block, state_records)
        if stream_time_ms != self._stream_time_ms:
            raise Wrong(Kind.STATE, f"the stream time is {stream_time_ms}, and should be {self._stream_time_ms}")
        self._before, self.positions = self.positions, positions
        for topic, offset in self._group_ahead.items():
            if positions[topic][0] != offset:
                raise Wrong(
                    Kind.GROUP, f"the group was at {offset} of {topic}, and the state went to {positions[topic]}"
                )
        self._group_ahead = {}
        self.transactions += 1
        transaction = transaction_of(self.transactions, taken, self._latest)
        for unread in self._unread.values():
            unread.append(transaction)

    def _count_state(self, block: Sequence[Seen], state_records: int) -> None:
        """The recorded count of state records must be the real one, because a restore is compared with it."""
        for record in block:
            if record.key is not None and not record.key.startswith(b"stream/"):
                (self._state_keys.discard if record.value is None else self._state_keys.add)(record.key)
        if state_records != len(self._state_keys):
            raise Wrong(Kind.STATE, f"the state has {len(self._state_keys)} records, but {state_records} are recorded")

    def _take_beginning(self, block: Sequence[Seen], positions: Mapping[str, Position]) -> None:
        if self.positions is not None:
            raise Wrong(Kind.DOUBLED, f"{STATE}/{block[0].offset}: the partition was begun again")
        if {record.key for record in block} != {FORMAT_KEY, TOPICS_KEY, POSITIONS_KEY}:
            raise Wrong(Kind.TORN, f"{STATE}/{block[0].offset}: something was committed with the beginning")
        begun = {self._world.prefix + topic: [begin, 0, 0, 0, 0, begin] for topic, begin in self.beginnings.items()}
        if {topic: list(position) for topic, position in positions.items()} != begun:
            raise Wrong(Kind.COUNTS, f"the partition begins at {positions}, and should begin at {begun}")
        self.positions = positions

    def _attempt_of(self, block: Sequence[Seen], positions: Mapping[str, Position]) -> Attempt:
        """The recording of what was written: of several with the same state, the one that fits the positions."""
        state = [(record.key, record.value) for record in block[:-1] if record.key != TOPICS_KEY]
        alike = [attempt for attempt in self.attempts if attempt.state == state]
        if not alike:
            raise Wrong(Kind.TORN, f"{STATE}/{block[0].offset}: no worker has written exactly this in one transaction")
        attempt = next((attempt for attempt in alike if self._fits(attempt, positions)), alike[0])
        self.attempts.remove(attempt)
        return attempt

    def _fits(self, attempt: Attempt, positions: Mapping[str, Position]) -> bool:
        """Whether the positions may have moved by what was decided, and by gaps behind it."""
        reached = {topic: position[0] for topic, position in (self.positions or {}).items()}
        for decided in attempt.decided:
            if decided.offset < reached[decided.topic]:
                return False
            reached[decided.topic] = decided.offset + 1
        return all(
            reached[topic] <= position[0] and not self._unread_between(topic, reached[topic], position[0])
            for topic, position in positions.items()
        )

    def _unread_between(self, topic: str, begin: int, end: int) -> list[int]:
        """The offsets of an input from one on and before another at which there is something to read."""
        inputs = self.inputs[topic.removeprefix(self._world.prefix)]
        return [offset for offset in range(begin, end) if offset in inputs]

    def _feed(self, attempt: Attempt, positions: Mapping[str, Position]) -> list[Taken]:
        """What the model gives for the inputs of a transaction, each exactly once."""
        prefix, before = self._world.prefix, self.positions or {}
        columns = {topic: list(position) for topic, position in before.items()}
        taken: list[Taken] = []
        for decided in attempt.decided:
            column = columns[decided.topic]
            sent = self._next(decided, column[0])
            self._check_order(sent, columns)
            step = self.model.feed(sent.record)
            if decided.outcome not in step.outcomes:
                place = f"{decided.topic}/{self.partition}/{decided.offset}"
                raise Wrong(Kind.OUTPUT, f"{place} ended as {decided.outcome}, and should as {sorted(step.outcomes)}")
            self._take_floods(decided, step)
            column[1 + OUTCOMES.index(decided.outcome)] += 1
            column[5] += decided.offset - column[0]
            column[0] = decided.offset + 1
            self._stream_time_ms = max(self._stream_time_ms, sent.record.timestamp)
            taken.append(Taken(sent.record, step, f"{decided.topic}/{self.partition}/{decided.offset}"))
        for topic, position in positions.items():
            column = columns[topic]
            if unread := self._unread_between(topic, column[0], position[0]):
                raise Wrong(
                    Kind.LOST, f"{topic}/{self.partition}/{unread[0]} was passed over at the end of a transaction"
                )
            if position[0] > column[0]:
                column[5] += position[0] - column[0]
                column[0] = position[0]
            if list(position) != column:
                raise Wrong(Kind.COUNTS, f"{topic} is counted {position}, and should be {column}")
            if sum(position[1:]) != position[0]:
                raise Wrong(Kind.COUNTS, f"{topic}: {position} does not add up")
        if set(positions) != {prefix + topic for topic in INPUTS}:
            raise Wrong(Kind.COUNTS, f"the positions are of {sorted(positions)}")
        return taken

    def _take_floods(self, decided: Decided, step: Step) -> None:
        """A flood is reported when it begins, and again only after it ceased, across owners of the partition."""
        began, ceased = decided.floods
        if began is not None:
            if began in self.floods:
                raise Wrong(Kind.DOUBLED, f"the flood of {began} begins again, and has not ceased")
            self.floods.add(began)
            self.floods_reported += 1
            step.alerts.append(raised("flooding"))
        step.ended += [Ended(party, cleared("flooding"), self.model.stream_time) for party in ceased]
        self.floods -= set(ceased)

    def _next(self, decided: Decided, next_offset: int) -> Sent:
        """The input that was decided: it must be the next one."""
        place = f"{decided.topic}/{self.partition}/{decided.offset}"
        inputs = self.inputs[decided.topic.removeprefix(self._world.prefix)]
        if decided.offset < next_offset:
            raise Wrong(Kind.DOUBLED, f"{place} was taken again: the state was at {next_offset} already")
        for offset in self._unread_between(decided.topic, next_offset, decided.offset):
            raise Wrong(Kind.LOST, f"{decided.topic}/{self.partition}/{offset} was passed over for {place}")
        if decided.offset not in inputs:
            raise Wrong(Kind.OUTPUT, f"{place} was taken, and nobody has sent it")
        return inputs[decided.offset]

    def _check_order(self, sent: Sent, columns: Mapping[str, Position]) -> None:
        """A count must not run ahead: the others have been read up to its timestamp, or to their end.

        Their end is where it was when the count could be read, or later: what nobody could read yet lies before it.
        """
        count = sent.record
        if count.topic != STOCK or not _is_count(count.value):
            return
        for topic in INPUTS:
            if topic == STOCK:
                continue
            begin = columns[self._world.prefix + topic][0]
            unread = [offset for offset in self.inputs[topic] if offset >= begin]
            first = self.inputs[topic][min(unread)] if unread else None
            if first and first.record.timestamp <= count.timestamp and first.appended_at < sent.at_seconds:
                raise Wrong(
                    Kind.AHEAD,
                    f"the count {STOCK}/{self.partition}/{count.offset} (timestamp {count.timestamp}) was taken before "
                    f"{topic}/{self.partition}/{first.record.offset} (timestamp {first.record.timestamp}), which was "
                    f"there {sent.at_seconds - first.appended_at:.3f} s earlier",
                )


def _positions_of(value: bytes | None) -> tuple[dict[str, Position], int, int]:
    """The positions, the stream time, and the recorded count of state records."""
    if value is None:
        raise Wrong(Kind.STATE, "the positions were deleted")
    version, positions, stream_time_ms, _, state_records = msgspec.msgpack.decode(value)
    if version != STATE_VERSION:
        raise Wrong(Kind.STATE, f"the positions have version {version}")
    return {topic: position[:_COUNTS] for topic, position in positions.items()}, stream_time_ms, state_records


def _is_count(value: bytes | None) -> bool:
    """Whether the worker must let it wait: a broken one need not."""
    try:
        event = json.loads(value or b"")
    except ValueError:
        return False
    return isinstance(event, dict) and event.get("type") == "stock.counted"
