"""When the events of a sub-order happened: all that is needed to find what is left of them after a take-back.

An event that takes back hides all events of its kinds up to its own time, and it may arrive late. So for every moment
W the rules ask: of the events after W, which is the earliest, which is the latest, and how many units do they cancel?
The latest after W is the latest of all, or there is none. But the earliest after W may be any of the times, because W
is not known beforehand:

    shipped at 10:00, 11:00 and 12:00, arrived in any order     shipped_at is 10:00
    voided at 11:00                                             shipped_at is 12:00
    voided at 10:30 instead                                     shipped_at is 11:00

Neither 11:00 nor 12:00 could have been forgotten before. So a timeline keeps each distinct time of each kind, as a
sorted set of 7 bytes an entry. Sets merge by union, so order and repetition do not matter. Adding an entry is one
comparison where events come in order, else a binary search: its cost does not grow with what is known, but for the
copying of the bytes. What a take-back hides for good is dropped.

The rules never read a timeline. They read what stands now (`SubOrderFacts.shipped_at` and its neighbours). An event
that stands updates that directly; only a take-back works it out anew (`taken_back.stand`).

`CancelledUnits` is the same for the units of one SKU that cancellations name.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import Final, final

from mypy_extensions import mypyc_attr

LABEL: Final = 0
HOLD: Final = 1
SHIPPED: Final = 2
IN_TRANSIT: Final = 3
DELIVERED: Final = 4
FAILED: Final = 5
CANCELLED_LINES: Final = 6
CANCELLED_WHOLE: Final = 7
RETURN_STARTED: Final = 8
RETURNED: Final = 9
"""Kinds of events, at most 15. Their numbers are in the state."""

NEVER: Final = -(1 << 46)
"""Milliseconds before every time that an event can have."""

_KIND_BITS: Final = 4
_KIND_MASK: Final = (1 << _KIND_BITS) - 1
_ENTRY_BYTES: Final = 7
_UNITS_BITS: Final = 40
"""A cancellation has up to 1000 lines of 10⁹ units."""
_UNITS_MASK: Final = (1 << _UNITS_BITS) - 1
_CANCELLED_BYTES: Final = 12


def add(timeline: bytes, at: int, kind: int) -> bytes:
    """The timeline with an event of `kind` that happened `at` (milliseconds)."""
    entry = (at - NEVER << _KIND_BITS | kind).to_bytes(_ENTRY_BYTES, "big")
    # Most events come in order; the first is greater than nothing.
    return timeline + entry if entry > timeline[-_ENTRY_BYTES:] else _insert(timeline, entry)


def entries(timeline: bytes) -> list[tuple[int, int]]:
    """Time and kind of each entry, ascending."""
    found: list[tuple[int, int]] = []
    for start in range(0, len(timeline), _ENTRY_BYTES):
        number = int.from_bytes(timeline[start : start + _ENTRY_BYTES], "big")
        found.append(((number >> _KIND_BITS) + NEVER, number & _KIND_MASK))
    return found


def drop(timeline: bytes, kinds: frozenset[int], until: int) -> bytes:
    """The timeline without the entries of `kinds` that are not after `until`."""
    kept = [
        timeline[index * _ENTRY_BYTES : (index + 1) * _ENTRY_BYTES]
        for index, (at, kind) in enumerate(entries(timeline))
        if at > until or kind not in kinds
    ]
    return b"".join(kept)


@mypyc_attr(acyclic=True)
@final
class CancelledUnits:
    """What cancellations with lines cancel of one SKU.

    log: all of them, packed like a timeline. times, units: those that stand and cancel more than every earlier one, so
    both lists rise. An example, with nothing taken back:

        cancelled at 10:00: 2 of K     times [10:00]           units [2]
        cancelled at 12:00: 5 of K     times [10:00, 12:00]    units [2, 5]
        cancelled at 11:00: 1 of K     the same, because 2 were cancelled before; but it is in the log
    """

    __slots__ = ("log", "times", "units")

    def __init__(self, log: bytes = b"", times: list[int] | None = None, units: list[int] | None = None) -> None:
        self.log = log
        self.times: list[int] = [] if times is None else times
        self.units: list[int] = [] if units is None else units

    def note(self, at: int, units: int) -> None:
        """Add a cancellation to the log alone."""
        self.log = _insert(self.log, (at - NEVER << _UNITS_BITS | units).to_bytes(_CANCELLED_BYTES, "big"))

    def stand(self, at: int, units: int) -> bool:
        """Let a cancellation count; return whether it cancels more than was cancelled by its time."""
        if self.most(at) >= units:
            return False
        first = bisect_left(self.times, at)
        behind = bisect_right(self.units, units)  # those before cancel no more, so they add nothing after it
        if behind > first:
            del self.times[first:behind]
            del self.units[first:behind]
        self.times.insert(first, at)
        self.units.insert(first, units)
        return True

    def most(self, until: int | None) -> int:
        """The most units that any one cancels, of those not later than `until` if given."""
        index = len(self.times) if until is None else bisect_right(self.times, until)
        return self.units[index - 1] if index else 0

    def stand_after(self, floor: int) -> None:
        """Let only those after `floor` count."""
        self.times, self.units = [], []
        for at, units in self._logged():
            if at > floor:
                self.stand(at, units)

    def drop(self, until: int) -> None:
        """Forget all that are not after `until`, for good."""
        gone = sum(at <= until for at, _ in self._logged())
        self.log = self.log[gone * _CANCELLED_BYTES :]

    def _logged(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for start in range(0, len(self.log), _CANCELLED_BYTES):
            number = int.from_bytes(self.log[start : start + _CANCELLED_BYTES], "big")
            found.append(((number >> _UNITS_BITS) + NEVER, number & _UNITS_MASK))
        return found


def _insert(packed: bytes, entry: bytes) -> bytes:
    """A sorted set of packed entries of one width, with one more entry."""
    width = len(entry)
    if entry > packed[-width:]:  # also where there is none
        return packed + entry
    low, high = 0, len(packed) // width
    while low < high:
        middle = (low + high) // 2
        if packed[middle * width : (middle + 1) * width] < entry:
            low = middle + 1
        else:
            high = middle
    start = low * width
    if packed[start : start + width] == entry:
        return packed
    return packed[:start] + entry + packed[start:]
