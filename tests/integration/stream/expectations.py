"""What must have come of the records a test sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from tests.integration.stream.world import World

Numbers = list[tuple[bytes, bytes]]


def numbers(count: int) -> Numbers:
    """Records whose sums show any that is lost or doubled."""
    return [(b"key-%d" % (number % 7), b"%d" % number) for number in range(count)]


def expected(*sent: Iterable[tuple[bytes, bytes]]) -> dict[bytes, int]:
    """The sums by key."""
    sums: Counter[bytes] = Counter()
    for records in sent:
        for key, value in records:
            sums[key] += int(value)
    return dict(sums)


async def check_once(world: World, records: int) -> None:
    """Every input has one output, every sum was written once, and every offset is accounted for."""
    outputs = await world.read(world.topics.out)
    written = {(partition, value) for partition, _, value, _ in outputs}
    assert len(outputs) == len(written) == records
    for positions in (await world.positions()).values():
        for position in positions.values():
            assert sum(position.counts[1:]) == position.next_offset
