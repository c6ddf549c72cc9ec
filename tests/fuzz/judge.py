"""What must hold whatever is sent: no crash, no stall, bounded memory, every record accounted for exactly once, and
outputs that keep their schema. Everything else that is raised is a finding.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final

import msgspec
from jsonschema import Draft202012Validator

from schemas.decoding import Refused, decode, id_and_time_of, order_of
from schemas.encoding import key_of
from schemas.generate import ROOT
from schemas.identity import identity_of
from schemas.topics import LEDGER, RECORD_BYTES_MAX, Topic
from tests.fuzz.shots import Shot
from tests.named import named
from tests.offline import OfflinePartition, record
from tests.property.drafts import PARTITION, PARTITION_COUNT, PREFIX
from worker.domain.ledger import Ledger
from worker.domain.policies import AccountPolicies, Policies
from worker.inspection.dead_letters import own_headers, read_dead_letter
from worker.inspection.topic_reader import Record
from worker.processors.ledger import ERROR_HEADERS, PartitionProcessor
from worker.stream.partitioning import partition_of
from worker.stream.processor import Outcome
from worker.stream.records import OutputRecord
from worker.verification.accounting import source_of

RECORD_SECONDS_MAX: Final = 2.0
"""CPU time that no record takes, even under a fuzzer that watches every line."""

STATE_BYTES_PER_INPUT_BYTE_MAX: Final = 40
STATE_BYTES_BESIDE_MAX: Final = 20_000
ERROR_LENGTH_MAX: Final = 1000
CODES: Final = {
    *("undecodable", "unknown_type", "invalid", "key_mismatch"),
    *("wrong_partition", "future", "too_late", "conflict"),
}
RULES: Final = Policies(defaults=AccountPolicies(retention_days=30, buffer=2))

StockKey = tuple[str, str, str]


def judge_value(topic: Topic, value: bytes | None) -> None:
    """A value is an event, the same one when it is written and read again, or is refused with a sentence."""
    began = time.process_time()
    order_of(value, b"acme")
    id_and_time_of(value)
    refused = decoded = None
    try:
        decoded = decode(topic, value)
    except Refused as caught:
        refused = caught
    if refused is not None:
        assert refused.code in CODES
        assert _is_sentence(refused.message), refused.message
    if decoded is not None:
        identity_of(decoded.event)
        assert decode(topic, msgspec.json.encode(decoded.event)) == decoded
    assert time.process_time() - began < RECORD_SECONDS_MAX, "stalled"


class Partition:
    """A partition under attack."""

    def __init__(self) -> None:
        self.worker = OfflinePartition(PARTITION, PARTITION_COUNT, PREFIX, RULES)
        self.input_bytes = 0
        self.outcomes: list[tuple[Record, Outcome]] = []
        self.state: dict[bytes, bytes] = {}
        self.sums: dict[StockKey, list[int]] = {}
        self.levels: dict[StockKey, tuple[int, int]] = {}
        self.event_ids: set[str] = set()

    def fire(self, shots: Sequence[Shot]) -> None:
        """Process records, and judge the results."""
        offsets = dict.fromkeys(LEDGER.inputs, 0)
        for shot in shots:
            topic = LEDGER.inputs[shot.topic % len(LEDGER.inputs)]
            offset = offsets[topic] + shot.gap
            offsets[topic] = offset + 1
            place = f"{PREFIX}{topic}", PARTITION, offset
            self._take(record(*place, shot.key, shot.value, shot.headers, shot.timestamp))
            if shot.ends:
                self._end_transaction()
        self._end_transaction()
        self._judge_end()

    def _take(self, given: Record) -> None:
        self.input_bytes += sum(len(part or b"") for part in (given.key, given.value))
        began = time.process_time()
        self.worker.processor.waits(given)
        outcome = self.worker.processor.process(given)
        assert time.process_time() - began < RECORD_SECONDS_MAX, "stalled"
        self.worker.positions.count(given, outcome)
        self.outcomes.append((given, outcome))

    def _end_transaction(self) -> None:
        outputs = named(self.worker.processor.flush())
        refused = [given for given, outcome in self.outcomes if outcome is Outcome.DEAD_LETTERED]
        letters = [output for output in outputs if output.topic == f"{PREFIX}{Topic.DEAD_LETTERS}"]
        for given, letter in zip(refused, letters, strict=True):
            judge_dead_letter(given, letter)
        sources = {f"{given.topic}/{given.partition}/{given.offset}" for given, _ in self.outcomes}
        for output in outputs:
            topic = Topic(output.topic.removeprefix(PREFIX))
            assert len(output.key or b"") + len(output.value or b"") < RECORD_BYTES_MAX
            if topic is Topic.STATE:
                self._keep(output)
            elif topic is not Topic.DEAD_LETTERS:
                self._judge_output(topic, output, sources)
        self.outcomes = []

    def _keep(self, output: OutputRecord) -> None:
        assert output.key is not None
        if output.value is None:
            self.state.pop(output.key, None)
        else:
            self.state[output.key] = output.value

    def _judge_output(self, topic: Topic, output: OutputRecord, sources: set[str]) -> None:
        body = json.loads(output.value or b"")
        error = next(_validator(body["type"]).iter_errors(body), None)
        assert error is None, f"{body}: {error}"
        source, _, _ = body["event_id"].rpartition("/")
        # What ends by time has no record that caused it.
        assert source in sources or (body["type"] == "alert.cleared" and "cause" not in body)
        assert body["event_id"] not in self.event_ids
        self.event_ids.add(body["event_id"])
        account_id = body["account_id"]
        assert partition_of(account_id, PARTITION_COUNT) == PARTITION
        stock = account_id, body.get("warehouse_id", ""), body.get("sku", "")
        keys = {Topic.LEVELS: key_of(*stock), Topic.STATUS: key_of(account_id, body.get("order_id", ""))}
        assert output.key == keys.get(topic, account_id.encode())
        if topic is Topic.MOVEMENTS:
            sums = self.sums.setdefault(stock, [0, 0])
            sums[0] += body["frozen_delta"]
            sums[1] += body["on_hand_delta"]
        elif topic is Topic.LEVELS:
            self.levels[stock] = body["frozen"], body["on_hand"] or 0

    def _judge_end(self) -> None:
        for position in self.worker.positions.positions().values():
            assert sum(position.counts[1:]) == position.next_offset
        ledger = self.worker.processor.ledger
        for key, sums in self.sums.items():
            assert self.levels[key] == tuple(sums), key
        open_units: dict[StockKey, int] = {}
        for order in ledger.orders():
            for _, warehouse_id, sku, still_open, _, _ in order.units:
                key = order.account_id, warehouse_id, sku
                open_units[key] = open_units.get(key, 0) + still_open
        for level in ledger.levels():
            key = level.account_id, level.warehouse_id, level.sku
            assert level.frozen == open_units.get(key, 0) == self.sums.get(key, [0, 0])[0], level
            assert (level.on_hand or 0) == self.sums.get(key, [0, 0])[1], level
        state_bytes = sum(len(key) + len(value) for key, value in self.state.items())
        assert state_bytes <= STATE_BYTES_BESIDE_MAX + STATE_BYTES_PER_INPUT_BYTE_MAX * self.input_bytes
        self._judge_restore()

    def _judge_restore(self) -> None:
        restored = PartitionProcessor(
            partition=PARTITION, partition_count=PARTITION_COUNT, prefix=PREFIX, policies=self.worker.policies
        )
        for key, value in self.state.items():
            restored.restore(key, value)
        restored.restored(self.worker.positions.stream_time_ms)
        assert _views(restored.ledger) == _views(self.worker.processor.ledger)


def judge_dead_letter(given: Record, letter: OutputRecord) -> None:
    """A dead letter is the record as it was, with why and from where, and is read by those that read dead letters."""
    assert (letter.key, letter.value) == (given.key, given.value)
    names = [name for name, _ in letter.headers]
    assert tuple(names[: len(ERROR_HEADERS)]) == ERROR_HEADERS
    assert not set(names[len(ERROR_HEADERS) :]).intersection(ERROR_HEADERS)
    kept = [header for header in given.headers if header[0] not in ERROR_HEADERS]
    assert list(letter.headers[len(ERROR_HEADERS) :]) == kept
    headers = {name: value or b"" for name, value in letter.headers[: len(ERROR_HEADERS)]}
    assert headers["error-code"].decode() in CODES
    assert _is_sentence(headers["error"].decode())
    assert int(headers["source-timestamp"]) == given.timestamp
    written = record(letter.topic, given.partition, 0, letter.key, letter.value, letter.headers, given.timestamp)
    source = source_of(written, given.partition)
    read = read_dead_letter(written, f"{PREFIX}{Topic.COMMANDS}")
    assert read is not None
    own_headers(written)
    if not source.is_replay:
        assert (source.topic, source.offset) == (given.topic, given.offset)
        assert read.id == f"{given.topic}/{given.partition}/{given.offset}"


def _is_sentence(text: str) -> bool:
    return text[:1].isupper() and text.endswith(".") and text.isprintable() and len(text) <= ERROR_LENGTH_MAX


def _views(ledger: Ledger) -> tuple[list[Any], list[Any]]:
    """A ledger's answers. It may forget keys of which it knows nothing."""
    levels = [level for level in ledger.levels() if level.on_hand is not None or level.frozen]
    return (
        sorted(levels, key=lambda level: (level.account_id, level.warehouse_id, level.sku)),
        sorted(ledger.orders(), key=lambda order: (order.account_id, order.order_id)),
    )


@cache
def _validator(type_name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "json" / f"{type_name}.schema.json").read_text("utf-8")))


def numbered(shots: Sequence[Shot]) -> Iterator[str]:
    """The shots in readable form, for a report."""
    for number, shot in enumerate(shots):
        topic = LEDGER.inputs[shot.topic % len(LEDGER.inputs)]
        yield f"{number:3} {topic} {shot._replace(value=(shot.value or b'')[:300])}"
