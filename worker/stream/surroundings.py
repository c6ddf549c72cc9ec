"""What sessions, tasks and starts share: settings, clock, observer, logs, and states kept in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic

from aiokafka.errors import KafkaError

from worker.clock import Chance, Clock
from worker.stream.config import EngineConfig
from worker.stream.errors import sentence_of
from worker.stream.kafka.client_log import ClientLog, RateLimit
from worker.stream.kafka.reaper import Reaper
from worker.stream.observer import Observer
from worker.stream.processor import P
from worker.stream.rights import missing_right, right_of_worker
from worker.stream.state.memory import Memory

DETAIL_SECONDS_MAX = 10.0
"""The greatest age of an error in the client's log that may explain a new one."""


@dataclass(frozen=True)
class Surroundings(Generic[P]):
    """What sessions, tasks and starts share, in one argument."""

    config: EngineConfig
    processors: Callable[[int, int], P]
    """Makes an empty processor from a partition and the partition count."""
    observer: Observer[P]
    clock: Clock
    chance: Chance
    reaper: Reaper
    client_log: ClientLog
    complaints: RateLimit
    memories: dict[int, Memory[P]] = field(default_factory=dict)
    """By partition: the states of revoked partitions, until the group has assigned them again."""

    def explain(self, error: BaseException) -> str:
        """Explain an error in one sentence."""
        detail = self.client_log.last_error(DETAIL_SECONDS_MAX)
        return sentence_of(error, self.config.client.get("bootstrap_servers"), detail, self._what_to_grant)

    def _what_to_grant(self, refusal: KafkaError) -> str:
        user = self.config.client.get("sasl_plain_username")
        return missing_right(refusal, user, of_topic=right_of_worker(self.config))
