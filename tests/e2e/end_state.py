"""The end state of a system, and the one it should have: that of the same inputs, each once and in the order of their
timestamps, through one processor a partition, without engine, process or broker.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import LEDGER, Topic
from tests.e2e.system import System
from tests.named import named
from worker.domain.policies import Policies
from worker.processors.ledger import PartitionProcessor
from worker.stream.records import Headers

_OF_THE_CAUSE = ("event_id", "occurred_at", "cause")
"""What depends on the order in which events came: which of them made the last change."""
_TOPICS = (Topic.LEVELS, Topic.STATUS, Topic.ELIGIBILITY, Topic.DEAD_LETTERS)


@dataclass
class EndState:
    """The latest level and status of each key, which orders may be archived, and the dead letters with their codes."""

    levels: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    statuses: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    eligible: set[tuple[str, str]] = field(default_factory=set)
    dead_letters: Counter[tuple[str, str]] = field(default_factory=Counter)

    def take(self, topic: Topic, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Take an output, in the order of its partition."""
        if topic is Topic.DEAD_LETTERS:
            fields = {name: header or b"" for name, header in headers}
            place = b"/".join((fields["source-topic"], fields["source-partition"], fields["source-offset"]))
            self.dead_letters[place.decode(), fields["error-code"].decode()] += 1
            return
        assert value is not None
        content = {name: of for name, of in json.loads(value).items() if name not in _OF_THE_CAUSE}
        if topic is Topic.ELIGIBILITY:
            order = (content["account_id"], content["order_id"])
            match content["type"]:
                case "archive.eligible":
                    self.eligible.add(order)
                case "archive.revoked":
                    self.eligible.discard(order)
                case _:
                    pass  # a rejection changes nothing
        else:
            assert key is not None
            if topic is Topic.STATUS:
                content["units"] = sorted(content["units"], key=lambda unit: json.dumps(unit, sort_keys=True))
            (self.levels if topic is Topic.LEVELS else self.statuses)[key] = content


async def end_state_of(system: System) -> EndState:
    """The end state in the system's output topics."""
    state = EndState()
    for topic in _TOPICS:
        for record in await system.read(topic):
            state.take(topic, record.key, record.value, record.headers)
    return state


async def calm_end_state_of(system: System) -> EndState:
    """The end state that the records in the system's input topics should give."""
    inputs = [await system.read(topic) for topic in LEDGER.inputs]
    state = EndState()
    names = {system.topic(topic): topic for topic in _TOPICS}
    for partition in range(system.partitions):
        processor = PartitionProcessor(
            partition=partition, partition_count=system.partitions, prefix=system.names.prefix, policies=Policies()
        )
        processor.restored(-1)
        of_partition = [[record for record in records if record.partition == partition] for records in inputs]
        for record in heapq.merge(*of_partition, key=lambda record: record.timestamp):
            processor.process(record)
            for output in named(processor.flush()):
                if output.topic in names:
                    state.take(names[output.topic], output.key, output.value, output.headers)
    return state


async def assert_as_if_calm(system: System) -> None:
    """The end state is that of a calm run, and `verify` finds nothing."""
    found, expected = await end_state_of(system), await calm_end_state_of(system)
    assert _differing(found.levels, expected.levels) == []
    assert _differing(found.statuses, expected.statuses) == []
    assert found.eligible == expected.eligible
    assert found.dead_letters == expected.dead_letters
    assert found.levels, "nothing was processed"
    await system.assert_sound()


def _differing(found: dict[bytes, dict[str, Any]], expected: dict[bytes, dict[str, Any]]) -> list[object]:
    """A few of the keys that differ, with both sides."""
    keys = [key for key in sorted({*found, *expected}) if found.get(key) != expected.get(key)]
    return [(key, found.get(key), expected.get(key)) for key in keys[:3]]
