"""Following what an operator sent: whether the worker has read it, and whether it was refused again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from worker.clock import Clock
from worker.inspection.cluster import Cluster
from worker.inspection.dead_letters import Place, read_dead_letter
from worker.inspection.topic_reader import Record, TopicReader

LOOK_SECONDS = 0.2
"""The time between two looks at the group's offsets while waiting."""


class Fate(NamedTuple):
    """The outcome of a record that was sent. `code`: why it was refused again."""

    outcome: Literal["accepted", "refused", "not_read"]
    code: str | None = None


class Follower:
    """Finds out whether the worker has read what is sent, and whether it refused it again.

    Call `begin` before anything is sent, so that it knows from where on to read the dead letters.
    """

    def __init__(
        self,
        cluster: Cluster,
        reader: TopicReader,
        group: str,
        topic: str,
        commands_topic: str,
        clock: Clock = Clock(),
    ) -> None:
        self._cluster = cluster
        self._clock = clock
        self._reader = reader
        self._group = group
        self._topic = topic
        self._commands_topic = commands_topic
        self._starts: dict[int, int] = {}

    async def begin(self, partitions: Sequence[int]) -> None:
        """Remember where the dead letters of these partitions end."""
        for partition in partitions:
            self._starts[partition] = (await self._reader.bounds(self._topic, partition)).stable_end

    async def fates(self, sent: Mapping[str, Place], wait_seconds: float) -> dict[str, Fate]:
        """Find the outcomes by the dead letters' ids, waiting at most `wait_seconds` for the worker."""
        passed = await self._wait(sent, wait_seconds)
        refused: dict[str, str] = {}
        for partition in sorted({sent[id_].partition for id_ in passed}):
            refused |= await self._refused(partition)
        return {
            id_: Fate("not_read")
            if id_ not in passed
            else Fate("refused", refused[id_])
            if id_ in refused
            else Fate("accepted")
            for id_ in sent
        }

    async def _wait(self, sent: Mapping[str, Place], wait_seconds: float) -> set[str]:
        """Wait until the group has passed all, and return the ids of those that it has passed."""
        until = self._clock.monotonic() + wait_seconds
        while True:
            offsets = await self._cluster.committed(self._group)
            passed = {id_ for id_, place in sent.items() if offsets.get(place[:2], 0) > place.offset}
            if len(passed) == len(sent) or self._clock.monotonic() >= until:
                return passed
            await asyncio.sleep(LOOK_SECONDS)

    async def _refused(self, partition: int) -> dict[str, str]:
        """Read the codes of the dead letters that were written since `begin`, by id."""
        codes: dict[str, str] = {}

        def take(records: Sequence[Record]) -> None:
            for record in records:
                letter = read_dead_letter(record, self._commands_topic)
                if letter is not None and letter.is_replay:
                    codes[letter.id] = letter.code

        # Up to the end with open transactions: the group's offsets may appear before the marker of their transaction.
        end = (await self._reader.bounds(self._topic, partition)).end
        await self._reader.read(self._topic, partition, start=self._starts[partition], end=end, take=take)
        return codes
