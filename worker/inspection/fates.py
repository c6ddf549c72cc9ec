"""What became of what an operator sent: whether the worker has read it, and whether it was refused again."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from worker.clock import Clock
from worker.inspection.cluster import Cluster
from worker.inspection.dead_letters import Place, read_dead_letter
from worker.inspection.topic_reader import Record, TopicReader

LOOK_SECONDS = 0.2
"""How often the group's positions are asked for while something sent is waited for."""


class Fate(NamedTuple):
    """What became of something that was sent. `code`: with which it was refused again."""

    outcome: Literal["accepted", "refused", "not_read"]
    code: str | None = None


class Follower:
    """Finds out what became of what is sent: read by the worker, and refused again or not.

    Make it before anything is sent, with `begin`, so that it knows from where on to read the dead letters.
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
        """What became of what was sent, by dead letter's id, waiting at most so long for the worker."""
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
        """The ids of what the group has passed."""
        until = self._clock.monotonic() + wait_seconds
        while True:
            offsets = await self._cluster.committed(self._group)
            passed = {id_ for id_, place in sent.items() if offsets.get(place[:2], 0) > place.offset}
            if len(passed) == len(sent) or self._clock.monotonic() >= until:
                return passed
            await asyncio.sleep(LOOK_SECONDS)

    async def _refused(self, partition: int) -> dict[str, str]:
        """The codes of the dead letters that were written since the begin, by id."""
        codes: dict[str, str] = {}

        def take(records: Sequence[Record]) -> None:
            for record in records:
                letter = read_dead_letter(record, self._commands_topic)
                if letter is not None and letter.is_replay:
                    codes[letter.id] = letter.code

        # To the very end: the offsets may be seen before the marker that lets the dead letters be read.
        end = (await self._reader.bounds(self._topic, partition)).end
        await self._reader.read(self._topic, partition, start=self._starts[partition], end=end, take=take)
        return codes
