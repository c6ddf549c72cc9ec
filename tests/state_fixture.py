"""The fixtures of the state: for each released version, the records that its state topic held after a rich history, and
what a restore from them must answer. `make state-fixture` writes them anew.

A file is named by the versions of the domain's and of the engine's records (`schemas.state` and
`worker.stream.state.positions`), and has one JSON value a line: `record` is a key and its value in base64 (null: a
tombstone), in the order of the topic;
`positions`, `stock` and `order` are what is known after the restore; `next` is a record that is processed then, with
its outcome and what is written. Records of an older version are kept as they are for ever, its answers are not: the
rules may change.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from schemas import state
from schemas.topics import Topic
from tests.named import named
from tests.offline import OfflinePartition, record
from tests.state_history import FLOODING, RULES, history, what_follows
from worker.processors.ledger import PartitionProcessor
from worker.stream.records import InputRecord, OutputRecord
from worker.stream.start.restore import Restored
from worker.stream.state import positions
from worker.stream.state.positions import ENGINE_KEYS

FOLDER: Final = Path(__file__).parent / "fixtures" / "state"
CURRENT: Final = f"v{state.VERSION}.{positions.VERSION}"
_TRANSACTION_RECORDS: Final = 5

StateRecord = tuple[str, bytes | None]
Answer = dict[str, Any]
"""A line of the file that is no record of the state."""


@dataclass(frozen=True)
class Fixture:
    """One version's state, and what it must answer."""

    records: list[StateRecord]
    answers: list[Answer]

    @property
    def following(self) -> list[InputRecord]:
        """The records that are processed after the restore."""
        return [_input(answer["next"]) for answer in self.answers if "next" in answer]

    def renewed(self) -> Fixture:
        """The same state with the answers of today's program."""
        return Fixture(self.records, list(answers_of(self.records, self.following)))


def versions() -> list[str]:
    """The versions that there are fixtures of."""
    return sorted(path.stem for path in FOLDER.glob("v*.jsonl"))


def path_of(version: str) -> Path:
    """The file of a version."""
    return FOLDER / f"{version}.jsonl"


def read(version: str) -> Fixture:
    """The fixture of a version."""
    records: list[StateRecord] = []
    answers: list[Answer] = []
    for line in path_of(version).read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if "record" in entry:
            key, value = entry["record"]
            records.append((key, None if value is None else base64.b64decode(value)))
        else:
            answers.append(entry)
    return Fixture(records, answers)


def write(version: str, fixture: Fixture) -> None:
    """Replace the file of a version."""
    entries = [
        *(
            {"record": [key, None if value is None else base64.b64encode(value).decode()]}
            for key, value in fixture.records
        ),
        *fixture.answers,
    ]
    path_of(version).write_text(
        "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries), encoding="utf-8"
    )


def written_today() -> Fixture:
    """What today's program writes of the history, and what it answers after it."""
    worker = OfflinePartition(0, 1, policies=RULES)
    topic: dict[str, bytes | None] = {}
    told = history()
    for start in range(0, len(told), _TRANSACTION_RECORDS):
        if start + _TRANSACTION_RECORDS >= len(told):
            # What the breaker of an engine would say once too many were bad.
            worker.processor.parties.flood_began(FLOODING)
        for output in worker.process(told[start : start + _TRANSACTION_RECORDS]):
            if output.topic == Topic.STATE and output.key is not None:
                key = output.key.decode()
                topic.pop(key, None)  # compaction keeps the last record of a key, where it stands
                topic[key] = output.value
    records = list(topic.items())
    return Fixture(records, list(answers_of(records, what_follows(worker.committed()))))


def answers_of(records: Sequence[StateRecord], following: Iterable[InputRecord]) -> Iterator[Answer]:
    """What a restore from these records answers, and what it makes of the records that follow."""
    engine = Restored()
    processor = PartitionProcessor(partition=0, partition_count=1, prefix="", policies=RULES)
    for text, value in records:
        key = text.encode()
        if key.startswith(ENGINE_KEYS):
            engine.take(key, value)
        else:
            processor.restore(key, value)
    processor.restored(engine.stream_time_ms)
    yield {"positions": engine.positions, "stream_time_ms": engine.stream_time_ms, "partitions": engine.partition_count}
    levels = [level for level in processor.ledger.levels() if level.on_hand is not None or level.frozen]
    for level in sorted(levels, key=lambda level: (level.account_id, level.warehouse_id, level.sku)):
        yield {"stock": asdict(level)}
    for order in sorted(processor.ledger.orders(), key=lambda order: (order.account_id, order.order_id)):
        yield {"order": asdict(order)}
    for given in following:
        outcome = processor.process(given)
        outputs = [_output(output) for output in named(processor.flush()) if output.topic != Topic.STATE]
        yield {"next": _as_data(given), "outcome": outcome, "outputs": outputs}


def plain(answers: Iterable[Answer]) -> list[Answer]:
    """Answers as they are read from a file: without the difference of tuples and lists."""
    return [json.loads(json.dumps(answer)) for answer in answers]


def _as_data(given: InputRecord) -> dict[str, Any]:
    return {
        "topic": given.topic,
        "offset": given.offset,
        "timestamp": given.timestamp,
        "key": (given.key or b"").decode(),
        "value": (given.value or b"").decode(),
        "headers": {name: (value or b"").decode() for name, value in given.headers},
    }


def _input(data: dict[str, Any]) -> InputRecord:
    headers = tuple((name, value.encode()) for name, value in data["headers"].items())
    place = data["topic"], 0, data["offset"]
    return record(*place, data["key"].encode(), data["value"].encode(), headers, data["timestamp"])


def _output(output: OutputRecord) -> dict[str, Any]:
    key, value = (output.key or b"").decode(), (output.value or b"").decode()
    if output.topic == Topic.DEAD_LETTERS:
        headers = {name: (text or b"").decode() for name, text in output.headers}
        return {"topic": output.topic, "key": key, "headers": headers}
    return {"topic": output.topic, "key": key, "value": json.loads(value)}


def main() -> None:
    """Write the fixture of today's version anew, and the answers of the older ones."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for version in versions():
        if version != CURRENT:
            write(version, read(version).renewed())
    write(CURRENT, written_today())


if __name__ == "__main__":
    main()
