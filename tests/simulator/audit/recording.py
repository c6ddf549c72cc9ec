"""The order in which each attempt at a transaction took its inputs, recorded in the worker.

The contract fixes the order of records within an input, not between inputs. So the auditor takes the order from the
workers, and checks everything else against it: a false order agrees with nothing that was written. The processor is
the real one; it is recorded, and made to fail at the records that the scenario poisons.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.named import named
from tests.simulator.audit.breakers import Floods
from worker.domain.policies import Policies
from worker.domain.violations import InvariantViolation
from worker.processors.ledger import PartitionProcessor
from worker.stream.processor import Outcome
from worker.stream.records import InputRecord, Output

POISON = "poisoned by the scenario"


class Decided(NamedTuple):
    """An input that a processor decided; `topic` is the full name."""

    topic: str
    offset: int
    outcome: str
    floods: Floods = Floods()
    """The floods that begin and end with this record, by the auditor of the breakers."""


@dataclass
class Attempt:
    """What a processor decided until it was flushed, and what state it handed over."""

    worker: str
    decided: list[Decided] = field(default_factory=list)
    state: list[tuple[bytes | None, bytes | None]] = field(default_factory=list)


class RecordingProcessor(PartitionProcessor):
    """The real processor, recorded: `decided` is called with each record, whether it was bad, and this processor.

    `poisoned`: (topic, partition, offset) that this version fails at.
    """

    def __init__(
        self,
        *,
        worker: str,
        partition: int,
        partition_count: int,
        prefix: str,
        rules: Policies,
        state_topic: str,
        recorded: Callable[[int, Attempt], None],
        decided: Callable[[InputRecord, bool, RecordingProcessor], Floods] = lambda *_: Floods(),
        poisoned: Collection[tuple[str, int, int]],
    ) -> None:
        super().__init__(partition=partition, partition_count=partition_count, prefix=prefix, policies=rules)
        self._number = partition
        self._attempt = Attempt(worker)
        self._worker = worker
        self._state_topic = state_topic
        self._recorded = recorded
        self._decided = decided
        self._poisoned = poisoned

    def process(self, record: InputRecord) -> Outcome:
        if self._poisoned and (record.topic, record.partition, record.offset) in self._poisoned:
            raise InvariantViolation(POISON)
        outcome = super().process(record)
        floods = self._decided(record, outcome is Outcome.DEAD_LETTERED, self)
        self._attempt.decided.append(Decided(record.topic, record.offset, outcome.value, floods))
        return outcome

    def known_accounts(self) -> set[str]:
        """The accounts of which it knows anything, found without asking what the breaker asks."""
        accounts = self.ledger._books.accounts.values()
        return {account.id for account in accounts if not account.is_empty}

    def flush(self) -> Iterator[list[Output]]:
        records = named(super().flush())
        attempt, self._attempt = self._attempt, Attempt(self._worker)
        attempt.state = [(record.key, record.value) for record in records if record.topic == self._state_topic]
        self._recorded(self._number, attempt)
        yield list(records)
