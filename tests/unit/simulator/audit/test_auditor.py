"""The auditor finds nothing in a run without faults, and every kind of damage that is done to what was written."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import msgspec
import pytest

from tests.model.run import AccountPolicies
from tests.named import named
from tests.property.drafts import RULES, Menu
from tests.simulator.audit.auditor import Auditor
from tests.simulator.audit.expected import DEAD_LETTERS, LEVELS, MOVEMENTS, OUTPUTS, STATUS
from tests.simulator.audit.findings import Kind
from tests.simulator.audit.partition_audit import INPUTS, POSITIONS_KEY, STATE, World
from tests.simulator.audit.recording import Attempt, RecordingProcessor
from tests.simulator.history import Entry, Menus, history
from tests.simulator.loop import EPOCH_MS
from tests.simulator.scenario import record_of
from tests.simulator.workers import PREFIX, rules_of
from tests.simulator.world import SimRecord
from worker.stream.records import InputRecord
from worker.stream.state.input_progress import InputProgress
from worker.stream.state.known_topics import KnownTopics, encode_known_topics
from worker.stream.state.positions import (
    FORMAT_KEY,
    TOPICS_KEY,
    Checkpoint,
    Position,
    begun_at,
    encode_checkpoint,
    encode_format,
)

Block = list[tuple[bytes | None, bytes | None, tuple[tuple[str, Any], ...]]]
Transactions = list[dict[str, Block]]
Damage = Callable[[Transactions], None]


class Written:
    """One partition, processed without any engine: what its transactions wrote, before the auditor sees it."""

    def __init__(self, seed: int, rules: AccountPolicies = RULES[0], records_max: int = 6) -> None:
        r = Random(seed)
        self.rules = rules
        self.attempts: list[Attempt] = []
        self.auditor = Auditor(World(PREFIX, 1, rules, self._read, self._group_offset, self._group_offset), lambda: 0)
        records = self._send(history(r, Menus(partitions=1, drafts=60, menu=Menu()), EPOCH_MS))
        self.transactions: Transactions = []
        self._logs: dict[str, list[SimRecord]] = {}
        self._ends: dict[str, int] = {}
        processor = RecordingProcessor(
            worker="w",
            partition=0,
            partition_count=1,
            prefix=PREFIX,
            rules=rules_of(rules),
            state_topic=PREFIX + STATE,
            recorded=lambda _, attempt: self.attempts.append(attempt),
            poisoned=(),
        )
        processor.restored(-1)
        self._processor = processor
        self.progress = InputProgress.of({PREFIX + topic: begun_at(0) for topic in INPUTS}, -1)
        self.transactions.append(
            {
                STATE: [
                    (FORMAT_KEY, encode_format(1), ()),
                    (TOPICS_KEY, encode_known_topics(KnownTopics()), ()),
                    (POSITIONS_KEY, self._positions(), ()),
                ]
            },
        )
        while records:
            size = r.randint(1, records_max)
            for record in records[:size]:
                self.progress.count(record, processor.process(record))
            del records[:size]
            blocks: dict[str, Block] = {}
            for output in named(processor.flush()):
                blocks.setdefault(output.topic.removeprefix(PREFIX), []).append(
                    (output.key, output.value, tuple(output.headers))
                )
            blocks.setdefault(STATE, []).append((POSITIONS_KEY, self._positions(), ()))
            self.transactions.append(blocks)

    def found(self) -> list[Kind]:
        """What the auditor finds when all of it is there."""
        return self.found_in(self.transactions)

    def found_in(self, transactions: Transactions) -> list[Kind]:
        for attempt in self.attempts:
            self.auditor.recorded(0, attempt)
        for transaction in transactions:
            self.write(transaction)
        self.auditor.finish()
        return [finding.kind for finding in self.auditor.findings]

    def write(self, transaction: dict[str, Block]) -> None:
        for topic, block in transaction.items():
            log = self._logs.setdefault(topic, [])
            for key, value, headers in block:
                log.append(SimRecord(self._end(topic), key, value, headers, EPOCH_MS))
                self._ends[topic] += 1
            self._ends[topic] = self._end(topic) + 1  # the marker

    def _end(self, topic: str) -> int:
        return self._ends.setdefault(topic, 0)

    def _send(self, entries: list[Entry]) -> list[InputRecord]:
        sent: dict[int, str] = {}
        of_topic: dict[str, list[InputRecord]] = {topic: [] for topic in INPUTS}
        for entry in entries:
            log = of_topic[entry.topic]
            value, headers = entry.sent(sent, "nothing/0/0")
            record = record_of(entry, len(log), value, headers)
            sent[entry.index] = f"{PREFIX}{entry.topic}/0/{len(log)}"
            self.auditor.sent(record, entry.at_ms / 1000, entry.at_ms / 1000)
            log.append(InputRecord(PREFIX + record.topic, *record[1:]))
        return list(heapq.merge(*of_topic.values(), key=lambda record: record.timestamp))

    def _positions(self) -> bytes:
        checkpoint = Checkpoint(
            self.progress.positions(), self.progress.stream_time_ms, state_records=self._processor.state_records
        )
        return encode_checkpoint(checkpoint)

    def _read(self, topic: str, _partition: int, begin: int) -> list[SimRecord]:
        return [record for record in self._logs.get(topic.removeprefix(PREFIX), []) if record.offset >= begin]

    def _group_offset(self, topic: str, _partition: int) -> int:
        return self.progress.positions()[PREFIX + topic].next_offset


@pytest.mark.parametrize("seed", range(8))
def test_a_run_without_faults_is_found_right(seed: int) -> None:
    written = Written(seed, RULES[seed % len(RULES)])
    assert written.found() == []
    assert written.auditor.partition(0).consumed


def test_books_are_not_compared_while_the_next_marker_is_late() -> None:
    """Seed 5697: a topic was a transaction behind the others, of which the first had written to every one."""
    tried = 0
    for seed in range(40):
        written = Written(seed, records_max=100)
        first, second = written.transactions[1:3] if len(written.transactions) > 2 else ({}, {})
        if not {*OUTPUTS, STATE} <= {*first} or not {MOVEMENTS, LEVELS, STATUS} <= {*second}:
            continue
        tried += 1
        late, later = first.pop(STATUS), second.pop(STATUS)
        looks = [[written.transactions[0]], [first], [{STATUS: late}, second], [{STATUS: later}]]
        audit = written.auditor.partition(0)
        audit._world.__dict__["group_offset"] = lambda topic, _, audit=audit: _position(audit.positions, topic)
        for attempt in written.attempts:
            written.auditor.recorded(0, attempt)
        for blocks in [*looks, written.transactions[3:]]:
            for block in blocks:
                written.write(block)
            written.auditor.look()
        written.auditor.finish()
        assert written.auditor.findings == []
    assert tried


def _position(positions: Mapping[str, Position] | None, topic: str) -> int | None:
    return None if positions is None else positions[PREFIX + topic][0]


def _first_with(transactions: Transactions, topic: str) -> dict[str, Block]:
    return next(transaction for transaction in transactions if topic in transaction)


def _lose_one_of_several(transactions: Transactions, topic: str) -> None:
    """The only record of a topic would be missed as a torn transaction."""
    next(transaction for transaction in transactions if len(transaction.get(topic, [])) > 1)[topic].pop()


def _lose_a_movement(transactions: Transactions) -> None:
    _lose_one_of_several(transactions, MOVEMENTS)


def _lose_all_movements_of_a_transaction(transactions: Transactions) -> None:
    del _first_with(transactions, MOVEMENTS)[MOVEMENTS]


def _double_a_movement(transactions: Transactions) -> None:
    block = _first_with(transactions, MOVEMENTS)[MOVEMENTS]
    block.append(block[-1])


def _double_a_transaction(transactions: Transactions) -> None:
    transactions.insert(3, transactions[2])


def _lose_a_transaction(transactions: Transactions) -> None:
    del transactions[2]


def _lose_the_last_state(transactions: Transactions) -> None:
    with_outputs = [transaction for transaction in transactions if len(transaction) > 1]
    del transactions[transactions.index(with_outputs[-1]) + 1 :]
    del with_outputs[-1][STATE]


def _lose_a_dead_letter(transactions: Transactions) -> None:
    _first_with(transactions, DEAD_LETTERS)[DEAD_LETTERS].pop()


def _lose_a_status(transactions: Transactions) -> None:
    _lose_one_of_several(transactions, STATUS)


def _change_a_level(transactions: Transactions) -> None:
    block = _first_with(transactions, LEVELS)[LEVELS]
    key, value, headers = block[0]
    level = msgspec.json.decode(value or b"")
    block[0] = (key, msgspec.json.encode({**level, "frozen": level["frozen"] + 1}), headers)


def _split_a_transaction(transactions: Transactions) -> None:
    transaction = _first_with(transactions, MOVEMENTS)
    outputs = {topic: transaction.pop(topic) for topic in OUTPUTS if topic in transaction}
    transactions.insert(transactions.index(transaction), outputs)
    transactions.insert(transactions.index(transaction), {STATE: [transaction[STATE].pop(0)]})


def _move_positions_without_outputs(transactions: Transactions) -> None:
    for topic in OUTPUTS:
        transactions[2].pop(topic, None)
    transactions[2][STATE] = transactions[2][STATE][-1:]


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        (_lose_a_movement, {Kind.LOST}),
        (_lose_all_movements_of_a_transaction, {Kind.LOST, Kind.TORN}),
        (_double_a_movement, {Kind.DOUBLED}),
        (_double_a_transaction, {Kind.TORN, Kind.COUNTS, Kind.DOUBLED}),
        (_lose_a_transaction, {Kind.LOST, Kind.TORN, Kind.COUNTS, Kind.AHEAD}),
        (_lose_the_last_state, {Kind.TORN}),
        (_lose_a_dead_letter, {Kind.LOST, Kind.OUTPUT}),
        (_lose_a_status, {Kind.LOST}),
        (_change_a_level, {Kind.OUTPUT}),
        (_split_a_transaction, {Kind.TORN}),
        (_move_positions_without_outputs, {Kind.LOST, Kind.TORN}),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_damage_to_what_was_written_is_found(damage: Damage, kinds: set[Kind], seed: int) -> None:
    written = Written(seed)
    damage(written.transactions)
    found = written.found()
    assert found
    assert set(found) <= kinds


def test_offsets_of_the_group_that_are_not_those_of_the_state_are_found() -> None:
    written = Written(1)
    group_offset = written._group_offset
    written.auditor.partition(0)._world.__dict__["group_offset"] = lambda topic, p: group_offset(topic, p) + 1
    assert written.found() == [Kind.GROUP]


def test_a_count_that_ran_ahead_of_an_order_is_found() -> None:
    for seed in range(20):
        written = Written(seed)
        audit = written.auditor.partition(0)
        # As if all orders had been there before any count was, and the counts stamped as the last of all.
        for topic in INPUTS:
            for offset, sent in audit.inputs[topic].items():
                at_seconds = 1.0 if topic == "stock.events.v1" else 0.0
                audit.inputs[topic][offset] = sent._replace(appended_at=at_seconds, at_seconds=at_seconds)
        if Kind.AHEAD in written.found():
            return
    pytest.fail("no count of twenty histories was held to have run ahead")
