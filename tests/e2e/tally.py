"""A second role, for tests, and a worker that has it: `python -m tests.e2e.tally ledger tally`.

It sums up the numbers of a topic of its own, and counts the movements that the ledger writes. So it has topics of its
own and one of the ledger's, and its outputs show every record of either that is lost or doubled.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Final

from schemas.topics import RoleTopics, Topic
from tests.integration.stream.toy import Toy, ToyTopics
from worker.app import run_worker
from worker.configuration import load_settings
from worker.roles import HostedRole, Process, RoleMaker, host_ledger
from worker.stream import InputRecord, Outcome

NUMBERS: Final = "tally.numbers.v1"
SUMS: Final = "tally.sums.v1"
BAD: Final = "tally.bad.v1"
STATE: Final = "tally.state.v1"
TALLY: Final = RoleTopics[str](
    role="tally", inputs=(NUMBERS, Topic.MOVEMENTS), outputs=(SUMS, BAD, STATE), journal=SUMS, state=STATE
)


class Tally(Toy):
    """Sums by key; a movement counts 1. `poison` raises."""

    def __init__(self, topics: ToyTopics) -> None:
        super().__init__(topics)
        self.tally: dict[tuple[str, ...], int] = {}

    def process(self, record: InputRecord) -> Outcome:
        """Sum a record up."""
        if record.topic.endswith(Topic.MOVEMENTS):
            record = InputRecord(record.topic, record.partition, record.offset, record.timestamp, record.key, b"1")
        return super().process(record)

    def gauges(self) -> Mapping[str, float]:
        """It has none."""
        return {}

    def pending(self) -> Mapping[str, int]:
        """It holds nothing back."""
        return {}

    def alerts_open(self) -> Mapping[str, int]:
        """It raises none."""
        return {}


def host_tally(process: Process) -> HostedRole[Tally]:
    """Make the role `tally`."""
    topics = ToyTopics(*map(process.settings.topic, (SUMS, BAD, STATE)))
    return HostedRole(process, TALLY, lambda _partition, _count: Tally(topics))


MAKERS: Final[Mapping[str, RoleMaker]] = {"ledger": host_ledger, "tally": host_tally}

if __name__ == "__main__":
    sys.exit(run_worker(load_settings(None, os.environ), [MAKERS[name] for name in sys.argv[1:]]))
