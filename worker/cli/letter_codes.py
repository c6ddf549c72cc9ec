"""Finding the codes of dead letters from their ids."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from schemas.topics import Topic
from worker.cli.asking import OpenSystem

if TYPE_CHECKING:
    from worker.inspection.topic_reader import Record

SPAN_OFFSETS = 200
"""Offsets read at first, from the end: dead letters may have 8 MiB each, and recent ones are asked for most."""


async def codes_of(system: OpenSystem, partition: int, ids: Collection[str]) -> dict[str, str]:
    """Read the codes of dead letters of a partition, by id; those whose records were deleted are left out."""
    from worker.inspection.dead_letters import read_dead_letter
    from worker.inspection.topic_reader import read_backwards

    wanted, codes = set(ids), dict[str, str]()
    if not wanted:
        return codes
    topic, commands = system.settings.topic(Topic.DEAD_LETTERS), system.settings.topic(Topic.COMMANDS)

    def take(records: Sequence[Record]) -> bool:
        for record in reversed(records):
            letter = read_dead_letter(record, commands)
            if letter is not None and letter.id in wanted:
                codes.setdefault(letter.id, letter.code)
        return codes.keys() == wanted

    bounds = await system.reader.bounds(topic, partition)
    await read_backwards(system.reader, topic, partition, bounds=bounds, span=SPAN_OFFSETS, take=take)
    return codes
